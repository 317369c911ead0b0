"""What the base computes in on devices of every kind, and gradients in float16, where they could vanish."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import runs
import torch
from loop import STILL, move, pure, run

from purecc_pack.purecc.method.recipe import Recipe

pytestmark = pytest.mark.slow

FLOAT8, HALF, BRAIN, FULL = torch.float8_e4m3fn, torch.float16, torch.bfloat16, torch.float32


@pytest.fixture
def card(monkeypatch):
    """Has the host choose as on a device that computes well in these formats; it goes on computing on the CPU."""
    from comfy import model_management

    def put(float16, bfloat16):
        monkeypatch.setattr(model_management, "should_use_fp16", lambda *given, **named: float16)
        monkeypatch.setattr(model_management, "should_use_bf16", lambda *given, **named: bfloat16)

    return put


NEW, OLD, NEITHER, NO_FLOAT16 = (True, True), (True, False), (False, False), (False, True)


@pytest.mark.parametrize("reload", [True, False])
@pytest.mark.parametrize(
    ("device", "loaded", "precision", "weights", "computed"),
    [
        (NEW, None, "auto", BRAIN, BRAIN),
        (NEW, None, "as loaded", HALF, HALF),
        (NEW, None, "bfloat16", BRAIN, BRAIN),
        (NEW, None, "float32", FULL, FULL),
        (NEW, BRAIN, "auto", BRAIN, BRAIN),
        (NEW, FULL, "auto", FULL, FULL),
        (NEW, FLOAT8, "auto", FLOAT8, BRAIN),
        (NEW, FLOAT8, "as loaded", FLOAT8, HALF),
        (NEW, FLOAT8, "bfloat16", BRAIN, BRAIN),
        (NEW, FLOAT8, "float32", FULL, FULL),
        (OLD, None, "auto", HALF, HALF),
        (OLD, FLOAT8, "auto", FLOAT8, HALF),
        (OLD, None, "float32", FULL, FULL),
        (NO_FLOAT16, None, "auto", BRAIN, BRAIN),
        (NO_FLOAT16, FLOAT8, "auto", FLOAT8, BRAIN),
        (NEITHER, None, "auto", FULL, FULL),
        (NEITHER, FLOAT8, "auto", FLOAT8, FULL),
    ],
)
def test_what_the_base_computes_in(checkpoint, card, device, loaded, precision, weights, computed, reload):
    """Its weights, what its layers are given, and the scale of the loss; the user's MODEL is as it was."""
    from purecc_pack.purecc.host.models import copies
    from purecc_pack.purecc.host.models.field import private_field

    card(*device)
    models = runs.load(checkpoint, reload, loaded)
    before, seen = runs.state(models), []
    with copies.trainable_world(), private_field(models.model, precision) as field:
        block = field.module.joint_blocks[0].x_block.attn.qkv
        block.register_forward_pre_hook(lambda _, given: seen.append(given[0].dtype))
        context = torch.randn(1, 77, 4096)
        conds = {"c_crossattn": context, "y": torch.randn(1, 64 + 1280)}
        out = field.base.apply_model(torch.randn(1, 16, 8, 8), torch.tensor([0.5]), **conds)
        assert {w.dtype for w in field.module.joint_blocks.state_dict().values()} == {weights}
        assert field.dtype == computed and seen == [computed] and out.isfinite().all()
        assert field.loss_scale == (2**16 if computed == HALF else 1)
    assert runs.state(models) == before


def test_on_the_cpu_everything_is_float32(models):
    from purecc_pack.purecc.host.models import copies
    from purecc_pack.purecc.host.models.field import private_field

    for precision in ("auto", "as loaded"):
        with copies.trainable_world(), private_field(models.model, precision) as field:
            assert field.dtype == FULL and {w.dtype for w in field.module.state_dict().values()} == {FULL}


@pytest.fixture(scope="module")
def widened(tmp_path_factory, comfyui):
    """A checkpoint in bfloat16, which the host widens to float32 on a CPU."""
    import standin

    return runs.load(standin.write(tmp_path_factory.mktemp("bfloat16") / "base.safetensors", dtype=BRAIN))


