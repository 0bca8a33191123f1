"""Ancestral samplers: a step down to less noise than the next level has, then fresh noise up to it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model_sampling import ModelSampling

from .sampling import Callback, Denoiser, NoiseSampler, Step, levels, no_callback, to_d


class AncestralStep(NamedTuple):
    """Step to sigma_down, multiply by scale, add noise of sigma_up."""

    sigma_down: Tensor
    sigma_up: Tensor
    scale: Tensor


def ancestral_step(sampling: ModelSampling, sigma: Tensor, sigma_next: Tensor, eta: float) -> AncestralStep:
    """How a step from sigma to sigma_next is split; eta 0 adds no noise, 1 as much as DDPM.

    For flow models (signal 1 - sigma) the signal is scaled to its size at sigma_next before the noise comes in.
    """
    if sampling.is_flow:
        sigma_down = sigma_next * (1 + (sigma_next / sigma - 1) * eta)
        scale = (1 - sigma_next) / (1 - sigma_down)
        return AncestralStep(sigma_down, (sigma_next**2 - sigma_down**2 * scale**2).clamp(min=0).sqrt(), scale)
    sigma_down, sigma_up = split_variance(sigma, sigma_next, eta)
    return AncestralStep(sigma_down, sigma_up, torch.ones_like(sigma))


def split_variance(sigma: Tensor, sigma_next: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """(sigma_down, sigma_up) with sigma_down^2 + sigma_up^2 = sigma_next^2; Song et al. (2021), eq. 16."""
    up = eta * (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5
    sigma_up = torch.minimum(sigma_next, up)
    return (sigma_next**2 - sigma_up**2) ** 0.5, sigma_up


def sample_euler_ancestral(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Ancestral sampling with Euler steps: DDIM of Song et al. (2021) with eta > 0."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        down, up, scale = ancestral_step(model.sampling, sigma, sigma_next, eta)
        x = x + to_d(x, sigma, denoised) * (down - sigma)
        if sigma_next > 0:
            x = scale * x + noise_sampler(sigma, sigma_next) * s_noise * up
    return x


def sample_dpm_2_ancestral(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 1.0,
) -> Tensor:
    """Ancestral sampling with midpoint steps in log sigma, after DPM-Solver-2 (Lu et al., 2022a)."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        down, up, scale = ancestral_step(model.sampling, sigma, sigma_next, eta)
        d = to_d(x, sigma, denoised)
        if down == 0:
            x = x + d * (down - sigma)
            continue
        sigma_mid = sigma.log().lerp(down.log(), 0.5).exp()
        x_2 = x + d * (sigma_mid - sigma)
        d_2 = to_d(x_2, sigma_mid, model(x_2, sigma_mid))
        x = scale * (x + d_2 * (down - sigma)) + noise_sampler(sigma, sigma_next) * up
    return x


def sample_dpmpp_2s_ancestral(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Ancestral sampling with DPM-Solver++(2S) steps (Lu et al., 2022b, algorithm 1)."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        down, up, scale = ancestral_step(model.sampling, sigma, sigma_next, eta)
        if down == 0:
            x = x + to_d(x, sigma, denoised) * (down - sigma)
        else:
            sigma_mid = _middle(model.sampling, sigma, down)
            x_2 = sigma_mid / sigma * x + (1 - sigma_mid / sigma) * denoised
            x = down / sigma * x + (1 - down / sigma) * model(x_2, sigma_mid)
        if sigma_next > 0:
            x = scale * x + noise_sampler(sigma, sigma_next) * s_noise * up
    return x


def _middle(sampling: ModelSampling, sigma: Tensor, sigma_next: Tensor) -> Tensor:
    """The level half way in log signal-to-noise ratio."""
    if not sampling.is_flow:
        return (sigma.log() + 0.5 * (sigma_next.log() - sigma.log())).exp()
    if sigma == 1:
        return torch.full_like(sigma, 0.9999)  # half way from pure noise is undefined: as near to it as useful
    return torch.sigmoid((torch.logit(sigma) + torch.logit(sigma_next)) / 2)


def sample_euler_cfg_pp(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """CFG++ of Chung et al. (2024): Euler, with the noise direction of the unconditional prediction."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised, uncond = model.guided(x, sigma)
        callback(Step(i, sigma, x, denoised))
        signal, signal_next = _signal(model.sampling, sigma), _signal(model.sampling, sigma_next)
        x = signal_next * denoised + to_d(x, sigma, signal * uncond) * sigma_next
    return x


def sample_euler_cfg_pp_alternative(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """Euler steps along (x - denoised) / sigma of an x that is moved by uncond - denoised first."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised, uncond = model.guided(x, sigma)
        callback(Step(i, sigma, x, denoised))
        x = x + to_d(x - denoised + uncond, sigma, denoised) * (sigma_next - sigma)
    return x


def sample_euler_ancestral_cfg_pp(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """CFG++ of Chung et al. (2024) with the noise of an ancestral Euler step."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised, uncond = model.guided(x, sigma)
        callback(Step(i, sigma, x, denoised))
        signal, signal_next = _signal(model.sampling, sigma), _signal(model.sampling, sigma_next)
        # The variance is split at unit signal; pure noise (signal 0) counts as a level just below it.
        down, up = split_variance(sigma / signal.clamp(min=1e-8), sigma_next / signal_next, eta)
        x = signal_next * (denoised + to_d(x, sigma, signal * uncond) * down)
        if sigma_next > 0:
            x = x + signal_next * noise_sampler(sigma, sigma_next) * s_noise * up
    return x


def sample_dpmpp_2s_ancestral_cfg_pp(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 1.0,
) -> Tensor:
    """DPM-Solver++(2S) (Lu et al., 2022b) with CFG++ (Chung et al., 2024) and ancestral noise."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised, uncond = model.guided(x, sigma)
        callback(Step(i, sigma, x, denoised))
        down, up = split_variance(sigma, sigma_next, eta)
        if down == 0:
            x = denoised + to_d(x, sigma, uncond) * down
        else:
            sigma_mid = (sigma * down).sqrt()
            x_2 = denoised + sigma_mid / sigma * (x - uncond)
            denoised_2, uncond_2 = model.guided(x_2, sigma_mid)
            x = denoised_2 + down / sigma * (x + denoised - uncond_2 - denoised_2)
        if sigma_next > 0:
            x = x + noise_sampler(sigma, sigma_next) * up
    return x


def _signal(sampling: ModelSampling, sigma: Tensor) -> Tensor:
    """The factor of the latent in x at this level."""
    return 1 - sigma if sampling.is_flow else torch.ones_like(sigma)
