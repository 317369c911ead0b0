"""Training states come back from the disk as they were, and training resumes from them."""

import pytest
import torch


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def test_a_state_comes_back_as_it_was(tmp_path, comfyui):
    from purecc_pack.tiny_world.checkpoints import load_state, save_state

    tied = torch.randn(2, 3)
    state = {
        "weights": {"a": torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last), "b": tied, "c": tied.T},
        "half": torch.ones(3, dtype=torch.float16),
        "optimisers": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"betas": (0.9, 0.99)}]}],
        "scenes": [{"thing": "robot", "companion": None, "at": (1, 2.5)}, {}],
        "step": 7,
        "done": True,
    }
    assert load_state(tmp_path / "state.safetensors") is None
    save_state(tmp_path / "state.safetensors", state)
    assert equal(load_state(tmp_path / "state.safetensors"), state)
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


@pytest.mark.parametrize("optimiser", ["Muon", "AdamW"])
def test_an_optimiser_goes_on_where_it_stopped(tmp_path, comfyui, optimiser):
    from purecc_pack.tiny_world.checkpoints import load_state, save_state
    from purecc_pack.tiny_world.muon import Muon

    def make():
        weight = torch.nn.Parameter(torch.ones(3, 4))
        return weight, Muon([weight], 1e-2) if optimiser == "Muon" else torch.optim.AdamW([weight], lr=1e-2)

    def train(weight, steps, optimiser):
        for step in steps:
            weight.grad = torch.randn(3, 4, generator=torch.Generator().manual_seed(step))
            optimiser.step()

    whole, through = make()
    train(whole, range(4), through)
    first, half = make()
    train(first, range(2), half)
    save_state(tmp_path / "state.safetensors", {"weight": first, "optimiser": half.state_dict()})
    second, rest = make()
    state = load_state(tmp_path / "state.safetensors")
    rest.load_state_dict(state["optimiser"])
    with torch.no_grad():
        second.copy_(state["weight"])
    train(second, range(2, 4), rest)
    assert torch.equal(second, whole)
