"""Falling sigmas from formulas that need no model, or only its table: what the scheduler nodes give.

All functions return float32 on the CPU. Unless one says otherwise the shape is (steps + 1,) and the last sigma 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling, ModelSampling, exponential_shift

from .schedules import calculate_sigmas, karras_levels, whole_steps

_ALIGNED_TIMESTEPS = {
    "SD1": (999, 850, 736, 645, 545, 455, 343, 233, 124, 24, 0),
    "SDXL": (999, 845, 730, 587, 443, 310, 193, 116, 53, 13, 0),
}
"""Ten steps of Sabour et al. (2024), and the end of the table."""

_ALIGNED_VIDEO_SIGMAS = (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002)
"""The same for Stable Video Diffusion, whose sigmas they give."""


def scheduled(sampling: ModelSampling, scheduler: str, steps: int, denoise: float = 1.0) -> Tensor:
    """The sigmas of a scheduler by name; for denoise < 1 the last ones of steps / denoise steps, for 0 none.

    Raises:
        ValueError: the scheduler is unknown, or denoise so small that the schedule has too many steps.
    """
    if denoise <= 0.0:
        return torch.zeros(0)
    whole = whole_steps(steps, denoise)
    return calculate_sigmas(sampling, scheduler, whole)[-(steps + 1) :]


def karras(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Karras et al. (2022), eq. 5.

    Raises:
        ValueError: not 0 < sigma_min <= sigma_max, or rho is not above 0.
    """
    _check_range(sigma_min, sigma_max)
    if rho <= 0:
        raise ValueError(f"rho is {rho:g}; it must be above 0")
    return karras_levels(steps, sigma_min, sigma_max, rho)


