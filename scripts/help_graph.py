"""The graph whose nodes the help pages show, and which of them each page shows: for help_pictures.py."""

from graphs.try_it import DRIFT, POOL

NAME = "my_robot"

PROMPTS = """a [v] robot on grass in flat style
a robot on grass in flat style
a blue fish on waves in ink style
a red car on sand in flat style"""
SAMPLES = """a [v] robot on grass in flat style
a [v] robot on snow in ink style"""

BASE = {"model": ["tiny", 0], "clip": ["tiny", 1]}
VAE = {"vae": ["tiny", 2]}
PAIR = {**BASE, "customised_model": ["apply", 0], "customised_clip": ["apply", 1]}
SIZE = {"width": 96, "height": 96}
SAMPLED = {"seed": 42, "steps": 28, "cfg": 4, "sampler_name": "euler", "scheduler": "simple"}
ABOUT = {"class_word": "robot", "resolution": 96}
ASKED = {**VAE, **SIZE, **SAMPLED, "prompts": PROMPTS, "class_word": "robot", "seeds": 2}
TRAIN = {**BASE, **VAE, "preset": "custom", "seed": 0, "batch_size": 4, "rank": 8}
WATCH = {"drift_prompts": DRIFT, "sample_prompt": SAMPLES}

# Every node of the graph: its class, and the inputs that are not at their defaults. A list links to a node, its output.
GRAPH = {
    "tiny": ("PureCCTinyCheckpoint", {}),
    "text": ("CLIPTextEncode", {"clip": ["tiny", 1], "text": "a blue car on the left on sand in ink style"}),
    "nothing": ("CLIPTextEncode", {"clip": ["tiny", 1], "text": ""}),
    "latent": ("EmptySD3LatentImage", {**SIZE, "batch_size": 1}),
    "sampler": (
        "KSampler",
        {
            **SAMPLED,
            "model": ["tiny", 0],
            "positive": ["text", 0],
            "negative": ["nothing", 0],
            "latent_image": ["latent", 0],
        },
    ),
    "decode": ("VAEDecode", {**VAE, "samples": ["sampler", 0]}),
    "drawn": ("PreviewImage", {"images": ["decode", 0]}),
    "concept": ("PureCCExampleConcept", {}),
    "references": ("PreviewImage", {"images": ["concept", 0]}),
    "dataset": ("PureCCConceptDataset", {**VAE, **ABOUT, "images": ["concept", 0], "captions": ["concept", 1]}),
    "masks": ("PureCCConceptMasks", {**BASE, "dataset": ["dataset", 0]}),
    "extract": (
        "PureCCTrainExtractor",
        {**TRAIN, **WATCH, "dataset": ["dataset", 0], "name": f"{NAME}_extractor", "steps": 60, "sample_every": 20}
        | {"batch_size": 5, "rank": 4, "learning_rate": 0.002, "embedding_learning_rate": 0.002},
    ),
    "settings": ("PureCCTrainingSettings", {}),
    "save_extractor": ("PureCCSaveAdapter", {"adapter": ["extract", 0], "overwrite": True}),
    "learn": (
        "PureCCPureLearning",
        {**TRAIN, **WATCH, "dataset": ["masks", 0], "name": NAME, "steps": 100, "sample_every": 25}
        | {"learning_rate": 0.008, "embedding_learning_rate": 0.04, "warmup_steps": 10}
        | {"pool_images": 48, "pool_prompts": POOL},
    ),
    "lora": (
        "PureCCPureLearning",
        {**TRAIN, "dataset": ["masks", 0], "name": f"{NAME}_lora", "steps": 100, "sample_every": 0, "method": "LoRA"}
        | {"learning_rate": 0.001, "embedding_learning_rate": 0.005, "target_layers": "attention and mlp"},
    ),
    "save": ("PureCCSaveAdapter", {"adapter": ["learn", 0], "overwrite": True}),
    "apply": ("PureCCApplyAdapter", {**BASE, "adapter": ["learn", 0]}),
    "prompt": ("CLIPTextEncode", {"clip": ["apply", 1], "text": f"a embedding:{NAME} robot on a beach"}),
    "words": ("PureCCConceptPrompt", {"adapter": ["learn", 0], "text": "a [v] on a beach"}),
    "curves": ("PureCCTrainingCurves", {"loss": ["learn", 2]}),
    "plot": ("PreviewImage", {"images": ["curves", 0]}),
    "report": ("PureCCPreservationReport", {**PAIR, **ASKED, "trigger": f"embedding:{NAME}"}),
    "compare": ("PureCCCompareAdapters", {**BASE, **ASKED, "adapter": ["learn", 0], "adapter_2": ["lora", 0]}),
    "protocol": (
        "PureCCProtocolPictures",
        {**PAIR, **ASKED, "trigger": f"embedding:{NAME}", "seeds": 3},
    ),
    "before": ("PreviewImage", {"images": ["protocol", 1]}),
    "after": ("PreviewImage", {"images": ["protocol", 2]}),
    "drift": ("PureCCModelDrift", {**PAIR, **SIZE, "prompts": DRIFT}),
    "figure": ("PreviewAny", {"source": ["drift", 1]}),
    "folder": ("PureCCImageFolder", {"folder": NAME}),
    "from_folder": ("PureCCConceptDataset", {**VAE, **ABOUT, "images": ["folder", 0], "captions": ["folder", 1]}),
}
# Only shown: what they need is not at hand, or there only after the run.
LATER = {
    "load": ("PureCCLoadAdapter", {"adapter_name": f"{NAME}.safetensors"}),
    "loaded": ("PureCCApplyAdapter", {"adapter": ["load", 0]}),
    "measure": (
        "PureCCMeasurePictures",
        {"pictures": ["protocol", 0], "references": ["concept", 0], "drift": ["drift", 0]},
    ),
}
# The nodes of each page in columns, with widths and, where there is room to spare, heights, 0 for a
# node that is collapsed; or the part of a node that is shown alone.
PAGES: dict[str, str | list] = {
    "PureCCTinyCheckpoint": [[("tiny", 200)], [("text", 260, 150)], [("drawn", 220, 250)]],
    "PureCCExampleConcept": [[("concept", 220)], [("references", 420, 330)]],
    "PureCCImageFolder": [[("folder", 260)], [("from_folder", 340, 420)]],
    "PureCCConceptDataset": [[("dataset", 440, 790)]],
    "PureCCConceptMasks": [[("masks", 460, 420)]],
    "PureCCTrainExtractor": "extract panel",
    "PureCCPureLearning": "learn panel",
    "PureCCTrainingSettings": [[("settings", 420)]],
    "PureCCSaveAdapter": [[("learn", 200, 0)], [("save", 300)]],
    "PureCCLoadAdapter": [[("load", 300)], [("loaded", 280)]],
    "PureCCApplyAdapter": [[("tiny", 200)], [("apply", 240)], [("prompt", 270, 120)]],
    "PureCCConceptPrompt": [[("learn", 200, 0)], [("words", 300, 150)], [("prompt", 270, 120)]],
    "PureCCTrainingCurves": [[("curves", 200)], [("plot", 440, 400)]],
    "PureCCPreservationReport": "report sheet",
    "PureCCCompareAdapters": "compare sheet",
    "PureCCProtocolPictures": [[("protocol", 300)], [("before", 320, 350), ("after", 320, 350)]],
    "PureCCMeasurePictures": [[("protocol", 200, 0), ("drift", 200, 0)], [("measure", 320)]],
    "PureCCModelDrift": [[("tiny", 180)], [("apply", 200)], [("drift", 300, 320)]],
}
