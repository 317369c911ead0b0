"""Measure a saved concept by a protocol like the paper's."""

from .describe import Column, Graph, Node, note
from .families import SD35
from .teach import FOLDER, files_note
from .use import SIZE, apply_to, load

CLIP = "clip-vit-large-patch14.safetensors"
PROMPTS = """a [v] robot on a sandy beach
a [v] robot in deep snow
a [v] robot in a dense forest
a [v] robot on a cobbled street after rain
a [v] robot on a wooden desk with a lamp
a [v] robot beside a red bicycle
a [v] robot in a field of sunflowers
a [v] robot under a stone bridge
a [v] robot in front of a waterfall
a [v] robot on a rooftop with a city behind it at night
a [v] robot floating on a lake
a [v] robot on a blue sofa
a [v] robot between two white candles
a [v] robot on a picnic blanket with a basket
a [v] robot next to a sleeping cat
a [v] robot in a greenhouse full of ferns
a [v] robot on a platform with a train
a [v] robot wearing a yellow hat
a [v] robot wearing a striped scarf
a [v] robot with an umbrella in the rain
a purple [v] robot on a white table
a wet [v] robot in a bathtub
a [v] robot made of glass on a shelf
a watercolour painting of a [v] robot in the mountains
a close photo of a [v] robot holding a flower"""
NOUNS = """robot, beach
robot, snow
robot, forest
robot, street
robot, desk, lamp
robot, bicycle
robot, sunflower
robot, bridge
robot, waterfall
robot, city
robot, lake
robot, sofa
robot, candle
robot, blanket, basket
robot, cat
robot, fern
robot, train
robot, hat
robot, scarf
robot, umbrella
robot, table
robot, bathtub
robot, shelf
robot, mountain
robot, flower"""
UNRELATED = """a mountain lake at dawn
a bowl of fruit on a wooden table
a portrait of an old fisherman
a crowded street in the rain at night
a sailing boat on a calm sea
a black and white photograph of a cathedral
an astronaut reading a newspaper
a watercolour painting of a garden"""


def measure() -> Graph:
    """Return the workflow that measures a concept."""
    size = {name: SIZE[name] for name in ("width", "height")}
    pair = {**apply_to(), "customised_model": "apply.MODEL", "customised_clip": "apply.CLIP"}
    nodes = {
        "files": files_note(SD35),
        **SD35.loaders,
        "saved": note(
            "The concept that *2_teach_sd35* saved. For another LoRA, use a stock LoRA loader here and write its "
            f"trigger word into *trigger*. Its reference images are in `input/{FOLDER}`."
        ),
        "concept": load(FOLDER, "Load the concept"),
        "apply": Node("PureCCApplyAdapter", {}, {**apply_to(), "adapter": "concept.adapter"}),
        "references": Node("PureCCImageFolder", {"folder": FOLDER}, {}, "Load the references"),
        "clip_note": note(
            f"**CLIP ViT-L/14** in one file with both halves: put it, as `{CLIP}`, into `models/clip_vision` *and* "
            "`models/text_encoders`. The commonly shared `clip_l.safetensors` lacks the text projection and is refused."
        ),
        "clip_pictures": Node("CLIPVisionLoader", {"clip_name": CLIP}, {}, "CLIP, pictures"),
        "clip_texts": Node(
            "CLIPLoader", {"clip_name": CLIP, "type": "stable_diffusion", "device": "default"}, {}, "CLIP, texts"
        ),
        "others": note(
            "**DINOv2 large** into `models/clip_vision`; **SAM 3.1**, for Seg-Cons, into `models/checkpoints`. Each of "
            "the three is optional: without it its columns are left out, and the table says so."
        ),
        "dino": Node("CLIPVisionLoader", {"clip_name": "dinov2_large.safetensors"}, {}, "DINOv2"),
        "sam": Node("CheckpointLoaderSimple", {"ckpt_name": "sam3.1_multiplex_fp16.safetensors"}, {}, "SAM3"),
        "what": note(
            "25 prompts at 4 seeds, as in DreamBench, with both models: 200 images. The base model gets each prompt "
            "without `[v]`. Write your class word into the prompts, the nouns and *class_word*, and the adapter's name "
            "into *trigger*.",
            140,
        ),
        "pictures": Node(
            "PureCCProtocolPictures",
            {"prompts": PROMPTS, "class_word": "robot", "trigger": f"embedding:{FOLDER}", "seeds": 4, **size}
            | {**SD35.sampling, "seed": 42},
            {**pair, "vae": SD35.vae},
        ),
        "drift": Node("PureCCModelDrift", {"prompts": UNRELATED, **size}, pair),
        "limits": note(
            "**Included from the paper's Table 1, for one concept:** ΔCLIP-T, Seg-Cons, CLIP-I, DINO; also "
            "drift.\n\n**Not included:** ΔHPSv2.1, ΔPickScore, and CSD for styles: ComfyUI loads no model for them. "
            "For a style, use ΔCLIP-T only.\n\n**Not comparable with the paper's numbers:** its table averages many "
            "concepts, and it does not name its CLIP, DINO and segmenter. Compare only models measured here.",
            260,
        ),
        "measure": Node(
            "PureCCMeasurePictures",
            {"nouns": NOUNS, "filename_prefix": f"purecc/{FOLDER}_protocol"},
            {
                "pictures": "pictures.pictures",
                "references": "references.images",
                "clip_vision": "clip_pictures.CLIP_VISION",
                "clip": "clip_texts.CLIP",
                "dino": "dino.CLIP_VISION",
                "segmenter": "sam.MODEL",
                "segmenter_clip": "sam.CLIP",
                "drift": "drift.drift",
            },
        ),
        "table": Node("PreviewAny", {}, {"source": "measure.table"}, "Table", 200),
        "sheet": Node(
            "SaveImage", {"filename_prefix": f"purecc/{FOLDER}_protocol"}, {"images": "measure.sheet"}, "Sheet", 300
        ),
    }
    return Graph(
        nodes,
        [
            Column("Your model and concept", ["files", *SD35.loaders, "saved", "concept", "references"]),
            Column("What measures", ["apply", "clip_note", "clip_pictures", "clip_texts", "others", "dino", "sam"]),
            Column("Pictures and drift", ["what", "pictures", "drift"]),
            Column("Measures", ["limits", "measure"]),
            Column("Result", ["table", "sheet"]),
        ],
    )
