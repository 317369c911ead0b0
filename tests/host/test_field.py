"""The private copy's position embeddings: what is kept of them, and that velocities are the same."""

import contextlib

import pytest
import runs
import torch


@pytest.mark.parametrize("whole", [11, 12])
def test_the_middle_of_the_position_embeddings_is_all_that_is_needed(models, dataset, whole):
    """For pictures of every size up to the largest, odd and even, bit for bit; larger ones are refused by the host."""
    with runs.at_work(models, dataset, runs.job(input_token=False)) as (trainee, _), torch.no_grad():
        field = trainee.model
        generator = torch.Generator().manual_seed(0)
        field.module.pos_embed = torch.randn(1, whole**2, field.module.hidden_size, generator=generator)
        field.module.pos_embed_max_size = whole
        texts = [dataset.items[0].texts.complete]

        def velocities():
            return [trainee.run(None, torch.ones(1, 16, *shape), torch.tensor([0.5]), texts) for shape in shapes]

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
    from purecc_pack.purecc.host import assembly
    from purecc_pack.purecc.recipes import PriorPreservation

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
