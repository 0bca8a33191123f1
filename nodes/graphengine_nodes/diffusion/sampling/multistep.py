"""Samplers that look back at the denoised latent of the step before."""

from __future__ import annotations

from torch import Tensor

from .ancestral import split_variance
from .sampling import Callback, Denoiser, NoiseSampler, Step, levels, no_callback, to_d


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


def sample_gradient_estimation(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
    gamma: float = 2.0,
) -> Tensor:
    """Gradient estimation: algorithm 2 of Permenter and Yuan (2024)."""
    old_d: Tensor | None = None
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        d = to_d(x, sigma, denoised)
        d_bar = d if old_d is None else gamma * d + (1 - gamma) * old_d
        x = x + d_bar * (sigma_next - sigma)
        old_d = d
    return x


def sample_gradient_estimation_cfg_pp(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
    gamma: float = 2.0,
) -> Tensor:
    """Gradient estimation (Permenter and Yuan, 2024) with CFG++ (Chung et al., 2024)."""
    old_d: Tensor | None = None
    for i, sigma, sigma_next in levels(sigmas):
        denoised, uncond = model.guided(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            return denoised
        d = to_d(x, sigma, uncond)
        x = denoised + d * sigma_next
        if old_d is not None:
            x = x + (gamma - 1) * (d - old_d) * (sigma_next - sigma)
        old_d = d
    return x


def sample_res_multistep(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 0.0,
) -> Tensor:
    """The two-step refined exponential solver of Zhang et al. (2023), with ancestral noise for eta > 0."""
    old: Tensor | None = None
    old_down = sigmas[0]
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        down, up = split_variance(sigma, sigma_next, eta)
        if down == 0 or old is None:
            x = x + to_d(x, sigma, denoised) * (down - sigma)
        else:
            b1, b2 = _res_weights((sigmas[i - 1], old_down), (sigma, down))
            x = down / sigma * x + b1 * denoised + b2 * old
        if sigma_next > 0 and eta:
            x = x + noise_sampler(sigma, sigma_next) * up
        old, old_down = denoised, down
    return x


def sample_res_multistep_ancestral(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
) -> Tensor:
    """`sample_res_multistep` with as much fresh noise as DDPM adds."""
    return sample_res_multistep(model, x, sigmas, callback=callback, noise_sampler=noise_sampler, eta=1.0)


def sample_res_multistep_cfg_pp(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    eta: float = 0.0,
) -> Tensor:
    """`sample_res_multistep` with CFG++ (Chung et al., 2024): the history is that of the unconditional side."""
    old: Tensor | None = None
    old_down = sigmas[0]
    for i, sigma, sigma_next in levels(sigmas):
        denoised, uncond = model.guided(x, sigma)
        callback(Step(i, sigma, x, denoised))
        down, up = split_variance(sigma, sigma_next, eta)
        if down == 0 or old is None:
            x = denoised + to_d(x, sigma, uncond) * down
        else:
            b1, b2 = _res_weights((sigmas[i - 1], old_down), (sigma, down))
            x = down / sigma * (x + denoised - uncond) + b1 * uncond + b2 * old
        if sigma_next > 0 and eta:
            x = x + noise_sampler(sigma, sigma_next) * up
        old, old_down = uncond, down
    return x


def sample_res_multistep_ancestral_cfg_pp(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
) -> Tensor:
    """`sample_res_multistep_cfg_pp` with as much fresh noise as DDPM adds."""
    return sample_res_multistep_cfg_pp(model, x, sigmas, callback=callback, noise_sampler=noise_sampler, eta=1.0)


def _res_weights(last: tuple[Tensor, Tensor], this: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """h * b1 and h * b2 of Zhang et al. (2023), for two steps given by where they begin and where they end.

    c2 is the place of the older latent, in units of this step and against its direction.
    """
    h = this[0].log() - this[1].log()
    c2 = (last[1].log() - last[0].log()) / h
    phi_1 = (-h).expm1() / -h
    phi_2 = (phi_1 - 1) / -h
    return h * (phi_1 - phi_2 / c2), h * phi_2 / c2
