"""The released step written anew: its loss, and what it trains."""

import pytest
import torch

pytestmark = pytest.mark.slow


def filled(network, std):
    for name, w in network.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(w, std=std)


@pytest.mark.parametrize("joined", [False, True])
def test_the_released_loss(comfyui, joined):
    """Against its own transformers called one text at a time, and against the pack's recipe of the same passes."""
    from speed.released import ReleasedStep
    from speed.sd3 import SMALL
    from speed.stages import STAGES

    from purecc_pack.purecc.method.recipe import Samples

    torch.manual_seed(0)
    step = ReleasedStep(SMALL, torch.device("cpu"), joined)
    filled(step.trained, 0.3)  # so that it makes a difference; the frozen one's is not to
    filled(step.frozen, 0.3)
    noised = step.noised(64, 3)
    loss = step.loss(step.velocities(noised), noised.target)

    def v(network, text):
        given = {"encoder_hidden_states": noised.context[text], "pooled_projections": noised.pooled[text]}
        return network(noised.x_t, timestep=noised.timestep, **given).sample.detach()

    complete, base = v(step.trained, "complete"), v(step.trained, "base")
    filled(step.trained, 0.0)
    assert not torch.allclose(v(step.trained, "complete"), complete, atol=1e-3)
    filled(step.frozen, 0.0)
    target, empty = v(step.frozen, "target"), v(step.frozen, "empty")

    own = ((noised.target - complete) ** 2).mean() + 2 * ((base + 1.0 * (target - empty) - complete) ** 2).mean()
    torch.testing.assert_close(loss, own)
    recipe = STAGES["pure learning, as released"].recipe
    velocities = dict(zip(recipe.passes, (complete, base, target, empty), strict=True))
    assert [(p.branch, p.text, p.grad) for p in velocities] == [
        ("learner", "complete", True),
        ("learner", "base", True),
        (None, "target", False),
        (None, "empty", False),
    ]
    drawn = torch.zeros(3, dtype=torch.bool)
    samples = Samples((), noised.x_t, noised.timestep / 1000, noised.target, torch.ones(3, 1, 8, 8), drawn)
    torch.testing.assert_close(recipe.terms(velocities, samples, None).total.mean(), own)


def test_a_released_step_trains_its_lora_alone(comfyui):
    from speed.released import ReleasedStep
    from speed.sd3 import SMALL

    torch.manual_seed(0)
    step = ReleasedStep(SMALL, torch.device("cpu"))
    networks = {"trained": step.trained, "frozen": step.frozen, "vae": step.vae, "t5": step.t5}
    before = {n: {k: w.clone() for k, w in m.state_dict().items()} for n, m in networks.items()}
    step(64, 2)
    changed = {(n, k) for n, m in networks.items() for k, w in m.state_dict().items() if not w.equal(before[n][k])}
    assert changed and all(n == "trained" and "lora_B" in k for n, k in changed)
    blocks = {k.split(".")[1] for _, k in changed}
    assert blocks == {"0", "1"} and not any("attn2" in k for _, k in changed)


def test_layers_of_t5_that_were_left_out_are_timed(comfyui, tmp_path):
    from dataclasses import replace

    from speed.names import LEFT_OUT
    from speed.released import Released
    from speed.sd3 import SMALL
    from speed.setup import Setup, Shape

    shape, device = Shape(64, 1), torch.device("cpu")
    for left_out in (0, 3):
        setup = Setup(replace(SMALL, left_out=left_out), device, tmp_path)
        _, found = Released(setup).measure(*Released.cases()[0], shape)
        assert found.details.get(LEFT_OUT, 0.0) >= 0.0 and (LEFT_OUT in found.details) == bool(left_out)
