"""The paper's equations against brute force in float64."""

# SPDX-License-Identifier: GPL-3.0-or-later

import functools
import itertools
import math

import pytest
import torch

from purecc_pack.purecc.method import objective as o

SHAPE = (3, 4, 5, 6)
SEEDS = range(8)


def draw(seed, *, count=4, shape=SHAPE, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(count)]


def squares(x):
    """Per-sample sums of squares by plain Python."""
    return [math.fsum(float(value) ** 2 for value in sample.flatten()) for sample in x]


@pytest.mark.parametrize("shape", [(3,), (3, 7), (3, 5, 2), SHAPE, (3, 2, 2, 3, 4)])
def test_every_equation_takes_any_trailing_shape_and_matches_a_sum_by_hand(shape):
    v_c, v_b, v_tar, v_0 = draw(1, shape=shape)
    count = math.prod(shape[1:])
    R_c, R_t = o.residual(v_c, v_b), o.concept_direction(v_tar, v_0)
    scale = o.adaptive_scale(R_c, R_t)
    loss = o.pure_learning_loss(v_c, v_b, scale, R_t)
    for i in range(shape[0]):
        c, b, tar, e = (x[i].flatten().tolist() for x in (v_c, v_b, v_tar, v_0))
        r_c, r_t = [p - q for p, q in zip(c, b, strict=True)], [p - q for p, q in zip(tar, e, strict=True)]
        by_hand = math.fsum(p * q for p, q in zip(r_c, r_t, strict=True)) / math.fsum(q * q for q in r_t)
        assert scale[i].item() == pytest.approx(by_hand, rel=1e-12)
        pure = [q + by_hand * r for q, r in zip(b, r_t, strict=True)]
        squared = math.fsum((p - q) ** 2 for p, q in zip(pure, c, strict=True))
        assert loss[i].item() == pytest.approx(squared / count, rel=1e-9, abs=1e-18)
        concept = math.fsum((p - q) ** 2 for p, q in zip(tar, c, strict=True))
        assert o.concept_loss(v_c, v_tar)[i].item() == pytest.approx(concept / count, rel=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_adaptive_scale_is_the_argmin(seed):
    R_c, R_t = draw(seed, count=2)
    scale = o.adaptive_scale(R_c, R_t)
    scan = torch.linspace(-2, 2, 40001, dtype=torch.float64)
    for i in range(SHAPE[0]):
        a, b, c = (x.item() for x in ((R_c[i] ** 2).sum(), (R_c[i] * R_t[i]).sum(), (R_t[i] ** 2).sum()))
        assert scan[(a - 2 * scan * b + scan**2 * c).argmin()].item() == pytest.approx(scale[i].item(), abs=1e-4)
    best = squares(R_c - scale.view(-1, 1, 1, 1) * R_t)
    for nudge in (-1e-3, 1e-3):
        off = squares(R_c - (scale + nudge).view(-1, 1, 1, 1) * R_t)
        assert all(x > y for x, y in zip(off, best, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_loss_is_the_squared_residual_times_sine_squared(seed):
    v_c, v_b, v_tar, v_0 = draw(seed)
    R_c, R_t = o.residual(v_c, v_b), o.concept_direction(v_tar, v_0)
    loss = o.pure_learning_loss(v_c, v_b, o.adaptive_scale(R_c, R_t), R_t)
    for i, square in enumerate(squares(R_c)):
        angle = math.acos((R_c[i] * R_t[i]).sum().item() / math.sqrt(square * squares(R_t)[i]))
        assert loss[i].item() == pytest.approx(square * math.sin(angle) ** 2 / R_c[i].numel(), rel=1e-9)
        assert o.cosine(R_c, R_t)[i].item() == pytest.approx(math.cos(angle), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_gradient_is_the_same_whether_the_scale_is_detached_or_not(seed):
    v_c, v_b, v_tar, v_0 = draw(seed)
    R_t = o.concept_direction(v_tar, v_0)
    gradients = []
    for detach in (True, False):
        c, b = v_c.clone().requires_grad_(), v_b.clone().requires_grad_()
        scale = o.adaptive_scale(o.residual(c, b), R_t)
        o.pure_learning_loss(c, b, scale.detach() if detach else scale, R_t).sum().backward()
        gradients.append((c.grad, b.grad))
    for detached, attached in zip(*gradients, strict=True):
        assert detached.abs().max() > 1e-3
        torch.testing.assert_close(detached, attached, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_zero_direction_gives_scale_zero_and_finite_gradients(dtype):
    v_c, v_b, v_tar, v_0 = (x.requires_grad_() for x in draw(2, dtype=dtype))
    R_t = o.concept_direction(v_tar, v_0) * torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).view(3, 1, 1, 1)
    R_t = R_t.to(torch.promote_types(dtype, torch.float32))
    R_c = o.residual(v_c, v_b)
    scale = o.adaptive_scale(R_c, R_t)
    assert scale[0] == 0 and scale[2] == 0 and scale[1] != 0
    assert o.cosine(R_c, R_t)[0] == 0 and o.cosine(R_c, R_t)[1] != 0
    loss = o.pure_learning_loss(v_c, v_b, scale, R_t)
    torch.testing.assert_close(loss[0], (R_c[0] ** 2).mean())
    loss.sum().backward()
    assert all(x.grad.isfinite().all() for x in (v_c, v_b, v_tar, v_0))


def test_zero_residual_gives_scale_and_cosine_zero():
    v, v_tar, v_0 = (x.requires_grad_() for x in draw(3, count=3))
    R_c, R_t = o.residual(v, v), o.concept_direction(v_tar, v_0)
    assert o.adaptive_scale(R_c, R_t).tolist() == [0, 0, 0]
    assert o.cosine(R_c, R_t).tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [1e-15, 1e-12, 1e12])
def test_scale_is_right_for_very_small_and_large_directions(size):
    R_c, R_t = draw(4, count=2, dtype=torch.float32)
    expected = o.adaptive_scale(R_c.double(), R_t.double())
    torch.testing.assert_close(o.adaptive_scale(R_c, R_t * size).double() * size, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_reduced_in_float32(dtype):
    # Counting by ones gets stuck at 2048 in float16 and at 256 in bfloat16; squares of 300 overflow float16.
    ones = torch.ones(2, 4, 32, 32, dtype=dtype)
    naive = functools.reduce(torch.add, ones[0].flatten())
    assert naive < 0.6 * ones[0].numel(), "the case no longer tells half from float32"
    R_t, zero = ones * 2, torch.zeros_like(ones)
    results = {
        "scale": (o.adaptive_scale(ones * 300, R_t), 150),
        "cosine": (o.cosine(ones * 300, R_t), 1.0),
        "concept": (o.concept_loss(ones * 300, zero), 300**2),
        "pure": (o.pure_learning_loss(ones * 300, ones, 0.5, R_t), 298**2),
    }
    for name, (result, expected) in results.items():
        assert result.dtype == torch.float32, name
        assert result.tolist() == pytest.approx([expected] * 2, rel=1e-6), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_velocities_are_not_rounded_again(dtype):
    v_c, v_b, v_tar, v_0 = draw(5, dtype=dtype)
    R_c, R_t = o.residual(v_c, v_b), o.concept_direction(v_tar, v_0)
    exact_c, exact_t = v_c.double() - v_b.double(), v_tar.double() - v_0.double()
    assert not torch.equal((v_c - v_b).double(), exact_c), "the case no longer tells half from float32"
    scale, exact = o.adaptive_scale(R_c, R_t), o.adaptive_scale(exact_c, exact_t)
    torch.testing.assert_close(scale.double(), exact, rtol=1e-5, atol=1e-7)
    loss = o.pure_learning_loss(v_c, v_b, scale, R_t)
    exact_loss = o.pure_learning_loss(v_c.double(), v_b.double(), exact, exact_t)
    torch.testing.assert_close(loss.double(), exact_loss, rtol=1e-5, atol=1e-7)


def test_float64_stays_float64():
    v_c, v_b, v_tar, v_0 = draw(6)
    R_c, R_t = o.residual(v_c, v_b), o.concept_direction(v_tar, v_0)
    scale = o.adaptive_scale(R_c, R_t)
    for x in (R_c, R_t, scale, o.pure_learning_loss(v_c, v_b, scale, R_t), o.concept_loss(v_c, v_b)):
        assert x.dtype == torch.float64


def test_samples_do_not_see_each_other():
    def everything(v_c, v_b, v_tar, v_0):
        R_c, R_t = o.residual(v_c, v_b), o.concept_direction(v_tar, v_0)
        scale = o.adaptive_scale(R_c, R_t)
        loss = o.total_loss(o.concept_loss(v_c, v_tar), o.pure_learning_loss(v_c, v_b, scale, R_t), 0.7)
        return torch.stack([scale, loss, o.cosine(R_c, R_t)])

    inputs = draw(7)
    before = everything(*inputs)
    for x in inputs:
        x[1] = x[1].square() - 0.3
    after = everything(*inputs)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.isclose(before[:, 1], after[:, 1]).any()


def test_fixed_scale_is_one_number_for_all_samples():
    v_c, v_b, v_tar, v_0 = draw(8)
    R_t = o.concept_direction(v_tar, v_0)
    expected = ((v_b + 3.0 * R_t - v_c) ** 2).flatten(1).mean(1)
    torch.testing.assert_close(o.pure_learning_loss(v_c, v_b, 3.0, R_t), expected)
    torch.testing.assert_close(o.pure_learning_loss(v_c, v_b, torch.tensor(3.0), R_t), expected)
    torch.testing.assert_close(o.pure_learning_loss(v_c, v_b, torch.full((3,), 3.0), R_t), expected)


def test_the_regional_loss_learns_inside_keeps_outside_and_asks_nothing_between():
    v_complete, v, v_base = draw(11, count=3)
    generator = torch.Generator().manual_seed(12)
    mask, far = (torch.rand(3, 1, 5, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    got = o.regional_loss(v_complete, v, v_base, mask, far)
    for k in range(3):
        total = 0.0
        for c, y, x in itertools.product(range(4), range(5), range(6)):
            place = (k, c, y, x)
            learned, kept = v[place] - v_complete[place], v_base[place] - v_complete[place]
            total += float(mask[k, 0, y, x] * learned**2 + far[k, 0, y, x] * kept**2)
        assert float(got[k]) == pytest.approx(total / (4 * 5 * 6), rel=1e-9)
    one, none = torch.ones_like(mask), torch.zeros_like(mask)
    torch.testing.assert_close(o.regional_loss(v_complete, v, v_base, one, none), o.concept_loss(v_complete, v))
    torch.testing.assert_close(o.regional_loss(v_complete, v, v_base, none, one), o.concept_loss(v_complete, v_base))
    assert not o.regional_loss(v_complete, v, v_base, none, none).any()


def test_total_weights_the_pure_learning_loss_by_eta():
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    assert o.total_loss(a, b).tolist() == [11, 22]
    assert o.total_loss(a, b, 0.5).tolist() == [6, 12]
    assert o.total_loss(a, b, 0.0).tolist() == [1, 2]
