"""A checkpoint of Stable Diffusion 3.5 Medium's kind with random weights: the host's own classes, small."""

from pathlib import Path

import torch
from safetensors.torch import save_file

SMALL_CLIP = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "num_hidden_layers": 3}


def _fill(module: torch.nn.Module, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Random weights of a size at which signals pass: matrices by their width, norms near one."""
    out = {}
    for name, tensor in module.state_dict().items():
        shape = tuple(tensor.shape)
        noise = torch.randn(shape, generator=generator)
        if len(shape) < 2:
            near = 1.0 if name.endswith("weight") else 0.0
            out[name] = near + 0.05 * noise
        else:
            fan_in = int(torch.tensor(shape[1:]).prod())
            out[name] = noise * (0.5 if "embedding" in name else fan_in**-0.5)
    return out


def write(path: Path, depth: int = 2, small_clip: bool = True, seed: int = 0, dtype=torch.float32) -> Path:
    """Writes the checkpoint.

    Args:
        path: where.
        depth: joint blocks; the hidden width is 64 a block.
        small_clip: 64 wide, for a loader that passes `SMALL_CLIP`; else CLIP-L as it is.
        seed: of the weights.
        dtype: of the file.
    """
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper
    from comfy.sd1_clip import SDClipModel
    from comfy.taesd.taesd import TAESD

    generator = torch.Generator().manual_seed(seed)
    options = {"clip_l_model_config": SMALL_CLIP} if small_clip else {}
    width = 64 if small_clip else 768
    clip = SDClipModel(layer="hidden", layer_idx=-2, dtype=torch.float32, model_options=options)
    network = OpenAISignatureMMDITWrapper(
        input_size=None,
        in_channels=16,
        depth=depth,
        adm_in_channels=width + 1280,
        qk_norm="rms",
        x_block_self_attn_layers=list(range(depth)),
        context_embedder_config={
            "target": "torch.nn.Linear",
            "params": {"in_features": 4096, "out_features": 64 * depth},
        },
        dtype=torch.float32,
        operations=comfy.ops.disable_weight_init,
    )
    parts = {
        "model.diffusion_model.": network,
        "first_stage_model.": TAESD(latent_channels=16),
        "text_encoders.clip_l.transformer.": clip.transformer,
    }
    state = {}
    for prefix, module in parts.items():
        state |= {prefix + name: w.to(dtype).contiguous() for name, w in _fill(module, generator).items()}
    state["first_stage_model.vae_scale"] = torch.tensor(1.0)
    state["first_stage_model.vae_shift"] = torch.tensor(0.0)
    save_file(state, path)
    return path


def load(path: Path, embedding_directory=None, dtype=None):
    """(MODEL, CLIP, VAE) of a checkpoint with the small CLIP; MODEL's weights in a dtype, or as the host chooses."""
    import comfy.sd

    model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(
        str(path),
        embedding_directory=embedding_directory,
        model_options={} if dtype is None else {"dtype": dtype},
        te_model_options={"clip_l_model_config": dict(SMALL_CLIP)},
    )
    return model, clip, vae
