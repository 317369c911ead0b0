"""The equations of PureCC (arXiv 2603.07561) as pure functions of velocity tensors.

Symbols: x0 data latent, x1 noise, t time in [0, 1], v velocity, θ1 the frozen extractor, θ2 the trained model, ∅ the
empty prompt, R(y_tar) the concept direction, R(y_complete, y_base) the residual, λ* the adaptive scale, η the weight
of the pure learning loss. Numbers in parentheses are the paper's equations.

A velocity is [B, ...] with any trailing shape, [B, C, H, W] for images. Nothing is reduced over the batch: losses and
scales are [B]. Every function computes in float32, or float64 if an argument is float64, and returns that type, so
half-precision velocities are never subtracted or summed in half precision.

Losses are means over C, H, W. The paper writes ||·||², which differs by the element count alone: a constant that both
terms of (15) share, so η means the same.
"""

# SPDX-License-Identifier: GPL-3.0-or-later

import torch
from torch import Tensor

from .precision import per_sample, widest


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Return <a, b> per sample, [B]."""
    return (a * b).reshape(a.shape[0], -1).sum(dim=1)


def _mean_square(x: Tensor) -> Tensor:
    """Return the mean of x² per sample, [B]."""
    return x.square().reshape(x.shape[0], -1).mean(dim=1)


def concept_loss(v_complete: Tensor, v: Tensor) -> Tensor:
    """Return L_CC = ||v - v_θ(x_t | y_complete)||² as a mean per sample, [B], (3)."""
    v_complete, v = widest(v_complete, v)
    return _mean_square(v - v_complete)


def concept_direction(v_target: Tensor, v_empty: Tensor) -> Tensor:
    """Return R(y_tar) = v_θ1(x_t | y_tar) - v_θ1(x_t | ∅), (8)."""
    v_target, v_empty = widest(v_target, v_empty)
    return v_target - v_empty


def residual(v_complete: Tensor, v_base: Tensor) -> Tensor:
    """Return R(y_complete, y_base) = v_θ2(x_t | y_complete) - v_θ2(x_t | y_base), (10)."""
    v_complete, v_base = widest(v_complete, v_base)
    return v_complete - v_base


def adaptive_scale(R_c: Tensor, R_t: Tensor) -> Tensor:
    """Return λ* = <R_c, R_t> / ||R_t||² per sample, [B], (12): the λ that minimises ||R_c - λ R_t||², (11).

    Args:
        R_c: the residual (10), [B, ...].
        R_t: the concept direction (8), [B, ...]. Where it is zero every λ minimises (11), and λ* is 0.
    """
    R_c, R_t = widest(R_c, R_t)
    norm = _inner(R_t, R_t)
    known = norm >= torch.finfo(norm.dtype).tiny
    # The inner where keeps 0 / 0 out of the backward pass as well.
    return torch.where(known, _inner(R_c, R_t) / torch.where(known, norm, 1.0), 0.0)


def guided_velocity(v_original: Tensor, scale: Tensor | float, R_t: Tensor) -> Tensor:
    """Return v_PureCC = v_original + λ R(y_tar), (13), for λ of shape [B] or a fixed number."""
    v_original, R_t = widest(v_original, R_t)
    return v_original + per_sample(scale, R_t) * R_t


def pure_learning_loss(v_complete: Tensor, v_original: Tensor, scale: Tensor | float, R_t: Tensor) -> Tensor:
    """Return L_PureCC = ||v_PureCC - v_θ2(x_t | y_complete)||² as a mean per sample, [B], (14).

    With λ* and v_original = v_θ2(x_t | y_base) it is ||R_c||² sin²∠(R_c, R_t): only what was learned off the concept
    direction is penalised. λ* may be detached or not, the gradient is the same, since λ* is the minimum over λ.
    """
    v_pure = guided_velocity(v_original, scale, R_t)
    v_complete, v_pure = widest(v_complete, v_pure)
    return _mean_square(v_pure - v_complete)


def regional_loss(v_complete: Tensor, v: Tensor, v_base: Tensor, mask: Tensor, far: Tensor) -> Tensor:
    """Return the mean per sample of M ‖v − v_θ(x_t | y_complete)‖² + F ‖v_b − v_θ(x_t | y_complete)‖², [B].

    Args:
        v_complete: [B, C, H, W], the trained one.
        v: the data's.
        v_base: the base's.
        mask: M, where the data are learned, [B, 1, H, W] in [0, 1].
        far: F, where the base is kept, the same. Where both are 0 no loss applies.
    """
    v_complete, v, v_base, mask, far = widest(v_complete, v, v_base, mask, far)
    loss = mask * (v - v_complete).square() + far * (v_base - v_complete).square()
    return loss.flatten(1).mean(1)


def total_loss(L_CC: Tensor, L_PureCC: Tensor, eta: float = 1.0) -> Tensor:
    """Return L_PCC = L_CC + η L_PureCC, (15)."""
    return L_CC + eta * L_PureCC


def cosine(R_c: Tensor, R_t: Tensor) -> Tensor:
    """Return cos∠(R_c, R_t) per sample, [B], 0 where either is zero. A diagnostic: it carries no gradient."""
    R_c, R_t = widest(R_c.detach(), R_t.detach())
    # Two roots, since the product of two squared norms may underflow where neither does.
    norm = _inner(R_c, R_c).sqrt() * _inner(R_t, R_t).sqrt()
    known = norm >= torch.finfo(norm.dtype).tiny
    return torch.where(known, _inner(R_c, R_t) / norm, 0.0)
