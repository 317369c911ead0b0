"""Load the embedded base model."""

from __future__ import annotations

from pathlib import Path

import comfy.sd
import folder_paths

CHECKPOINT = Path(__file__).parents[2] / "tiny" / "weights" / "purecc_tiny.safetensors"

WINDOW = 32
"""Length of the CLIP-L token window."""

CLIP_L = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "max_position_embeddings": WINDOW,
}
TEXT_OPTIONS = {"clip_l_model_config": CLIP_L}


def load_tiny_checkpoint(embedding_directory=None, path: Path = CHECKPOINT):
    """Load the embedded base model as the stock checkpoint loader would.

    Args:
        embedding_directory: folder or folders where prompts look up `embedding:NAME`.
        path: the checkpoint.

    Returns:
        (MODEL, CLIP, VAE) of the host.

    Raises:
        FileNotFoundError: the weights are not there.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"The weights of PureCC Tiny are missing: {path} does not exist. Reinstall the pack.")
    model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(
        str(path),
        output_vae=True,
        output_clip=True,
        embedding_directory=embedding_directory,
        te_model_options=dict(TEXT_OPTIONS),
    )
    clip.tokenizer.clip_l.max_length = WINDOW
    return model, clip, vae


def load_tiny_models():
    """Load the embedded base model with the host's embeddings folders; see `load_tiny_checkpoint`."""
    return load_tiny_checkpoint(folder_paths.get_folder_paths("embeddings"))
