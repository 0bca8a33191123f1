"""Adams-Bashforth samplers: the slopes of the last steps are extrapolated over the next one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy
import torch
from torch import Tensor

from .sampling import Callback, Denoiser, NoiseSampler, Step, levels, no_callback, to_d

_EVEN_STEPS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""Weights of the slopes, newest first, for steps of one size, by order."""

_DEIS_POINTS = 10000


def sample_lms(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
    order: int = 4,
) -> Tensor:
    """Linear multistep (Adams-Bashforth) in sigma with uneven steps; the step to 0 is Euler's."""
    nodes = [float(sigma) for sigma in sigmas]
    slopes: list[Tensor] = []
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        slopes = [to_d(x, sigma, denoised), *slopes[: order - 1]]
        for j, slope in enumerate(slopes):
            x = x + slope * _adams_bashforth_weight(nodes[i + 1 - len(slopes) : i + 2], j)
    return x


def _adams_bashforth_weight(nodes: list[float], j: int) -> float:
    """The integral, over the last interval of the nodes, of the Lagrange polynomial of the j-th newest slope.

    Gauss-Legendre quadrature with n points is exact up to degree 2 n - 1.
    """
    *known, start, end = nodes
    points = [start, *reversed(known)]
    middle, half = (start + end) / 2, (end - start) / 2
    places, weights = numpy.polynomial.legendre.leggauss(max(2, math.ceil(len(points) / 2)))

    def lagrange(tau: float) -> float:
        return math.prod((tau - p) / (points[j] - p) for k, p in enumerate(points) if k != j)

    return half * math.fsum(w * lagrange(middle + half * p) for p, w in zip(places, weights, strict=True))


def sample_ipndm(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """Improved PNDM of Zhang and Chen (2023), order 4: the weights are those of even steps."""
    slopes: list[Tensor] = []
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        slopes = [to_d(x, sigma, denoised), *slopes[:3]]
        x = x + (sigma_next - sigma) * _weighted(_EVEN_STEPS[len(slopes) - 1], slopes)
    return x


def sample_ipndm_v(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """Improved PNDM for uneven steps, order 4, as in diff-sampler by Zhou et al. (2024, Apache-2.0)."""
    slopes: list[Tensor] = []
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        slopes = [to_d(x, sigma, denoised), *slopes[:3]]
        steps = [float(sigmas[i - k + 1] - sigmas[i - k]) for k in range(len(slopes))]
        x = x + (sigma_next - sigma) * _weighted(_uneven_weights(steps), slopes)
    return x


def _uneven_weights(steps: Sequence[float]) -> list[float]:
    """Weights of the slopes, newest first, for step sizes newest first; as many as there are steps, up to 4.

    Each order adds a multiple of the next divided difference. The multiple of order 3 is the one that is in
    use everywhere; integrating the interpolating polynomial gives another (see `sample_lms`).
    """
    h, *past = steps
    weights = [1.0, 0.0, 0.0, 0.0]

    def add(factor: float, difference: Sequence[float]) -> None:
        for k, weight in enumerate(difference):
            weights[k] += factor * weight

    if len(past) >= 1:
        add(h / past[0] / 2, (1, -1))
    if len(past) >= 2:
        h_1, h_2 = past[:2]
        q = h_1 / h_2
        add((1 - h * h / (3 * h_1 * (h_1 + h_2))) / 2, (1, -(1 + q), q))
    if len(past) >= 3:
        h_3 = past[2]
        p = h_1 * (h_1 + h_2) / (h_2 * (h_2 + h_3))
        factor = (1 - h / (3 * (h + h_1))) / 2 + (1 - h / (2 * (h + h_1))) * h / (6 * (h + h_1 + h_2))
        factor *= h * (h + h_1) * (h + h_1 + h_2) / (h_1 * (h_1 + h_2) * (h_1 + h_2 + h_3))
        add(factor, (1, -(1 + q + p), q + p * (1 + h_2 / h_3), -p * q))
    return weights[: len(steps)]


def sample_deis(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
    order: int = 3,
) -> Tensor:
    """tAB-DEIS of Zhang and Chen (2023): Adams-Bashforth in the time of a variance-preserving process."""
    start, slope = _vp_betas()
    times = ((start**2 + 2 * slope * (sigmas.cpu() ** 2 + 1).log()).sqrt() - start) / slope
    slopes: list[Tensor] = []
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        slopes = [to_d(x, sigma, denoised), *slopes[: order - 1]]
        if len(slopes) == 1:
            x = x + (sigma_next - sigma) * slopes[0]
        else:
            nodes = [float(times[i - k]) for k in range(len(slopes))]
            x = x + _weighted(_deis_weights(nodes, float(times[i + 1]), start, slope), slopes)
    return x


def _vp_betas(sigma_min: float = 0.002, sigma_max: float = 80.0, eps: float = 1e-3) -> tuple[float, float]:
    """beta(t) = start + slope * t of the process that has sigma_min at t = eps and sigma_max at t = 1."""
    low, high = math.log(sigma_min**2 + 1), math.log(sigma_max**2 + 1)
    slope = 2 * (low / eps - high) / (eps - 1)
    return high - 0.5 * slope, slope


def _deis_weights(nodes: Sequence[float], end: float, start: float, slope: float) -> list[float]:
    """The integrals from nodes[0] to end of d sigma / dt times each Lagrange polynomial over the nodes.

    The sum over evenly spaced points, both ends included, is the authors' quadrature.
    """
    t = torch.linspace(nodes[0], end, _DEIS_POINTS)
    alpha = torch.exp(-0.5 * t**2 * slope - t * start)
    dsigma = 0.5 * (t * slope + start) / torch.sqrt(alpha * (1 - alpha))
    weights = []
    for j, node in enumerate(nodes):
        polynomial = torch.ones_like(t)
        for k, other in enumerate(nodes):
            if k != j:
                polynomial = polynomial * (t - other) / (node - other)
        weights.append(float((dsigma * polynomial).sum()) * (end - nodes[0]) / _DEIS_POINTS)
    return weights


def _weighted(weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    return torch.stack([slope * weight for weight, slope in zip(weights, slopes, strict=True)]).sum(dim=0)
