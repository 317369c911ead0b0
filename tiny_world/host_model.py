"""Build, train and export the host's own classes at the sizes of the embedded base model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.latent_formats
import comfy.ldm.modules.diffusionmodules.mmdit as mmdit
import comfy.ops
import comfy.sd1_clip
import torch
from comfy.taesd.taesd import TAESD, Block
from safetensors.torch import save_file
from torch import nn

from ..purecc.host.models.tiny import CLIP_L, TEXT_OPTIONS, WINDOW

DEPTH = 3
SELF_ATTENTION = [0, 1]
"""The blocks with a second attention."""
LATENT_FORMAT = comfy.latent_formats.SD3()

_VOCABULARY = 49408
_CONTEXT_WIDTH = 4096
_POOLED_EXTRA = 1280


def initialise(module: nn.Module, seed: int) -> nn.Module:
    """Initialise the weights of host layers, which the host leaves uninitialised, from a seed."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
        elif isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight, std=0.02, generator=generator)
        elif isinstance(weight := getattr(layer, "weight", None), torch.Tensor):
            nn.init.ones_(weight)
        if isinstance(bias := getattr(layer, "bias", None), torch.Tensor):
            nn.init.zeros_(bias)
    return module


def build_autoencoder(seed: int = 0) -> TAESD:
    """Build a TAESD with 16 latent channels and fresh weights: [B, 3, H, W] in -1..1 <-> [B, 16, H/8, W/8]."""
    autoencoder = TAESD(latent_channels=16)
    initialise(autoencoder, seed)
    with torch.no_grad():
        for block in autoencoder.modules():
            if isinstance(block, Block):
                block.conv[-1].weight.mul_(0.2)
        for last in (autoencoder.taesd_encoder[-1], autoencoder.taesd_decoder[-1]):
            last.weight.mul_(0.3)
        autoencoder.taesd_decoder[-1].bias.fill_(0.5)
    return autoencoder


