"""Deterministic samplers that look back at the steps before."""

from __future__ import annotations

from torch import Tensor

from .sampling import Callback, Denoiser, NoiseSampler, Step, levels, no_callback


def sample_dpmpp_2m(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """DPM-Solver++(2M): algorithm 2 of Lu et al. (2022b)."""
    old_denoised: Tensor | None = None
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        target = denoised
        if old_denoised is not None and sigma_next > 0:
            r = (sigmas[i - 1].log() - sigma.log()) / (sigma.log() - sigma_next.log())
            target = (1 + 1 / (2 * r)) * denoised - (1 / (2 * r)) * old_denoised
        ratio = sigma_next / sigma
        x = ratio * x + (1 - ratio) * target
        old_denoised = denoised
    return x


def sample_dpmpp_2m_cfg_pp(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """DPM-Solver++(2M) (Lu et al., 2022b) with CFG++ (Chung et al., 2024)."""
    old_uncond: Tensor | None = None
    for i, sigma, sigma_next in levels(sigmas):
        denoised, uncond = model.guided(x, sigma)
        callback(Step(i, sigma, x, denoised))
        ratio = sigma_next / sigma
        mix = ratio * (x - uncond)
        if old_uncond is not None and sigma_next > 0:
            r = (sigmas[i - 1].log() - sigma.log()) / (sigma.log() - sigma_next.log())
            mix = mix + (1 - ratio) * (1 / (2 * r)) * (denoised - old_uncond)
        x = denoised + mix
        old_uncond = uncond
    return x
