"""Adapters to save and load, and what tests of both ask of the folders."""

import torch

from purecc_pack.purecc.adapters.files import Adapter

MODULE = "diffusion_model.joint_blocks.0.x_block.attn.qkv"


def make(name="rob", *, seed=0, kind="adapter", tokens=True, layers=True, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator).to(dtype)

    lora = {f"{MODULE}.lora_up.weight": draw(2, 6).T, f"{MODULE}.lora_down.weight": draw(2, 4)}
    lora[f"{MODULE}.alpha"] = torch.tensor(2.0)
    return Adapter(
        kind,
        name,
        lora,
        {"clip_l": draw(1, 8), "clip_g": draw(1, 12)} if tokens else {},
        draw(3, 5) if layers else None,
        {"modelspec.title": name, "purecc.recipe": '{"rank": 2}'},
    )


def contents(*folders):
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def assert_same(a, b):
    assert (a.kind, a.name) == (b.kind, b.name)
    assert a.metadata.items() <= b.metadata.items()
    for ours, theirs in ((a.lora, b.lora), (a.embedding, b.embedding)):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert ours[key].dtype == theirs[key].dtype and torch.equal(ours[key], theirs[key]), key
