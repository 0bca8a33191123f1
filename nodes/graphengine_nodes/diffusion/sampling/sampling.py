"""What every sampler shares, and the samplers that take one step at a time.

A sampler solves the probability-flow ODE or the reverse SDE of Karras et al. (2022) for x, from the first of
the falling noise levels `sigmas` to the last. It asks the model for nothing but the denoised latent. The
algorithms are those of the cited papers; their form follows k-diffusion by Katherine Crowson (MIT licence).

Shapes: x is (B, C, H, W) on the model's scale; sigmas is (N + 1,), float32, falling; a single sigma has no
dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model_sampling import ModelSampling


class NoiseSampler(Protocol):
    """Where a sampler's noise comes from."""

    def __call__(self, sigma: Tensor, sigma_next: Tensor, like: Tensor | None = None) -> Tensor:
        """Standard normal noise for the step between two sigmas, shaped like x, or like another tensor."""


class Guided(NamedTuple):
    """The denoised latent after guidance, and the one of the negative conditioning alone."""

    denoised: Tensor
    uncond: Tensor


class Denoiser(Protocol):
    """A model with its conditioning: what a sampler sees of both."""

    @property
    def sampling(self) -> ModelSampling:
        """The noise levels of the model."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The denoised latent for x at the noise level sigma (no dimension, or (B,)). Shaped like x."""

    def guided(self, x: Tensor, sigma: Tensor) -> Guided:
        """Like a call, and the negative conditioning's own prediction, which CFG++ samplers need."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Where a sampler stands: step `index` from 0, at `sigma`, holding `x`, which looks like `denoised`."""

    index: int
    sigma: Tensor
    x: Tensor
    denoised: Tensor


Callback = Callable[[Step], None]


def no_callback(step: Step) -> None:
    """The default callback: nobody listens."""


Rescale = Callable[[Tensor, int, int], Tensor]
"""x at another width and height."""


class SamplerFunction(Protocol):
    """The signature of every sampler; those without noise of their own ignore `noise_sampler`."""

    def __call__(
        self,
        model: Denoiser,
        x: Tensor,
        sigmas: Tensor,
        *,
        callback: Callback,
        noise_sampler: NoiseSampler,
    ) -> Tensor:
        """The sampled x at the last of the sigmas. `callback` is called once per step."""


def levels(sigmas: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The steps of a schedule: index, sigma, next sigma."""
    for i in range(len(sigmas) - 1):
        yield i, sigmas[i], sigmas[i + 1]


def to_d(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """The derivative dx/dsigma of the probability-flow ODE; Karras et al. (2022), eq. 3."""
    return (x - denoised) / sigma


def sample_euler(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """Algorithm 2 (Euler steps) of Karras et al. (2022) without churn: DDIM of Song et al. (2021), eta 0."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        x = x + to_d(x, sigma, denoised) * (sigma_next - sigma)
    return x


def sample_heun(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """Algorithm 2 (Heun steps) of Karras et al. (2022) without churn; the step to 0 is Euler's."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        d = to_d(x, sigma, denoised)
        dt = sigma_next - sigma
        if sigma_next > 0:
            x_2 = x + d * dt
            d = (d + to_d(x_2, sigma_next, model(x_2, sigma_next))) / 2
        x = x + d * dt
    return x


def sample_heunpp2(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """Heun++ of order 2 (Carzit, 2023): up to two slopes ahead, weighted by their share of the first sigma."""
    end = len(sigmas) - 1
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        slopes = [to_d(x, sigma, denoised)]
        ahead, x_ahead = sigma, x
        # Euler steps ahead, as far as sigma stays above 0
        for following in sigmas[i + 1 : min(i + 3, end)]:
            x_ahead = x_ahead + slopes[-1] * (following - ahead)
            slopes.append(to_d(x_ahead, following, model(x_ahead, following)))
            ahead = following
        weights = [sigmas[i + k] / (len(slopes) * sigmas[0]) for k in range(1, len(slopes))]
        d = slopes[0] * (1 - sum(weights))
        for weight, slope in zip(weights, slopes[1:], strict=True):
            d = d + slope * weight
        x = x + d * (sigma_next - sigma)
    return x


def sample_dpm_2(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """Midpoint steps in log sigma, after DPM-Solver-2 (Lu et al., 2022a); the step to 0 is Euler's."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        d = to_d(x, sigma, denoised)
        if sigma_next > 0:
            sigma_mid = sigma.log().lerp(sigma_next.log(), 0.5).exp()
            x_2 = x + d * (sigma_mid - sigma)
            d = to_d(x_2, sigma_mid, model(x_2, sigma_mid))
        x = x + d * (sigma_next - sigma)
    return x


def sample_lcm(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
) -> Tensor:
    """Multistep consistency sampling: denoise fully, noise again; Song et al. (2023), algorithm 1 (LCM)."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        x = denoised
        if sigma_next > 0:
            noise = noise_sampler(sigma, sigma_next)
            x = model.sampling.noise_scaling(sigma_next, noise, x, max_denoise=False)
    return x


def sample_lcm_upscale(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    scale: Rescale,
    scale_ratio: float = 2.0,
    scale_steps: int | None = None,
) -> Tensor:
    """`sample_lcm` that enlarges the latent, each time before it is noised again.

    The size grows evenly to scale_ratio times the first over the first scale_steps steps, half of all by default.
    `scale` gives x at another width and height. Not meant for latents with a mask.
    """
    count = max(len(sigmas) // 2, 1) if scale_steps is None else scale_steps
    growing = min(count, len(sigmas))
    size = x.shape[-2:]
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        x = denoised
        if i < growing:
            factor = 1 + (scale_ratio - 1) * (i + 1) / growing
            x = scale(x, max(1, round(size[1] * factor)), max(1, round(size[0] * factor)))
        if sigma_next > 0:
            x = model.sampling.noise_scaling(sigma_next, noise_sampler(sigma, sigma_next, x), x, max_denoise=False)
    return x


def sample_ddpm(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
) -> Tensor:
    """Algorithm 2 of Ho et al. (2020), with alpha_bar = 1 / (sigma^2 + 1) at each level."""
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        eps = to_d(x, sigma, denoised)
        alpha_bar, alpha_bar_next = 1 / (sigma**2 + 1), 1 / (sigma_next**2 + 1)
        alpha = alpha_bar / alpha_bar_next
        scaled = x / torch.sqrt(1.0 + sigma**2)
        mean = (1.0 / alpha).sqrt() * (scaled - (1 - alpha) * eps / (1 - alpha_bar).sqrt())
        if sigma_next > 0:
            variance = (1 - alpha) * (1.0 - alpha_bar_next) / (1.0 - alpha_bar)
            mean = mean + variance.sqrt() * noise_sampler(sigma, sigma_next)
            mean = mean * torch.sqrt(1.0 + sigma_next**2)
        x = mean
    return x
