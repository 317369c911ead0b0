"""The mean of the trained weights over the steps: its weights, where it is seen, and that a run goes on with it."""

import pytest
import torch
from loop import learnt, lora
from torch import nn


@pytest.fixture
def average(comfyui):
    from purecc_pack.purecc.training import average

    return average


@pytest.fixture
def anchored(comfyui):
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    return AnchoredLearning(masked=False, replay=False)


def test_every_step_weighs_as_its_share_of_the_run_to_a_power(average):
    p = nn.Parameter(torch.zeros(400))
    mean = average.Average([p])
    for step in range(1, 401):
        p.data = nn.functional.one_hot(torch.tensor(step - 1), 400).float()  # so that the mean holds the weights
        mean.add(step)
    (weights,) = mean.values
    assert float(weights.sum()) == pytest.approx(1, rel=1e-5)
    expected = (torch.arange(1, 401) / 400) ** average.POWER
    torch.testing.assert_close(weights, expected / expected.sum(), rtol=0.02, atol=2e-5)
    assert 400 - float(weights @ torch.arange(1.0, 401)) == pytest.approx(400 / 7, rel=0.02)


def test_the_parameters_are_the_mean_inside_and_themselves_again_after_an_error(average):
    p = nn.Parameter(torch.tensor([1.0]))
    mean = average.Average([p])
    mean.add(1)
    with torch.no_grad():
        p.fill_(3)
    mean.add(2)
    inside = 1 + 2 * (1 - 0.5**6)
    with pytest.raises(RuntimeError, match="broken"), mean.in_place():
        assert p.item() == pytest.approx(inside)
        raise RuntimeError("broken")
    assert p.item() == 3 and float(mean.values[0]) == pytest.approx(inside)
    mean.settle()
    assert p.item() == pytest.approx(inside)


def _trained(branched, data, recipe, steps, start=None):
    """(what each step shows, what the run leaves, its state at the end)."""
    import runs

    from purecc_pack.purecc.training.loop import Callbacks, train
    from purecc_pack.purecc.training.state import KeepsNothing

    seen, kept = [], []

    class Keeper(KeepsNothing):
        def ended(self, capture):
            kept.append(capture())

    def flat():
        return torch.cat([p.detach().flatten() for p in learnt(branched)])

    callbacks = Callbacks(lambda history: seen.append(flat()), start=start, keeper=Keeper())
    train(branched, data, recipe, runs.settings(steps=steps, lr=1e-2, clip=0.0), callbacks)
    return seen, flat(), kept[0]


@pytest.mark.slow
def test_a_run_is_watched_by_the_mean_leaves_it_and_goes_on_with_it(stage2, anchored):
    branched, data = stage2
    begun = [p.detach().clone() for p in learnt(branched)]
    seen, left, state = _trained(branched, data, anchored, 4)
    assert torch.equal(seen[-1], left) and torch.equal(state.learned["average"], left.cpu())
    assert not torch.equal(state.learned["weights"], left.cpu()), "the weights themselves go on from elsewhere"

    def again(steps, start=None):
        with torch.no_grad():
            for p, value in zip(learnt(branched), begun, strict=True):
                p.copy_(value)
        return _trained(branched, data, anchored, steps, start)

    _, _, half = again(2)
    resumed, whole, _ = again(4, half)
    assert torch.equal(whole, left) and torch.equal(resumed[-1], left)


@pytest.mark.slow
def test_other_methods_are_watched_by_the_weights(stage2):
    branched, data = stage2
    seen, left, state = _trained(branched, data, lora(), 2)
    assert torch.equal(state.learned["weights"], left.cpu()) and torch.equal(seen[-1], left)
    assert "average" not in state.learned
