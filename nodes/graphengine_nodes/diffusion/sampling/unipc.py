"""UniPC: a multistep predictor whose next model call also corrects it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .sampling import Callback, Denoiser, NoiseSampler, Step, no_callback

_LAST_SIGMA = 0.001
"""Where the solver stops instead of at 0, where log sigma is -infinity."""


def sample_uni_pc(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
    order: int = 3,
    bh2: bool = False,
) -> Tensor:
    """UniPC of Zhao et al. (2023), predicting data, with B(h) = h or, for bh2, B(h) = e^h - 1.

    The order grows over the first steps and falls over the last ones.
    """
    if len(sigmas) < 2:
        return x
    steps = len(sigmas) - 1
    asked = sigmas if sigmas[-1] > 0 else torch.cat([sigmas[:-1], sigmas.new_tensor([_LAST_SIGMA])])
    levels = _vp_levels(asked)
    history = [model(x, asked[0])]  # denoised latents, newest first
    callback(Step(0, asked[0], x, history[0]))
    for i in range(steps):
        last = i == steps - 1
        update = _update(levels[max(i + 1 - order, 0) : i + 2], min(order, i + 1, steps - i), bh2=bh2)
        base = levels[i + 1] / levels[i] * x - update.growth * history[0]
        differences = [(old - history[0]) / r for old, r in zip(history[1:], update.places, strict=False)]
        x_next = base - _sum(update.predictor, differences, x)
        if last:
            return x_next
        denoised = model(x_next, asked[i + 1])
        x = base - _sum(update.corrector, [*differences, denoised - history[0]], x)
        callback(Step(i + 1, asked[i + 1], x, denoised))
        history = [denoised, *history[: order - 1]]
    return x


def sample_uni_pc_bh2(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """`sample_uni_pc` with B(h) = e^h - 1."""
    return sample_uni_pc(model, x, sigmas, callback=callback, bh2=True)


def _vp_levels(sigmas: Tensor) -> Tensor:
    """The same sigmas by way of the variance-preserving form, as the authors' code has them in float32.

    There, sigma^2 / (sigma^2 + 1) is 1 minus a number near 1, which moves the lowest level by most of a percent.
    """
    log_alpha = 0.5 * torch.log(1 / (sigmas**2 + 1))
    return torch.sqrt(1 - torch.exp(2 * log_alpha)) / torch.exp(log_alpha)


class _Update(NamedTuple):
    """One step: e^-h - 1; where the older latents lie, in units of it; the weights, B(h) included."""

    growth: Tensor
    places: Sequence[Tensor]
    predictor: Sequence[Tensor]
    corrector: Sequence[Tensor]


def _update(levels: Tensor, order: int, *, bh2: bool) -> _Update:
    """The coefficients of theorem 3.1 of Zhao et al. (2023); levels are the last ones up to the next."""
    lam = -levels.log()
    h = lam[-1] - lam[-2]
    places = [(lam[-2 - k] - lam[-2]) / h for k in range(1, order)]
    growth = torch.expm1(-h)
    scale = growth if bh2 else -h
    nodes = torch.stack([*places, torch.ones_like(h)])
    rows, right = [], []
    phi, factorial = growth / -h - 1, 1
    for k in range(1, order + 1):
        rows.append(nodes ** (k - 1))
        right.append(phi * factorial / scale)
        factorial *= k + 1
        phi = phi / -h - 1 / factorial
    matrix, b = torch.stack(rows), torch.stack(right)
    half = torch.full_like(b[:1], 0.5)  # the authors' choice for a single unknown
    predictor = half if order == 2 else torch.linalg.solve(matrix[:-1, :-1], b[:-1])
    corrector = half if order == 1 else torch.linalg.solve(matrix, b)
    return _Update(growth, places, list(predictor[: order - 1] * scale), list(corrector * scale))


def _sum(weights: Sequence[Tensor], values: Sequence[Tensor], like: Tensor) -> Tensor:
    total = torch.zeros_like(like)
    for weight, value in zip(weights, values, strict=True):
        total = total + weight * value
    return total
