"""Training on quantised bases: it gives what the dequantised weights give, and the adapter draws what training saw."""

import pytest
import runs
import torch

pytestmark = pytest.mark.slow


FORMATS = ("float8_e4m3fn", "float8_e5m2", "nvfp4", "mxfp8", "int8_tensorwise", "convrot_w4a4")
MODEL = "Flux.1-dev"
OTHERS = ("unscaled fp8", "packed", "gguf")


APPLIED = {"int8_tensorwise": 0.0088, "convrot_w4a4": 0.154}
"""How far Apply Adapter moves from what training saw, as a share of the change: the host rounds inputs of layers."""

MERGED = {"float8_e4m3fn": 0.018, "float8_e5m2": 0.038, "nvfp4": 0.085, "mxfp8": 0.021, "unscaled fp8": 0.022}
MERGED |= {"int8_tensorwise": 0.0098, "convrot_w4a4": 0.21}
"""The same of the stock loader, which rounds the sum of weight and LoRA; docs/memory.md has these figures."""


@pytest.fixture(scope="module", params=[*FORMATS, *OTHERS])
def pair(comfyui, request):
    """The kind of quantisation, (models, dataset) quantised, and dequantised."""
    import quantised

    torch.set_num_threads(1)
    with torch.inference_mode():
        _, packed, plain = quantised.build(MODEL, request.param)
    return request.param, quantised.given(MODEL, packed), quantised.given(MODEL, plain)


def train(given, listener=None, **values):
    from purecc_pack.purecc.network.lora import LoraSpec

    lora = LoraSpec(rank=2, alpha=2.0, targets="all blocks")
    job = runs.job("zorp", layer_wise=False, steps=3, lora=lora, lr=3e-2, **values)
    return runs.customise(*given, job, listener or runs.Quiet())


@pytest.fixture(scope="module")
def trained(pair):
    """The adapter, and the user's weights before."""
    _, given, _ = pair
    before = runs.digest(given[0].model.model.state_dict())
    return train(given), before


def far(found, expected):
    return float((found - expected).norm() / expected.norm())


def flat(lora):
    return torch.cat([lora[key].flatten() for key in sorted(lora)])


def test_every_format_of_the_host_is_here(comfyui):
    from comfy.quant_ops import QUANT_ALGOS

    assert set(FORMATS) == set(QUANT_ALGOS)


def test_the_adapter_is_that_of_the_dequantised_weights(pair, trained):
    _, given, plain = pair
    outcome, before = trained
    expected = train(plain)
    assert outcome.history.losses == pytest.approx(expected.history.losses, rel=1e-5)
    assert far(flat(outcome.adapter.lora), flat(expected.adapter.lora)) < 1e-6
    assert runs.digest(given[0].model.model.state_dict()) == before, "the user's model is as before"


@pytest.mark.parametrize("ending", ["cancel", "failure"])
def test_the_model_is_as_before_however_training_ends(pair, ending):
    from comfy import model_management

    def end(step):
        raise model_management.InterruptProcessingException if ending == "cancel" else KeyError("a defect")

    _, given, _ = pair
    network = given[0].model.model
    before = runs.digest(network.state_dict()), [sorted(vars(m)) for m in network.modules()]
    with pytest.raises((model_management.InterruptProcessingException, KeyError)):
        train(given, runs.Quiet(at_step=end))
    model_management.unload_all_models()
    assert (runs.digest(network.state_dict()), [sorted(vars(m)) for m in network.modules()]) == before


def test_its_bytes_are_counted(pair):
    """On the meta device, where the formats have no kernels; no pass keeps a dequantised weight of the host."""
    from purecc_pack.purecc.host.training import planning

    kind, *both = pair
    counted = []
    for models, dataset in both:
        with runs.assembled(models, dataset, runs.job("zorp", layer_wise=False)) as made:
            counted.append(planning.demand(made.field, made.branched, dataset, runs.job("zorp")).footprint.kept(0))
    packed, plain = counted
    assert packed == plain if kind not in ("packed", "gguf") else packed > plain


def test_apply_adapter_draws_what_training_saw(pair, trained):
    import comfy.sd
    from comfy import model_management

    from purecc_pack.purecc.host.evaluation.drift import velocity
    from purecc_pack.purecc.host.models.apply import apply
    from purecc_pack.purecc.host.models.copies import trainable_world
    from purecc_pack.purecc.host.models.field import private_field
    from purecc_pack.purecc.network.field import Conditioning
    from purecc_pack.purecc.network.lora import LoraBranches

    kind, (models, _), _ = pair
    adapter = trained[0].adapter
    x_t, t = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(9)), torch.tensor([0.6])
    fields = dict(models.clip.cond)
    context = fields.pop("cross_attn")
    y = Conditioning(context, torch.zeros(context.shape[:2], dtype=torch.bool), (fields,))
    with trainable_world(), torch.no_grad(), private_field(models.model) as field:
        branches = LoraBranches(field.module, field.family.layers)
        branches.load("learner", adapter.lora)
        with branches.use("learner"):
            ours = field.velocity(x_t, t, y)
        base = field.velocity(x_t, t, y)
        branches.remove()
    model_management.unload_all_models()
    with torch.inference_mode():
        applied, _ = apply(models.model, None, adapter)
        stock, _ = comfy.sd.load_lora_for_models(models.model, None, dict(adapter.lora), 1.0, 0)
        cond = [[context.clone(), fields]]
        plain, drawn, loaded = (velocity(m, x_t.clone(), t.clone(), cond) for m in (models.model, applied, stock))
        again = velocity(models.model, x_t.clone(), t.clone(), cond)
    with trainable_world(), torch.no_grad(), private_field(applied) as field:
        onto = field.velocity(x_t, t, y)
    assert torch.equal(plain, again), "nothing stays on the user's model"
    assert far(onto, ours) < 1e-6, "another concept is trained on top of it"
    change = ours - base
    assert far(drawn - plain, change) == pytest.approx(APPLIED.get(kind, 0), abs=1e-6, rel=0.3)
    if kind in MERGED:
        assert far(loaded - plain, change) == pytest.approx(MERGED[kind], rel=0.3)
