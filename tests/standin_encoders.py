"""Small CLIP, DINOv2 and SAM3 files with random weights, made and loaded by the host's own classes.

The host chooses an encoder's sizes by its kind, not by its file, so small files need small sizes there: `shrink` sets
them in this process, and `install` has a server do the same. Everything else is the host's own: detection of the kind,
loading, preparing of pictures, the networks.
"""

import contextlib
import json
import shutil
from pathlib import Path

import pytest
import server_packs
import torch
from safetensors.torch import save_file
from standin import SMALL_CLIP, _fill

CLIP = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
DINO = {"hidden_size": 32, "num_attention_heads": 2, "image_size": 56}
SAM3 = {"embed_dim": 64, "d_model": 32, "depth": 2, "global_att_blocks": (1,), "num_queries": 20}
SAM3 |= {"patch_size": 56, "window_size": 6}  # 18 x 18 patches and not 72 x 72, which take minutes on a CPU
SAM3_TEXT = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "num_hidden_layers": 3}
CLIP_FILE, DINO_FILE = "clip-vit-large-patch14.safetensors", "dinov2_large.safetensors"
SAM3_FILE = "sam3.1_multiplex_fp16.safetensors"


def shrink(**clip) -> contextlib.ExitStack:
    """Makes the host build these encoders small until the stack is closed; `clip` adds to CLIP's sizes."""
    import comfy.clip_vision
    import comfy.supported_models
    from comfy.text_encoders import sam3_clip

    stack = contextlib.ExitStack()
    build = comfy.clip_vision.ClipVisionModel.__init__
    sizes = {"clip_vision_model": CLIP | clip, "dinov2": DINO}

    def small(self, json_config):
        config = json.loads(Path(json_config).read_text())
        build(self, config | sizes.get(config.get("model_type", "clip_vision_model"), {}))

    comfy.clip_vision.ClipVisionModel.__init__ = small
    stack.callback(setattr, comfy.clip_vision.ClipVisionModel, "__init__", build)
    stack.callback(setattr, comfy.supported_models.SAM3, "unet_extra_config", {})
    comfy.supported_models.SAM3.unet_extra_config = SAM3
    stack.callback(setattr, sam3_clip, "SAM3_CLIP_CONFIG", sam3_clip.SAM3_CLIP_CONFIG)
    sam3_clip.SAM3_CLIP_CONFIG = sam3_clip.SAM3_CLIP_CONFIG | SAM3_TEXT
    return stack


def install(base: Path) -> None:
    """Has a server with this base directory build these encoders small."""
    server_packs.add(base, "standin_encoders", "shrink")


def vision_weights(kind: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights for a ViT-L of CLIP ("clip_vision_config_vitl") or DINOv2 ("image_encoders/dino2_large")."""
    import comfy
    from comfy.clip_vision import ClipVisionModel

    with torch.inference_mode(False):
        model = ClipVisionModel(str(Path(comfy.__path__[0]) / f"{kind}.json")).model
        return _fill(model, torch.Generator().manual_seed(seed))


def text_weights(small: bool, seed: int = 1) -> dict[str, torch.Tensor]:
    """Random weights for CLIP-L's text half with its projection, 64 or 768 wide."""
    from comfy.sd1_clip import SDClipModel

    options = {"clip_l_model_config": SMALL_CLIP} if small else {}
    network = SDClipModel(dtype=torch.float32, model_options=options).transformer
    return _fill(network, torch.Generator().manual_seed(seed))


def save(path: Path, weights: dict[str, torch.Tensor], dtype=torch.float32) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.to(dtype).contiguous() for k, v in weights.items()}, path)
    return path


def write_clip(path: Path, small_text: bool = True, dtype=torch.float32) -> Path:
    """A whole CLIP in one file, as it is published: Load CLIP Vision and Load CLIP each take their half."""
    return save(path, vision_weights("clip_vision_config_vitl") | text_weights(small_text), dtype)


def write_dino(path: Path) -> Path:
    return save(path, vision_weights("image_encoders/dino2_large", seed=2))


def write_sam3(path: Path, seed: int = 5) -> Path:
    """A SAM 3.1 checkpoint, text encoder included; of seed 5 every noun has detections, about half a picture each."""
    import comfy.ops
    from comfy.ldm.sam3.detector import SAM3Model
    from comfy.text_encoders.sam3_clip import SAM3ClipModel

    generator = torch.Generator().manual_seed(seed)
    network = SAM3Model(image_model="SAM31", dtype=torch.float32, operations=comfy.ops.disable_weight_init, **SAM3)
    text = SAM3ClipModel(dtype=torch.float32, model_options={"model_name": "sam3_clip"}).transformer
    prefix = "detector.backbone.language_backbone.sam3_clip.transformer."
    weights = _fill(network, generator) | {prefix + k: v for k, v in _fill(text, generator).items()}
    return save(path, weights)


def load_text(path: Path):
    """CLIP of a file with the small text half, as Load CLIP has it."""
    import comfy.sd
    from comfy.sd1_clip import SD1CheckpointClipModel

    def small(device="cpu", dtype=None, model_options=None):
        return SD1CheckpointClipModel(device, dtype, {**model_options, "clip_l_model_config": dict(SMALL_CLIP)})

    return comfy.sd.load_clip([str(path)], model_options={"clip_l_class": small})


class Encoders:
    """All three as the stock loaders load them, CLIP 64 wide, and their files."""

    def __init__(self, folder: Path):
        import comfy.clip_vision
        import comfy.sd

        with shrink(projection_dim=64):
            self.clip_file = write_clip(folder / "clip.safetensors")
            self.dino_file = write_dino(folder / "dino.safetensors")
            sam3 = write_sam3(folder / "sam3.safetensors")
            self.vision = comfy.clip_vision.load(str(self.clip_file))
            self.dino = comfy.clip_vision.load(str(self.dino_file))
            self.segmenter, self.segmenter_clip, *_ = comfy.sd.load_checkpoint_guess_config(str(sam3))
        self.clip = load_text(self.clip_file)


@pytest.fixture(scope="session")
def encoders(comfyui, tmp_path_factory):
    """Small encoders that tests read and do not change."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        return Encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture(scope="session")
def encoder_files(server):
    """The small encoders in the folders of a server, under the names by which graphs load them.

    CLIP's text half is as wide as the real one, 768, because Load CLIP cannot be told another size.
    """
    models = server.base / "models"
    with shrink():
        write_clip(models / "clip_vision" / CLIP_FILE, small_text=False, dtype=torch.float16)
        write_dino(models / "clip_vision" / DINO_FILE)
        write_sam3(models / "checkpoints" / SAM3_FILE)
    (models / "text_encoders").mkdir(parents=True, exist_ok=True)
    shutil.copy(models / "clip_vision" / CLIP_FILE, models / "text_encoders" / CLIP_FILE)
    return models
