"""The measuring nodes in a real server, between stock loaders, on PureCC Tiny and a LoRA."""

import io
import json

import numpy as np
import pytest
import standin_encoders as small
import torch
from client import ExecutionError
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

PROMPTS = "a [v] robot on grass\na blue car on sand"


@pytest.fixture(scope="module")
def lora(server):
    """A random LoRA for PureCC Tiny, as the stock loader takes it."""
    from purecc_pack.purecc.host.models import tiny

    name, suffix = "tiny_random.safetensors", "joint_blocks.0.x_block.attn.qkv.weight"
    with safe_open(next((tiny.Path(tiny.__file__).parents[2] / "tiny" / "weights").glob("purecc_tiny*")), "pt") as file:
        key = next(k for k in file.keys() if k.endswith(suffix))  # noqa: SIM118
        out, width = file.get_slice(key).get_shape()
    generator = torch.Generator().manual_seed(0)
    path = f"diffusion_model.{suffix.removesuffix('.weight')}"
    folder = server.base / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            f"{path}.lora_up.weight": torch.randn(out, 4, generator=generator) * 0.3,
            f"{path}.lora_down.weight": torch.randn(4, width, generator=generator) * 0.3,
        },
        folder / name,
    )
    return name


def graph(lora, **measure):
    pair = {"model": ["base", 0], "clip": ["base", 1], "customised_model": ["lora", 0], "customised_clip": ["lora", 1]}
    size = {"width": 96, "height": 96, "batch_size": 2}
    strengths = {"strength_model": 1.0, "strength_clip": 0.0}
    draw = {"prompts": PROMPTS, "class_word": "robot", "kind": "instance", "trigger": "yellow", "seed": 3, "seeds": 2}
    draw |= {"steps": 3, "cfg": 4.0, "sampler_name": "euler", "scheduler": "simple", "negative": "", "vae": ["base", 2]}
    known = {"pictures": ["draw", 0], "references": ["concept", 0], "nouns": "robot, grass", "threshold": 0.5}
    known |= {"filename_prefix": "scores/tiny", "clip_vision": ["vision", 0], "clip": ["text", 0], "dino": ["dino", 0]}
    known |= {"segmenter": ["sam3", 0], "segmenter_clip": ["sam3", 1], "drift": ["drift", 0]}
    nodes = {
        "base": ("PureCCTinyCheckpoint", {}),
        "concept": ("PureCCExampleConcept", {}),
        "lora": ("LoraLoader", {"model": ["base", 0], "clip": ["base", 1], "lora_name": lora, **strengths}),
        "vision": ("CLIPVisionLoader", {"clip_name": small.CLIP_FILE}),
        "dino": ("CLIPVisionLoader", {"clip_name": small.DINO_FILE}),
        "text": ("CLIPLoader", {"clip_name": small.CLIP_FILE, "type": "stable_diffusion"}),
        "sam3": ("CheckpointLoaderSimple", {"ckpt_name": small.SAM3_FILE}),
        "draw": ("PureCCProtocolPictures", {**pair, **size, **draw}),
        "drift": ("PureCCModelDrift", {**pair, **size, "prompts": "a green tree on snow"}),
        "measure": ("PureCCMeasurePictures", {**known, **measure}),
        "table": ("PreviewAny", {"source": ["measure", 0]}),
    }
    for name, source in (("sheet", ["measure", 2]), ("pictures", ["draw", 1]), ("customised", ["draw", 2])):
        nodes[name] = ("SaveImage", {"images": source, "filename_prefix": f"scores/{name}"})
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def saved(server, images):
    return [np.asarray(Image.open(io.BytesIO(server.client.image(image)))) / 255.0 for image in images]


