"""Every way to spend less memory, beside the plain float32 path: the same velocities, λ and gradient."""

import pytest
import runs
import torch
from loop import STILL, learnt, move, pure, run

pytestmark = pytest.mark.slow

# (what the job says, velocities' relative error, least gradient cosine): exact to rounding but for a bfloat16 base
EXACT, HALF = (1e-5, 1e-4, 1 - 1e-6), (0.05, 0.3, 0.99)
PATHS = {
    "some blocks": ({"blocks": 1}, EXACT),
    "all blocks": ({"blocks": 2}, EXACT),
    "one sample a pass": ({"pass_limit": 1}, EXACT),
    "three samples a pass": ({"pass_limit": 3}, EXACT),
    "all blocks, one sample a pass": ({"blocks": 2, "pass_limit": 1}, EXACT),
    "bfloat16": ({"precision": "bfloat16"}, HALF),
    "bfloat16, all blocks, one sample a pass": ({"precision": "bfloat16", "blocks": 2, "pass_limit": 1}, HALF),
}


def step(models, dataset, extractor, v_original, blocks=0, precision="float32", pass_limit=None):
    """(tensors, gradient) of a step of pure learning, θ2 moved away from the base."""
    recipe = pure(v_original=v_original)
    job = runs.job(recipe=recipe, precision=precision)
    with runs.at_work(models, dataset, job, extractor) as (branched, data):
        move(branched)
        branched.field.checkpointing.first(blocks)
        _, traces, (gradients,) = run(branched, data, recipe, pass_limit=pass_limit, **STILL)
        assert len(gradients) == len(learnt(branched)) and all(g is not None for g in gradients)
    return traces[1], torch.cat([g.flatten() for g in gradients]).double()


@pytest.fixture(scope="module")
def plain(models, dataset, extractor):
    """The plain float32 path, by v_original."""
    return {origin: step(models, dataset, extractor, origin) for origin in ("theta2", "base")}


def error(found, expected):
    return float((found - expected).double().norm() / expected.double().norm())


def r_tar(tensors):
    return tensors["v.extractor.target"] - tensors["v.extractor.empty"]


@pytest.mark.parametrize("origin", ["theta2", "base"])
@pytest.mark.parametrize("name", PATHS)
def test_a_path_is_the_plain_one(models, dataset, extractor, plain, name, origin):
    values, (near, scale, cosine) = PATHS[name]
    expected, direction = plain[origin]
    found, gradient = step(models, dataset, extractor, origin, **values)
    velocities = [k for k in expected if k.startswith("v.")]
    assert len(velocities) == 4 and torch.equal(found["x_t"], expected["x_t"])
    for k in velocities:
        assert error(found[k], expected[k]) < near, k
    assert error(r_tar(found), r_tar(expected)) < 10 * near
    assert float((found["lambda"] - expected["lambda"]).abs().max()) < scale
    assert float(torch.nn.functional.cosine_similarity(gradient, direction, dim=0)) >= cosine


def test_a_stock_picture_is_the_same_after_training(checkpoint, dataset, extractor):
    own = runs.load(checkpoint)

    def picture():
        return runs.sample(own.model, runs.encode(own.clip, "a lake"), runs.encode(own.clip, ""))

    before = picture()
    runs.customise(own, dataset, runs.job("pure", pure(), checkpointing="all", pass_limit=1), extractor=extractor)
    assert torch.equal(picture(), before)


@pytest.mark.parametrize(
    ("dtype", "product"), [("float32", "float32"), ("bfloat16", "bfloat16"), ("float16", "float32")]
)
def test_a_lora_s_products(dtype, product):
    """Weights, gradients and what the optimiser moves are float32; bfloat16 inputs are not kept in float32 as well."""
    from purecc_pack.purecc.network.lora import LoraBranches, LoraSpec

    given, computed = getattr(torch, dtype), getattr(torch, product)
    network = torch.nn.Sequential(torch.nn.Linear(32, 16, dtype=given))
    plain = network[0]
    branches = LoraBranches(network)
    branches.add("learner", LoraSpec(rank=4, alpha=2.0, targets="0"), seed=1)
    a, b = branches.parameters("learner")
    torch.nn.init.normal_(b)
    x = torch.randn(8, 32, generator=torch.Generator().manual_seed(0)).to(given)
    kept = []
    with branches.use("learner"), torch.autograd.graph.saved_tensors_hooks(kept.append, lambda saved: saved):
        out = network(x)
    assert out.dtype == given and a.dtype == b.dtype == torch.float32
    assert {saved.dtype for saved in kept if saved.ndim == 2} == {computed}
    expected = plain(x).float() + 0.5 * x.float() @ a.detach().T @ b.detach().T
    near = {"rtol": 0.05, "atol": 0.05} if given != torch.float32 else {}
    torch.testing.assert_close(out.detach().float(), expected.detach(), **near)


def test_gradients_of_a_lora_in_bfloat16_reach_its_float32_weights():
    from purecc_pack.purecc.network.lora import LoraBranches, LoraSpec

    network = torch.nn.Sequential(torch.nn.Linear(32, 16, dtype=torch.bfloat16))
    branches = LoraBranches(network)
    branches.add("learner", LoraSpec(targets="0"), seed=1)
    a, b = branches.parameters("learner")
    torch.nn.init.normal_(b)
    x = torch.randn(8, 32, dtype=torch.bfloat16)
    with branches.use("learner"):
        network(x).float().square().sum().backward()
    delta = torch.nn.functional.linear
    found = [a.grad, b.grad]
    a32, b32 = (w.detach().clone().requires_grad_() for w in (a, b))
    plain = network[0].base_layer
    out = delta(x.float(), plain.weight.float(), plain.bias.float()) + delta(delta(x.float(), a32), b32)
    out.square().sum().backward()
    for ours, theirs in zip(found, (a32.grad, b32.grad), strict=True):
        assert ours.dtype == torch.float32
        assert float(torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0)) > 0.999
