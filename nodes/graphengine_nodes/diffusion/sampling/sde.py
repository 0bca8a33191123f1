"""Stochastic samplers of the DPM-Solver++ family, driven by a Brownian motion over sigma.

All are written in the half log signal-to-noise ratio lambda = log(signal / sigma), so that one formula
serves models that add noise (signal 1) and flow models (signal 1 - sigma). Lu et al. (2022b) call the
signal alpha.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model_sampling import ModelSampling

from .ancestral import split_variance
from .sampling import Callback, Denoiser, NoiseSampler, Step, levels, no_callback


def half_log_snr(sampling: ModelSampling, sigma: Tensor) -> Tensor:
    """Lambda at sigma; it rises while sigma falls."""
    return -torch.logit(sigma) if sampling.is_flow else -sigma.log()


def sigma_of_half_log_snr(sampling: ModelSampling, lam: Tensor) -> Tensor:
    """Sigma at lambda."""
    return torch.sigmoid(-lam) if sampling.is_flow else (-lam).exp()


def finite_snr(sampling: ModelSampling, sigmas: Tensor) -> Tensor:
    """The same levels, the first moved off pure noise, where lambda is -infinity, in flow models."""
    if not sampling.is_flow or len(sigmas) < 2 or sigmas[0] < 1:
        return sigmas
    first = sigmas.new_tensor([sampling.percent_to_sigma(1e-4)])
    return torch.cat([first, sigmas[1:]])


def exponential_step(
    sampling: ModelSampling, x: Tensor, target: Tensor, step: tuple[Tensor, Tensor], eta: float
) -> Tensor:
    """The mean of x after a step of the SDE between two sigmas, the denoised latent being target throughout."""
    sigma, sigma_to = step
    lam, lam_to = half_log_snr(sampling, sigma), half_log_snr(sampling, sigma_to)
    h, signal_to = lam_to - lam, sigma_to * lam_to.exp()
    return sigma_to / sigma * (-h * eta).exp() * x - signal_to * (-h * (1 + eta)).expm1() * target


def sample_dpmpp_sde(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Tensor:
    """DPM-Solver++ (2S), stochastic: algorithm 1 of Lu et al. (2022b), each stage an ancestral step."""
    sigmas = finite_snr(model.sampling, sigmas)
    fac = 1 / (2 * r)
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        lam, lam_next = half_log_snr(model.sampling, sigma), half_log_snr(model.sampling, sigma_next)
        sigma_mid = sigma_of_half_log_snr(model.sampling, torch.lerp(lam, lam_next, r))
        noise = noise_sampler(sigma, sigma_mid) * s_noise
        x_2 = _ancestral_stage(model.sampling, x, denoised, noise, (sigma, sigma_mid), eta)
        target = (1 - fac) * denoised + fac * model(x_2, sigma_mid)
        noise = noise_sampler(sigma, sigma_next) * s_noise
        x = _ancestral_stage(model.sampling, x, target, noise, (sigma, sigma_next), eta)
    return x


def _ancestral_stage(
    sampling: ModelSampling, x: Tensor, target: Tensor, noise: Tensor, step: tuple[Tensor, Tensor], eta: float
) -> Tensor:
    """x after a step between two sigmas towards a fixed target, part of the noise replaced by fresh noise."""
    sigma, sigma_to = step
    lam, lam_to = half_log_snr(sampling, sigma), half_log_snr(sampling, sigma_to)
    down, up = split_variance((-lam).exp(), (-lam_to).exp(), eta)
    signal, signal_to = sigma * lam.exp(), sigma_to * lam_to.exp()
    h = -down.log() - lam
    mean = signal_to / signal * (-h).exp() * x - signal_to * (-h).expm1() * target
    return mean + signal_to * up * noise


def sample_dpmpp_2m_sde(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 1.0,
    s_noise: float = 1.0,
    heun: bool = False,
) -> Tensor:
    """DPM-Solver++(2M) SDE of Lu et al. (2022b); midpoint or Heun form of the correction."""
    sigmas = finite_snr(model.sampling, sigmas)
    old_denoised: Tensor | None = None
    h_last = sigmas[0]
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        lam_next = half_log_snr(model.sampling, sigma_next)
        h = lam_next - half_log_snr(model.sampling, sigma)
        h_eta = h * (eta + 1)
        signal_next = sigma_next * lam_next.exp()
        x = exponential_step(model.sampling, x, denoised, (sigma, sigma_next), eta)
        if old_denoised is not None:
            factor = (-h_eta).expm1() / h_eta + 1 if heun else -0.5 * (-h_eta).expm1()
            x = x + signal_next * factor * (h / h_last) * (denoised - old_denoised)
        if eta:
            x = x + noise_sampler(sigma, sigma_next) * _noise_size(sigma_next, h, eta) * s_noise
        old_denoised, h_last = denoised, h
    return x


def sample_dpmpp_2m_sde_heun(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
) -> Tensor:
    """`sample_dpmpp_2m_sde` with the Heun form."""
    return sample_dpmpp_2m_sde(model, x, sigmas, callback=callback, noise_sampler=noise_sampler, heun=True)


def sample_dpmpp_3m_sde(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver++(3M) SDE: as 2M, with the second difference of the last three denoised latents."""
    sigmas = finite_snr(model.sampling, sigmas)
    history: list[tuple[Tensor, Tensor]] = []  # (denoised, h) of the last two steps, newest first
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        lam_next = half_log_snr(model.sampling, sigma_next)
        h = lam_next - half_log_snr(model.sampling, sigma)
        signal_next = sigma_next * lam_next.exp()
        x = exponential_step(model.sampling, x, denoised, (sigma, sigma_next), eta)
        x = x + signal_next * _third_order(denoised, h, h * (eta + 1), history)
        if eta:
            x = x + noise_sampler(sigma, sigma_next) * _noise_size(sigma_next, h, eta) * s_noise
        history = [(denoised, h), *history[:1]]
    return x


def _third_order(denoised: Tensor, h: Tensor, h_eta: Tensor, history: list[tuple[Tensor, Tensor]]) -> Tensor:
    """What the derivatives of the denoised latent add to a step, as far as the history tells them."""
    if not history:
        return torch.zeros_like(denoised)
    phi_2 = (-h_eta).expm1() / h_eta + 1
    denoised_1, h_1 = history[0]
    r0 = h_1 / h
    d1_0 = (denoised - denoised_1) / r0
    if len(history) == 1:
        return phi_2 * d1_0
    denoised_2, h_2 = history[1]
    r1 = h_2 / h
    d1_1 = (denoised_1 - denoised_2) / r1
    d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1)
    d2 = (d1_0 - d1_1) / (r0 + r1)
    return phi_2 * d1 - (phi_2 / h_eta - 0.5) * d2


def _noise_size(sigma_next: Tensor, h: Tensor, eta: float) -> Tensor:
    """The standard deviation of the noise that the SDE adds on the way to sigma_next."""
    return sigma_next * (-2 * h * eta).expm1().neg().sqrt()