def cosine(a, b):
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def test_the_nodes_measure_in_a_server_between_stock_loaders(server, lora, encoder_files):
    import comfy.clip_vision

    from purecc_pack.purecc.tiny import concept

    texts = []
    outputs = server.client.run(graph(lora), lambda name, data: texts.append(name))
    base, customised = (saved(server, outputs[name]["images"]) for name in ("pictures", "customised"))
    assert len(base) == len(customised) == 4
    assert all(picture.shape == (96, 96, 3) for picture in (*base, *customised))
    assert np.abs(base[0] - customised[0]).max() > 0.02
    files = sorted((server.base / "output" / "scores").glob("tiny_*.json"))
    known = json.loads(files[-1].read_text(encoding="utf-8"))
    assert files[-1].with_suffix(".md").read_text(encoding="utf-8") == outputs["table"]["text"][0] + "\n"
    assert known["left_out"] == {} and known["drift"] > 0
    assert set(known["measured_with"]) == {"CLIP-T and ΔCLIP-T", "CLIP-I", "DINO", "Seg-Cons"}
    assert known["drawn_with"]["trigger"] == "yellow" and known["seeds"] == [3, 4]

    references = [np.asarray(image) / 255.0 for image in concept.reference_images()]
    with small.shrink(), torch.inference_mode():
        for measure, file in (("clip_i", small.CLIP_FILE), ("dino", small.DINO_FILE)):
            vision = comfy.clip_vision.load(str(encoder_files / "clip_vision" / file))

            def embed(images, vision=vision):
                batch = torch.from_numpy(np.stack(images)).float()
                return vision.encode_image(batch)["image_embeds"].double().numpy()

            theirs = embed(references)
            for end, images in (("", customised[:2]), ("_base", base[:2])):
                expected = np.mean([cosine(a, b) for a in embed(images) for b in theirs])
                # Measured before the pictures were cut to 8 bits, which random weights make much of.
                assert known["prompts"][0][measure + end] == pytest.approx(expected, abs=0.02)
    for row in known["prompts"]:
        assert row["delta_clip_t"] == pytest.approx(row["clip_t"] - row["clip_t_base"])
        assert -100 < row["clip_t"] < 100 and 0 < row["seg_cons"] <= 100
    assert known["prompts"][1]["clip_i"] is None
    (sheet,) = saved(server, outputs["sheet"]["images"])
    assert min(sheet.shape[:2]) > 300 and sheet.std() > 0.05
    assert "executing" in texts and "progress_state" in texts


def test_what_is_wrong_is_said_by_the_node(server, lora, encoder_files):
    with pytest.raises(ExecutionError, match=r"dino .*clip_vision_model"):
        server.client.run(graph(lora, dino=["vision", 0]))
    with pytest.raises(ExecutionError, match="no nouns"):
        server.client.run(graph(lora, nouns=""))
    with pytest.raises(ExecutionError, match="embedding:nobody"):
        wrong = graph(lora)
        wrong["draw"]["inputs"]["trigger"] = "embedding:nobody"
        server.client.run(wrong)


def test_the_preservation_report_runs_between_stock_loaders(server, lora):
    nodes = graph(lora)
    drawn = dict(nodes["draw"]["inputs"], filename_prefix="scores/report")
    nodes["report"] = {"class_type": "PureCCPreservationReport", "inputs": drawn}
    nodes["sheet"]["inputs"]["images"] = ["report", 0]
    nodes["table"]["inputs"]["source"] = ["report", 1]
    nodes = {name: nodes[name] for name in ("base", "lora", "report", "sheet", "table")}
    outputs = server.client.run(nodes)
    known = json.loads(sorted((server.base / "output" / "scores").glob("report_*.json"))[-1].read_text("utf-8"))
    (found,) = known["models"]
    assert [p["group"] for p in known["prompts"]] == ["concept", "unrelated"] and found["drift"] > 0
    assert all(0 < row[s] < 1 for row in found["change"] for s in (0, 1))
    assert found["verdict"] in outputs["table"]["text"][0]
    (sheet,), (preview,) = saved(server, outputs["sheet"]["images"]), saved(server, outputs["report"]["images"])
    assert np.array_equal(sheet, preview) and min(sheet.shape[:2]) > 300