@pytest.mark.parametrize(
    ("capable", "precision", "computed"),
    [(True, "auto", BRAIN), (True, "as loaded", FULL), (True, "float32", FULL), (False, "auto", FULL)],
)
def test_a_checkpoint_in_bfloat16_on_a_processor(widened, monkeypatch, capable, precision, computed):
    """It is computed in bfloat16 where the processor multiplies in it; the user's MODEL stays as the host has it."""
    from purecc_pack.purecc.host.models import copies
    from purecc_pack.purecc.host.models.field import private_field

    capabilities = {"avx2": True, "avx512_bf16": capable, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    before = runs.state(widened)
    with copies.trainable_world(), private_field(widened.model, precision) as field:
        assert field.dtype == computed and {w.dtype for w in field.module.parameters()} == {computed}
    assert runs.state(widened) == before
    assert widened.model.model.get_dtype_inference() == FULL


def test_weights_that_bfloat16_would_round_stay(models, monkeypatch):
    from purecc_pack.purecc.host.models import copies
    from purecc_pack.purecc.host.models.field import private_field

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    with copies.trainable_world(), private_field(models.model) as field:
        assert field.dtype == FULL


@dataclass(frozen=True)
class Faint(Recipe):
    """A recipe whose loss is made smaller."""

    recipe: Any
    factor: float

    @property
    def passes(self):
        return self.recipe.passes

    def terms(self, *given):
        terms = self.recipe.terms(*given)
        return replace(terms, total=terms.total * self.factor)


def gradient(models, dataset, extractor, precision, factor=1.0, **values):
    """Of a step of pure learning, its loss times a factor."""
    with runs.at_work(models, dataset, runs.job(recipe=pure(), precision=precision), extractor) as (branched, data):
        move(branched)
        _, _, (gradients,) = run(branched, data, Faint(pure(), factor), **STILL, **values)
    return torch.cat([g.flatten() for g in gradients]).double()


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


# A 1024 pixel picture has 2**8 times as many numbers as these, and attention 2**8 times as many places to look at.
LIKE_LARGE_PICTURES = 2.0**-12


@pytest.fixture(scope="module")
def plain(models, dataset, extractor):
    return gradient(models, dataset, extractor, "float32")


def test_a_gradient_in_float16(checkpoint, card, dataset, extractor, plain, monkeypatch):
    """As in float32 however small the loss; without the scale of the loss it would vanish."""
    from purecc_pack.purecc.host.models import field

    card(*OLD)
    models = runs.load(checkpoint)
    for factor in (1.0, LIKE_LARGE_PICTURES):
        found = gradient(models, dataset, extractor, "auto", factor)
        assert cosine(found, plain) > 0.999
        assert float(found.norm()) == pytest.approx(factor * float(plain.norm()), rel=0.01)
    monkeypatch.setattr(field, "FLOAT16_LOSS_SCALE", 1.0)
    assert cosine(gradient(models, dataset, extractor, "auto", LIKE_LARGE_PICTURES), plain) < 0.9


def test_a_gradient_in_float16_is_clipped_and_accumulated_as_any_other(checkpoint, card, dataset, extractor, plain):
    card(*OLD)
    models, norm = runs.load(checkpoint), float(plain.norm())
    for clip, expected in ((2 * norm, norm), (norm / 2, norm / 2)):
        found = gradient(models, dataset, extractor, "as loaded", clip=clip)
        assert cosine(found, plain) > 0.999 and float(found.norm()) == pytest.approx(expected, rel=0.01)
    values = {"batch": 1, "accumulation": 2}
    found, expected = (gradient(models, dataset, extractor, p, **values) for p in ("as loaded", "float32"))
    assert cosine(found, expected) > 0.999
    assert float(found.norm()) == pytest.approx(float(expected.norm()), rel=0.01)


def test_a_gradient_through_weights_of_8_bits(checkpoint, card, dataset, extractor):
    """Computed in bfloat16 they give what they give in float32."""
    card(*NEW)
    models = runs.load(checkpoint, dtype=FLOAT8)
    for factor in (1.0, LIKE_LARGE_PICTURES):
        found, expected = (gradient(models, dataset, extractor, p, factor) for p in ("auto", "float32"))
        assert 0.99 < cosine(found, expected) < 1 - 1e-6
