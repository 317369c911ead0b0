"""The private copy's position embeddings and its attention."""

import contextlib

import pytest
import runs
import torch
from loop import move

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("whole", [11, 12])
def test_the_middle_of_the_position_embeddings_is_all_that_is_needed(models, dataset, whole):
    """For pictures of every size up to the largest, odd and even, bit for bit; larger ones are refused by the host."""
    with runs.at_work(models, dataset, runs.job(input_token=False)) as (branched, _), torch.no_grad():
        field = branched.field
        generator = torch.Generator().manual_seed(0)
        field.module.pos_embed = torch.randn(1, whole**2, field.module.hidden_size, generator=generator)
        field.module.pos_embed_max_size = whole
        texts = [dataset.items[0].texts.complete]

        def velocities():
            return [branched.run(None, torch.ones(1, 16, *shape), torch.tensor([0.5]), texts) for shape in shapes]

        shapes = [(10, 14), (14, 10), (8, 12), (2, 2), (9, 13)]
        before = velocities()
        field.keep_positions([(16, *shape) for shape in shapes])
        side = 7 + (whole - 7) % 2
        assert field.module.pos_embed.shape == (1, side**2, field.module.hidden_size)
        assert field.module.pos_embed.untyped_storage().nbytes() == 4 * side**2 * field.module.hidden_size
        assert all(torch.equal(a, b) for a, b in zip(velocities(), before, strict=True))
        shapes = [(2 * side + 2, 2)]
        with pytest.raises(AssertionError):
            velocities()


def test_a_run_keeps_what_its_largest_pictures_take(models, dataset, monkeypatch):
    """Samples, drift and the pool's pictures are of the references' shapes."""
    from purecc_pack.purecc.host.training import assembly
    from purecc_pack.purecc.method.baselines import PriorPreservation

    made, sides = assembly.private_field, []

    @contextlib.contextmanager
    def with_embeddings(*args):
        with made(*args) as out:
            out.module.pos_embed = torch.zeros(1, 20**2, out.module.hidden_size)
            out.module.pos_embed_max_size = 20
            yield out
            sides.append(out.module.pos_embed_max_size)

    monkeypatch.setattr(assembly, "private_field", with_embeddings)
    job = runs.job(recipe=PriorPreservation(), pool_images=1, steps=1, drift_prompts=("a lake",), sample_every=1)
    runs.customise(models, dataset, job)
    (size,) = {i.latents.shape[-1] for i in dataset.items}
    assert sides == [size // 2 + size // 2 % 2]


def test_an_attention_without_a_backward_pass_is_not_trained_through(models, dataset, monkeypatch):
    """One that the host was started with leaves velocities and gradients as they are."""
    from comfy.ldm.modules import attention
    from comfy.ldm.modules.diffusionmodules import mmdit

    @attention.wrap_attn
    def kernel(*given, **named):
        calls.append(1)
        with torch.no_grad():
            return attention.attention_pytorch(*given, **named)

    def step(branched):
        texts = [dataset.items[0].texts.complete]
        v = branched.run("learner", torch.ones(1, 16, 8, 8), torch.tensor([0.5]), texts)
        weights = branched.branches.parameters("learner")
        return v.detach(), torch.autograd.grad(v.square().mean(), weights, materialize_grads=True)

    calls = []
    with runs.at_work(models, dataset, runs.job(input_token=False)) as (branched, _):
        move(branched)
        v, plain = step(branched)
        monkeypatch.setattr(mmdit, "optimized_attention", kernel)
        again, found = step(branched)
    torch.testing.assert_close(again, v, rtol=1e-4, atol=1e-4)
    assert not calls
    found, plain = (torch.cat([g.flatten() for g in gradients]) for gradients in (found, plain))
    assert float((found - plain).norm() / plain.norm()) < 1e-4