def exponential(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Uniform in log sigma; k-diffusion's `get_sigmas_exponential`.

    Raises:
        ValueError: not 0 < sigma_min <= sigma_max.
    """
    _check_range(sigma_min, sigma_max)
    return _append_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp())


def polyexponential(steps: int, sigma_min: float, sigma_max: float, rho: float = 1.0) -> Tensor:
    """A power rho of a ramp in log sigma; k-diffusion's `get_sigmas_polyexponential`.

    Raises:
        ValueError: not 0 < sigma_min <= sigma_max.
    """
    _check_range(sigma_min, sigma_max)
    ramp = torch.linspace(1, 0, steps) ** rho
    return _append_zero(torch.exp(ramp * (math.log(sigma_max) - math.log(sigma_min)) + math.log(sigma_min)))


def laplace(steps: int, sigma_min: float, sigma_max: float, mu: float = 0.0, beta: float = 0.5) -> Tensor:
    """Quantiles of a Laplace distribution of log sigma, cut to the range; Hang et al. (2024).

    Shape (steps,): the list ends at sigma_min, no 0 follows.

    Raises:
        ValueError: not 0 < sigma_min <= sigma_max.
    """
    _check_range(sigma_min, sigma_max)
    place = 0.5 - torch.linspace(0, 1, steps)
    # the small number keeps the logarithm finite at both ends
    log_sigma = mu - beta * torch.sign(place) * torch.log(1 - 2 * place.abs() + 1e-5)
    return log_sigma.exp().clamp(sigma_min, sigma_max)


def variance_preserving(steps: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3) -> Tensor:
    """The VP process of Song et al. (2021b) at uniform times from 1 to eps_s; k-diffusion's `get_sigmas_vp`.

    Raises:
        ValueError: eps_s is 0, where sigma is 0 already.
    """
    if eps_s <= 0:
        raise ValueError(f"eps_s is {eps_s:g}; the last time must be above 0")
    t = torch.linspace(1, eps_s, steps)
    return _append_zero(torch.sqrt(torch.special.expm1(beta_d * t**2 / 2 + beta_min * t)))


def sd_turbo(sampling: ModelSampling, steps: int, denoise: float = 1.0) -> Tensor:
    """The training steps 999, 899, …, 99 of SD-Turbo (Sauer et al., 2023), from the place that denoise names.

    Fewer than asked for where denoise leaves fewer of the ten.
    """
    start = 10 - int(10 * denoise)
    timesteps = torch.arange(1000 - 1, 0, -100)[start : start + steps]
    return _append_zero(sampling.sigma(timesteps))


def align_your_steps(model_type: str, steps: int, denoise: float = 1.0) -> Tensor:
    """The levels that Sabour et al. (2024) found best for "SD1", "SDXL" or "SVD".

    They found ten steps; other counts are interpolated in log sigma.
    For denoise < 1 the last round(steps * denoise) steps, for 0 no sigma.

    Raises:
        ValueError: there are none for this type of model.
    """
    total = round(steps * denoise) if denoise < 1.0 else steps
    if denoise <= 0.0:
        return torch.zeros(0)
    levels = _aligned_levels(model_type)
    if len(levels) != steps + 1:
        levels = _log_linear(levels, steps + 1)
    return torch.tensor([*levels[-(total + 1) : -1], 0.0])


def _aligned_levels(model_type: str) -> list[float]:
    if model_type == "SVD":
        return list(_ALIGNED_VIDEO_SIGMAS)
    if model_type not in _ALIGNED_TIMESTEPS:
        raise ValueError(f"model_type is {model_type!r}; there are steps for SD1, SDXL and SVD")
    table = DiscreteSampling.linear().sigmas
    return [float(table[timestep]) for timestep in _ALIGNED_TIMESTEPS[model_type]]


def _log_linear(levels: list[float], count: int) -> list[float]:
    """As many levels on the line through the logarithms of these, over even places."""
    logs = [math.log(level) for level in levels]
    result = []
    for index in range(count):
        place = index * (len(logs) - 1) / max(count - 1, 1)
        low = min(int(place), len(logs) - 2)
        result.append(math.exp(logs[low] + (place - low) * (logs[low + 1] - logs[low])))
    return result


def ltxv(
    steps: int, tokens: int = 4096, *, max_shift: float, base_shift: float, stretch: bool, terminal: float
) -> Tensor:
    """Flow levels of LTX-Video: shifted by exp(s), where s grows linearly with the tokens of the latent.

    s is base_shift at 1,024 tokens and max_shift at 4,096. stretch moves the last level above 0 to `terminal`.
    """
    shift = shift_of_tokens(tokens, (1024, base_shift), (4096, max_shift))
    times = torch.linspace(1.0, 0.0, steps + 1)
    sigmas = torch.where(times > 0, exponential_shift(shift, times), times)
    if stretch and steps > 1:  # a single level is 1 already: there is nothing to stretch
        above = 1.0 - sigmas[:-1]
        sigmas[:-1] = 1.0 - above / (above[-1] / (1.0 - terminal))
    return sigmas


def flux2(steps: int, width: int, height: int) -> Tensor:
    """Flow levels of Flux.2: shifted by exp(mu), mu from the picture's tokens (16 x 16 pixels) and the steps.

    The two lines are Black Forest Labs' fits for 10 and for 200 steps; between them mu is linear in the steps.
    """
    tokens = round(width * height / (16 * 16))
    mu_200 = 0.00016927 * tokens + 0.45666666
    mu = mu_200
    if tokens <= 4300:
        mu_10 = 8.73809524e-05 * tokens + 1.89833333
        mu = mu_200 + (steps - 200) * (mu_200 - mu_10) / 190
    times = torch.linspace(1.0, 0.0, steps + 1)
    return torch.where(times > 0, exponential_shift(mu, times), times)


def shift_of_tokens(tokens: float, first: tuple[int, float], second: tuple[int, float]) -> float:
    """The shift of a number of latent tokens, on the line through two (tokens, shift)."""
    slope = (second[1] - first[1]) / (second[0] - first[0])
    return tokens * slope + (first[1] - slope * first[0])


def _check_range(sigma_min: float, sigma_max: float) -> None:
    if sigma_min <= 0:
        raise ValueError(f"sigma_min is {sigma_min:g}; it must be above 0 (a 0 follows the lowest sigma anyhow)")
    if sigma_min > sigma_max:
        raise ValueError(f"sigma_min {sigma_min:g} is above sigma_max {sigma_max:g}")


def _append_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])