class TinyTextToVelocity(nn.Module):
    """CLIP-L and MMDiT in one module for training: noised latents, times and captions -> velocities.

    Both are the host's classes. The host pads the text encoder's output with zeros, to 4096 and 1344 channels; here the
    layers that read it have only the 64 columns in use, which is the same function and faster. Only words of captions
    have an embedding.
    """

    def __init__(self, captions: list[str], seed: int = 0) -> None:
        super().__init__()
        self.tokenizer = comfy.sd1_clip.SDTokenizer(max_length=WINDOW)
        self._tokens: dict[str, list[int]] = {}
        words = sorted({token for caption in captions for token in self.tokens(caption)})
        self.register_buffer("words", torch.tensor(words))
        self._row = {word: row for row, word in enumerate(words)}
        clip = comfy.sd1_clip.SDClipModel(
            layer="hidden", layer_idx=-2, dtype=torch.float32, model_options=dict(TEXT_OPTIONS)
        )
        self.clip = clip.transformer
        width = CLIP_L["hidden_size"]
        self.clip.set_input_embeddings(nn.Embedding(len(words), width))
        projection = {"in_features": width, "out_features": 64 * DEPTH}
        self.mmdit = mmdit.OpenAISignatureMMDITWrapper(
            input_size=None, in_channels=16, depth=DEPTH, adm_in_channels=width, qk_norm="rms",
            x_block_self_attn_layers=SELF_ATTENTION,
            context_embedder_config={"target": "torch.nn.Linear", "params": projection},
            dtype=torch.float32, operations=comfy.ops.disable_weight_init,
        )  # fmt: skip
        initialise(self, seed)
        self._start()
        self.requires_grad_(True)
        self.clip.text_projection.requires_grad_(False)

    @torch.no_grad()
    def _start(self) -> None:
        """Start with words far apart, no modulation, half-open gates and zero velocity."""
        text = self.clip.text_model.embeddings
        text.token_embedding.weight.mul_(25)
        text.position_embedding.weight.mul_(10)
        nn.init.eye_(self.clip.text_projection.weight)
        width = 64 * DEPTH
        modules: dict[str, Any] = dict(self.mmdit.named_modules())
        for name, layer in modules.items():
            if name.endswith("adaLN_modulation"):
                layer[1].weight.zero_()
                for gate in (2, 5, 8) if name != "final_layer.adaLN_modulation" else ():
                    layer[1].bias[gate * width : (gate + 1) * width] = 0.5
        self.mmdit.final_layer.linear.weight.zero_()

    def tokens(self, caption: str) -> list[int]:
        """Return the CLIP-L token ids of a caption: start, words, end, padded with end to `WINDOW`."""
        if caption not in self._tokens:
            (window,) = self.tokenizer.tokenize_with_weights(caption)
            self._tokens[caption] = [token for token, _ in window]
        return self._tokens[caption]

    def encode(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the penultimate layer [B, WINDOW, 64] and the pooled last layer [B, 64], as the host does for SD3.

        The host's layers add in place, which breaks the backward pass; here the additions are out of place.
        """
        ids = torch.tensor([[self._row[token] for token in self.tokens(caption)] for caption in captions])
        end = torch.tensor([self.tokens(caption).index(self.tokenizer.end_token) for caption in captions])
        text = self.clip.text_model
        x = text.embeddings.token_embedding(ids) + text.embeddings.position_embedding.weight
        layers = text.encoder.layers
        for i, layer in enumerate(layers):
            attention = layer.self_attn
            normed = layer.layer_norm1(x)
            q, k, v = (
                linear(normed).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
                for linear in (attention.q_proj, attention.k_proj, attention.v_proj)
            )
            mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + attention.out_proj(mixed.transpose(1, 2).flatten(2))
            x = x + layer.mlp(layer.layer_norm2(x))
            if i == len(layers) - 2:
                penultimate = x
        return penultimate, text.final_layer_norm(x)[torch.arange(len(captions)), end]

    def forward(self, xt: torch.Tensor, t: torch.Tensor, captions: list[str]) -> torch.Tensor:
        """Return the velocity [B, 16, h, w] at `xt` and the host's sigma `t` [B] in 0..1; the MMDiT gets 1000 t."""
        context, pooled = self.encode(captions)
        return self.mmdit(xt, t * 1000, context=context, y=pooled)


def normalise_latents(latents: torch.Tensor) -> torch.Tensor:
    """Scale VAE latents to those of the MMDiT."""
    return LATENT_FORMAT.process_in(latents)


def _widen(weight: torch.Tensor, width: int) -> torch.Tensor:
    return nn.functional.pad(weight, (0, width - weight.shape[1]))


@torch.no_grad()
def export_checkpoint(path: Path, model: TinyTextToVelocity, autoencoder: nn.Module, metadata: dict[str, str]) -> None:
    """Write the checkpoint that `load_tiny_checkpoint` reads, in float16 but for the two scalars of the latent scale.

    Words that occur in no caption get an embedding near the mean of the others.
    """
    tensors = {f"first_stage_model.{name}": tensor for name, tensor in autoencoder.state_dict().items()}
    for name, tensor in model.mmdit.state_dict().items():
        if name == "context_embedder.weight":
            tensor = _widen(tensor, _CONTEXT_WIDTH)
        elif name == "y_embedder.mlp.0.weight":
            tensor = _widen(tensor, tensor.shape[1] + _POOLED_EXTRA)
        tensors[f"model.diffusion_model.{name}"] = tensor
    for name, tensor in model.clip.state_dict().items():
        if name == "text_model.embeddings.token_embedding.weight":
            generator = torch.Generator().manual_seed(0)
            spread = tensor.std(0) * 0.3
            table = tensor.mean(0) + spread * torch.randn(_VOCABULARY, tensor.shape[1], generator=generator)
            table[model.words] = tensor
            tensor = table
        tensors[f"text_encoders.clip_l.transformer.{name}"] = tensor
    tensors = {
        name: tensor.detach().to(torch.float32 if tensor.ndim == 0 else torch.float16).contiguous()
        for name, tensor in tensors.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata=metadata)
    part.replace(path)
