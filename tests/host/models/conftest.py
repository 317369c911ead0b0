"""Text encoders, tokens for them, and the world that training needs."""

import pytest
import torch
from triple_clip import triple_clip


@pytest.fixture(scope="module")
def clip(comfyui):
    with torch.inference_mode():
        return triple_clip()


@pytest.fixture(scope="module")
def vectors(clip):
    from purecc_pack.purecc.host.models.embeddings import word_vectors

    with torch.inference_mode():
        return {k: v + 0.01 for k, v in word_vectors(clip, "robot").items()}


@pytest.fixture
def stock(clip, tmp_path):
    """Encodes a stock prompt with `embedding:NAME` from a file that Save Adapter wrote."""
    from purecc_pack.purecc.adapters import files

    def encode(text, tokens, clip=clip):
        lora = {"lora_up.weight": torch.zeros(4, 1), "lora_down.weight": torch.zeros(1, 4)}
        lora = {f"diffusion_model.x.{k}": v for k, v in lora.items()}
        layers = torch.ones(2, 4096)  # a width that T5 would take
        adapter = files.Adapter("adapter", "thing", lora, tokens, layers, {})
        files.save(adapter, tmp_path / "loras", tmp_path / "embeddings", overwrite=True)
        own = clip.clone()
        from purecc_pack.purecc.host.models import embeddings

        own.tokenizer = embeddings.with_directory(clip, tmp_path / "embeddings").tokenizer
        prompt = text.replace("(", r"\(").replace(")", r"\)")
        prompt = " ".join(prompt.replace("[v]", " embedding:thing ").split())
        with torch.inference_mode():
            tokens = own.tokenize(prompt)
            return tokens, own.encode_from_tokens(tokens, return_pooled=True, return_dict=True)

    return encode


@pytest.fixture
def world():
    """An exit stack in the world that training needs."""
    from contextlib import ExitStack

    from purecc_pack.purecc.host.models.copies import trainable_world

    with trainable_world(), ExitStack() as stack:
        yield stack
