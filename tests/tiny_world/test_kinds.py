"""The two further kinds of base: genuine networks of the host that train, and that its stock loader detects."""

import pytest
import torch

pytestmark = pytest.mark.slow
NAMES = ("unet", "flux")


@pytest.fixture(scope="module")
def kinds(comfyui):
    from purecc_pack.tiny_world import kinds

    return kinds


@pytest.fixture(scope="module")
def pool(comfyui, tmp_path_factory):
    """Forty latents that are noise, and their scenes."""
    from dataclasses import asdict
    from random import Random

    from purecc_pack.tiny_world.checkpoints import save_state
    from purecc_pack.tiny_world.latents import LatentPool, shard_path
    from purecc_pack.tiny_world.scenes import sample_scene

    folder, rng = tmp_path_factory.mktemp("latents"), Random(0)
    scenes = [asdict(sample_scene(rng)) for _ in range(40)]
    latents = 0.66 * torch.randn(40, 16, 12, 12, generator=torch.Generator().manual_seed(0))
    save_state(shard_path(folder, 0), {"latents": latents.half(), "scenes": scenes})
    return LatentPool(folder)


@pytest.fixture(scope="module", params=NAMES)
def trained(request, kinds, pool, tmp_path_factory):
    """A kind after six steps with two images each, the loaded file, and what was logged."""
    from purecc_pack.tiny_world import train_kind

    kind, folder, said = kinds.KINDS[request.param], tmp_path_factory.mktemp(request.param), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_kind, "BATCH", 2)
        for steps in (4, 6):  # the second goes on where the first ended
            model = kinds.build(kind)
            given = (kind, model, kinds.text_encoder(), pool, folder / "state.safetensors", steps)
            train_kind.train_kind(*given, log=said.append)
    network, step = train_kind.averaged(folder / "state.safetensors")
    path = folder / f"{kind.name}.safetensors"
    kinds.export(path, network, {"purecc.steps": str(step)})
    return kind, model, kinds.load(path, []), said


def test_training_goes_on_and_changes_the_network(trained, kinds):
    kind, model, _, said = trained
    assert [text.split(" loss")[0] for text in said] == ["step 4", "step 6"]
    fresh = kinds.build(kind).diffusion_model.state_dict()
    same = [n for n, w in model.diffusion_model.state_dict().items() if torch.equal(w, fresh[n])]
    assert len(same) < len(fresh) / 2


def test_the_stock_loader_detects_it(trained):
    import comfy.model_base

    kind, _, (model, clip, vae), _ = trained
    assert type(model.model) is getattr(comfy.model_base, {"unet": "SDXL", "flux": "Flux"}[kind.name])
    assert type(model.model.model_config) is kind.config
    assert vae.encode(torch.rand(1, 96, 96, 3)).shape == (1, 16, 12, 12)
    context, pooled = clip.encode_from_tokens(clip.tokenize("a red robot on snow"), return_pooled=True)
    assert context.shape == (1, 32, 64) and pooled.shape == (1, 64)


def test_the_text_is_that_of_the_embedded_base(trained, kinds):
    from purecc_pack.purecc.host.models.tiny import load_tiny_checkpoint

    _, _, (_, clip, _), _ = trained
    text = "a red robot on the left on red stripes in ink style"
    embedded = load_tiny_checkpoint([])[1]
    wanted = embedded.encode_from_tokens(embedded.tokenize(text), return_pooled=True)
    given = clip.encode_from_tokens(clip.tokenize(text), return_pooled=True)
    training = kinds.encode(clip, [text], {})
    for other, one, own in zip(wanted, given, training, strict=True):
        torch.testing.assert_close(one, other[..., :64])
        torch.testing.assert_close(own, one)


def test_the_host_predicts_what_training_predicts(trained):
    from purecc_pack.tiny_world import train_kind

    _, model, (loaded, clip, _), _ = trained
    model.diffusion_model.load_state_dict(loaded.model.diffusion_model.state_dict())
    text = clip.encode_from_tokens(clip.tokenize("a blue fish"), return_pooled=True)
    x0, noise = torch.randn(2, 1, 16, 12, 12, generator=torch.Generator().manual_seed(1))
    batch = train_kind.noised(model, x0, noise, torch.Generator().manual_seed(2))
    x, times = batch.x, batch.times
    sampling = loaded.model.model_sampling
    sigma = times if not hasattr(sampling, "num_timesteps") else sampling.sigmas[times.long()]
    noisy = x if sigma is times else x * (sigma**2 + 1).sqrt()
    with torch.no_grad():
        own = train_kind.predict(model, x, times, *text)
        y = loaded.model.encode_adm(pooled_output=text[1], width=96, height=96)
        x0_host = loaded.model.apply_model(noisy, sigma, c_crossattn=text[0], y=y)
    torch.testing.assert_close((noisy - x0_host) / sigma, own, atol=1e-3, rtol=1e-3)
    t = sigma if sigma is times else sigma / (1 + sigma)
    velocity = (noise - x0) - ((noisy if sigma is times else noisy * (1 - t)) - x0_host) / t
    torch.testing.assert_close(batch.weight * (own - batch.target) ** 2, velocity**2, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_training_are_right(kinds, name):
    """Those of the loss equal finite differences along a random direction."""
    from purecc_pack.purecc.host.models.differentiable import differentiable_operators
    from purecc_pack.purecc.network.checkpointing import KeptInputs
    from purecc_pack.tiny_world import train_kind

    model, generator = kinds.build(kinds.KINDS[name]), torch.Generator().manual_seed(0)
    network = model.diffusion_model.double().requires_grad_(True)
    weights = [p for p in network.parameters()]
    with torch.no_grad():
        for p in weights:
            p.add_(0.02 * torch.randn(p.shape, generator=generator))
    direction = [0.01 * torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in weights]
    context, pooled, x = torch.randn(1, 7, 64), torch.randn(1, 64), torch.randn(1, 16, 12, 12)
    times = torch.tensor([0.5 if name == "flux" else 500.0])
    kept = KeptInputs([network])

    def loss(step: float) -> torch.Tensor:
        with torch.no_grad():
            torch._foreach_add_(weights, direction, alpha=step)
        given = (value.double() for value in (x, times, context, pooled))
        return train_kind.predict(model, *given).square().mean()

    with differentiable_operators():
        loss(0.0).backward()
        slope = sum(float((p.grad * d).sum()) for p, d in zip(weights, direction, strict=True) if p.grad is not None)
        with torch.no_grad():
            measured = float(loss(1e-3) - loss(-2e-3)) / 2e-3
    kept.remove()
    assert abs(measured - slope) < 1e-3 * abs(slope)


def test_a_missing_file_says_how_to_make_it(kinds, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train_tiny\.py kind unet"):
        kinds.load(tmp_path / "unet.safetensors")
