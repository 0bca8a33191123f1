"""Solvers that integrate the noise of the reverse SDE exactly: SEEDS and ER-SDE."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .sampling import Callback, Denoiser, NoiseSampler, Step, levels, no_callback
from .sde import exponential_step, finite_snr, half_log_snr, sigma_of_half_log_snr

_ER_POINTS = 200

NoiseScale = Callable[[Tensor], Tensor]
"""How much noise an extended SDE has had added, as a function of noise over signal."""


def er_scale(ratio: Tensor) -> Tensor:
    """The noise scale function that Cui et al. (2023) found best."""
    return ratio * ((ratio**0.3).exp() + 10.0)


def reverse_time_scale(ratio: Tensor, eta: float = 1.0) -> Tensor:
    """The noise scale function of the ODE (eta 0) and of the reverse-time SDE (eta 1)."""
    return ratio ** (eta + 1.0)


def sample_seeds_2(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 1.0,
    r: float = 0.5,
) -> Tensor:
    """SEEDS-2 of Gonzalez et al. (2023), predicting data: two stages that share their noise."""
    sampling = model.sampling
    sigmas = finite_snr(sampling, sigmas)
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        lam, lam_next = half_log_snr(sampling, sigma), half_log_snr(sampling, sigma_next)
        h_eta = (lam_next - lam) * eta
        sigma_1 = sigma_of_half_log_snr(sampling, torch.lerp(lam, lam_next, r))
        noise = (noise_sampler(sigma, sigma_1), noise_sampler(sigma_1, sigma_next))
        x_2 = exponential_step(sampling, x, denoised, (sigma, sigma_1), eta)
        x_2 = x_2 + sigma_1 * _share(h_eta, (0, r), r) * noise[0]
        target = torch.lerp(denoised, model(x_2, sigma_1), 1 / (2 * r))
        x = exponential_step(sampling, x, target, (sigma, sigma_next), eta)
        x = x + sigma_next * (_share(h_eta, (0, r), 1) * noise[0] + _share(h_eta, (r, 1), 1) * noise[1])
    return x


def sample_seeds_3(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 1.0,
) -> Tensor:
    """SEEDS-3 of Gonzalez et al. (2023), predicting data: three stages that share their noise."""
    sigmas = finite_snr(model.sampling, sigmas)
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        x = _seeds_3_step(model, x, denoised, (sigma, sigma_next), noise_sampler, eta)
    return x


def _seeds_3_step(
    model: Denoiser,
    x: Tensor,
    denoised: Tensor,
    step: tuple[Tensor, Tensor],
    noise_sampler: NoiseSampler,
    eta: float,
    r1: float = 1 / 3,
    r2: float = 2 / 3,
) -> Tensor:
    sampling, (sigma, sigma_next) = model.sampling, step
    lam, lam_next = half_log_snr(sampling, sigma), half_log_snr(sampling, sigma_next)
    h, h_eta = (lam_next - lam) * (1 + eta), (lam_next - lam) * eta
    sigma_1, sigma_2 = (sigma_of_half_log_snr(sampling, torch.lerp(lam, lam_next, r)) for r in (r1, r2))
    noise_1 = noise_sampler(sigma, sigma_1)
    noise_2 = noise_sampler(sigma_1, sigma_2)
    noise_3 = noise_sampler(sigma_2, sigma_next)

    x_2 = exponential_step(sampling, x, denoised, (sigma, sigma_1), eta)
    x_2 = x_2 + sigma_1 * _share(h_eta, (0, r1), r1) * noise_1
    change = model(x_2, sigma_1) - denoised

    signal = sigma_2 * half_log_snr(sampling, sigma_2).exp()
    x_3 = exponential_step(sampling, x, denoised, (sigma, sigma_2), eta)
    x_3 = x_3 - signal * (r2 / r1) * _phi(r2 * h) * change
    x_3 = x_3 + sigma_2 * (_share(h_eta, (0, r1), r2) * noise_1 + _share(h_eta, (r1, r2), r2) * noise_2)
    change = model(x_3, sigma_2) - denoised

    signal = sigma_next * lam_next.exp()
    x = exponential_step(sampling, x, denoised, (sigma, sigma_next), eta) - signal / r2 * _phi(h) * change
    noise = _share(h_eta, (0, r1), 1) * noise_1 + _share(h_eta, (r1, r2), 1) * noise_2
    return x + sigma_next * (noise + _share(h_eta, (r2, 1), 1) * noise_3)


def _phi(h: Tensor) -> Tensor:
    return (-h).expm1() / -h - 1


def _share(h_eta: Tensor, part: tuple[float, float], at: float) -> Tensor:
    """The standard deviation, over sigma, of the noise of a part of the step once x has gone on to `at`.

    The parts of a step are counted from 0 to 1; noise fades as exp(-h_eta) on its way.
    """
    begin, end = part
    return ((-2 * h_eta * (at - end)).exp() - (-2 * h_eta * (at - begin)).exp()).sqrt()


def sample_er_sde(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    s_noise: float = 1.0,
    max_stage: int = 3,
    scale: NoiseScale = er_scale,
) -> Tensor:
    """Extended reverse-time SDE: ER-SDE-Solver-3 of Cui et al. (2023), or -1, -2 for a lower max_stage."""
    sampling = model.sampling
    sigmas = finite_snr(sampling, sigmas)
    ratios = (-half_log_snr(sampling, sigmas[sigmas > 0])).exp()  # noise over signal
    history: list[Tensor] = []  # the denoised latent and its slope, of the step before
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        ratio, ratio_next = ratios[i], ratios[i + 1]
        signal, signal_next = sigma / ratio, sigma_next / ratio_next
        r = scale(ratio_next) / scale(ratio)
        change, history = _er_change(denoised, history[: max_stage - 1], ratios[max(i - 2, 0) : i + 2], scale)
        x = signal_next * (r * x / signal + (1 - r) * denoised + change)
        variance = (ratio_next**2 - ratio**2 * r**2).clamp(min=0)
        if s_noise:
            x = x + signal_next * variance.sqrt() * noise_sampler(sigma, sigma_next) * s_noise
    return x


def _er_change(
    denoised: Tensor, history: list[Tensor], ratios: Tensor, scale: NoiseScale
) -> tuple[Tensor, list[Tensor]]:
    """What the first and second derivative of the denoised latent add to a step, and the history for the next.

    ratios: up to two levels before this one, this one, the next.
    """
    if not history:
        return torch.zeros_like(denoised), [denoised]
    ratio, ratio_next = ratios[-2], ratios[-1]
    dt = ratio_next - ratio
    width = -dt / _ER_POINTS
    points = ratio_next + torch.arange(_ER_POINTS, device=ratios.device) * width
    scale_next = scale(ratio_next)
    slope = (denoised - history[0]) / (ratio - ratios[-3])
    change = (dt + (1 / scale(points)).sum() * width * scale_next) * slope
    if len(history) > 1:
        curvature = (slope - history[1]) / ((ratio - ratios[-4]) / 2)
        integral = ((points - ratio) / scale(points)).sum() * width
        change = change + (dt**2 / 2 + integral * scale_next) * curvature
    return change, [denoised, slope]
