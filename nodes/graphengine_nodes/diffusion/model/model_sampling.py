"""Noise levels of a model family and what they mean: sigma, timestep, input scaling, denoised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

Prediction = Literal["eps", "v", "x0", "img_to_img"]
"""What the network of a discrete model predicts: the noise, the velocity of Salimans and Ho (2022), or the clean
latent, from a scaled ("x0") or unscaled ("img_to_img") x."""

_ABOVE_EVERY_SIGMA = 999999999.9
_HIGHEST_SHIFT = 80


class ModelSampling(Protocol):
    """How one model family is noised and denoised; the samplers see nothing else of the family.

    A sigma tensor is either of shape (B,), one level per sample of x, or has no dimension at all.
    """

    @property
    def sigmas(self) -> Tensor:
        """All noise levels of training, rising. Float32, shape (N,)."""

    @property
    def is_flow(self) -> bool:
        """True for rectified flow: x = sigma * noise + (1 - sigma) * latent with sigma in 0..1."""

    def timestep(self, sigma: Tensor) -> Tensor:
        """The time that the network is told for sigma. Same shape, float32."""

    def sigma(self, timestep: Tensor) -> Tensor:
        """The noise level at a (possibly fractional) timestep. Same shape, float32."""

    def percent_to_sigma(self, percent: float) -> float:
        """The noise level after this part of the training schedule; 0 is the noisy end, 1 the clean end."""

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool) -> Tensor:
        """The starting point x: latent with noise at level sigma; max_denoise when the latent shall vanish."""

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """The latent of an x that was left at level sigma."""

    def scale_input(self, sigma: Tensor, x: Tensor) -> Tensor:
        """What the network is shown for x at level sigma."""

    def denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        """The clean latent that a network output stands for, given the (unscaled) x at level sigma."""


def linear_sigmas(
    steps: int = 1000, *, start: float = 0.00085, end: float = 0.012, zero_terminal_snr: bool = False
) -> Tensor:
    """Sigmas of the "scaled linear" beta schedule of latent diffusion (Rombach et al., 2022). Float64, rising.

    With zero_terminal_snr the table is rescaled as in Lin et al. (2024), "Common Diffusion Noise Schedules
    and Sample Steps are Flawed", algorithm 1; the last signal level, zero in the paper, is the smallest
    value at which sigma stays finite in practice (about 4518).
    """
    betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
    if not zero_terminal_snr:
        return ((1 - alphas_cumprod) / alphas_cumprod) ** 0.5
    return _rescale_to_zero_snr(((1 - alphas_cumprod) / alphas_cumprod) ** 0.5)


def _rescale_to_zero_snr(sigmas: Tensor) -> Tensor:
    signal = (1 / (sigmas * sigmas + 1)).sqrt()
    first, last = signal[0].clone(), signal[-1].clone()
    signal = (signal - last) * (first / (first - last))
    alphas_cumprod = signal**2
    alphas_cumprod[-1] = 4.8973451890853435e-08
    return ((1 - alphas_cumprod) / alphas_cumprod) ** 0.5


@dataclass(frozen=True, slots=True, eq=False)
class DiscreteSampling:
    """A table of sigmas, one per training step: SD1, SD2, SDXL.

    Preconditioning is that of Karras et al. (2022) with sigma_data = 1 (k-diffusion's "external" models).
    """

    sigmas: Tensor
    log_sigmas: Tensor
    prediction: Prediction = "eps"

    @classmethod
    def from_sigmas(cls, sigmas: Tensor, prediction: Prediction = "eps") -> DiscreteSampling:
        """The family with this rising table, shape (N,), ideally float64: both tables are rounded once."""
        return cls(sigmas.float(), sigmas.log().float(), prediction)

    @classmethod
    def linear(cls, prediction: Prediction = "eps", *, zero_terminal_snr: bool = False) -> DiscreteSampling:
        """The table of SD1, SD2 and SDXL."""
        return cls.from_sigmas(linear_sigmas(zero_terminal_snr=zero_terminal_snr), prediction)

    @property
    def is_flow(self) -> bool:
        """False: x = latent + sigma * noise."""
        return False

    def timestep(self, sigma: Tensor) -> Tensor:
        """The index of the table entry that is nearest to sigma in log space. Same shape, float32.

        Some schedules put sigmas half way between two entries, where the last bit of the logarithm decides:
        it is always taken on the CPU, so that devices agree.
        """
        distance = sigma.cpu().log().reshape(1, -1) - self.log_sigmas[:, None]
        return distance.abs().argmin(dim=0).reshape(sigma.shape).to(sigma.device, torch.float32)

    def sigma(self, timestep: Tensor) -> Tensor:
        """The noise level at a timestep 0..N-1, interpolated linearly in log sigma."""
        table = self.log_sigmas.to(timestep.device)
        position = timestep.float().clamp(min=0, max=len(table) - 1)
        low, high, weight = position.floor().long(), position.ceil().long(), position.frac()
        return ((1 - weight) * table[low] + weight * table[high]).exp()

    def percent_to_sigma(self, percent: float) -> float:
        """The noise level after this part of the schedule; beyond every sigma for percent <= 0."""
        if percent <= 0.0:
            return _ABOVE_EVERY_SIGMA
        if percent >= 1.0:
            return 0.0
        return self.sigma(torch.tensor((1.0 - percent) * (len(self.sigmas) - 1))).item()

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool) -> Tensor:
        """Latent + sigma * noise; at the highest level the noise has the variance 1 + sigma^2 of training."""
        sigma = over(noise, sigma)
        return noise * (torch.sqrt(1.0 + sigma**2.0) if max_denoise else sigma) + latent

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """The latent itself: nothing is scaled in this family."""
        return latent

    def scale_input(self, sigma: Tensor, x: Tensor) -> Tensor:
        """x / sqrt(sigma^2 + 1), which has variance 1 for a latent of variance 1; x itself for "img_to_img"."""
        if self.prediction == "img_to_img":
            return x
        return x / (over(x, sigma) ** 2 + 1.0) ** 0.5

    def denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        """x - sigma * eps, or x / (sigma^2 + 1) - v * sigma / sqrt(sigma^2 + 1), or the output itself."""
        sigma = over(x, sigma)
        if self.prediction == "eps":
            return x - output * sigma
        if self.prediction != "v":
            return output
        return x / (sigma**2 + 1.0) - output * sigma / (sigma**2 + 1.0) ** 0.5


@dataclass(frozen=True, slots=True, eq=False)
class FlowSampling:
    """Rectified flow (Liu et al., 2022; Esser et al., 2024): sigma runs from 0 to 1, the output is noise - latent.

    The network is told timestep = sigma * multiplier.
    """

    sigmas: Tensor
    shift: float
    multiplier: float
    exponential: bool

    @classmethod
    def shifted(cls, shift: float, multiplier: float = 1000.0) -> FlowSampling:
        """The schedule of SD3 (shift 3), t * shift / (1 + (shift - 1) * t), with 1,000 levels.

        Raises:
            ValueError: shift is not above 0.
        """
        if shift <= 0:
            raise ValueError(f"shift is {shift:g}; it must be above 0, for at 0 every noise level is 0")
        times = torch.arange(1, 1001, 1) / 1000 * multiplier
        return cls(_linear_shift(shift, times / multiplier), shift, multiplier, exponential=False)

    @classmethod
    def exponentially_shifted(cls, shift: float = 1.15) -> FlowSampling:
        """The schedule of Flux, exp(shift) / (exp(shift) + 1 / t - 1), with 10,000 levels; timestep = sigma."""
        times = torch.arange(1, 10001, 1) / 10000
        return cls(exponential_shift(shift, times), shift, 1.0, exponential=True)

    @property
    def is_flow(self) -> bool:
        """True: x = sigma * noise + (1 - sigma) * latent."""
        return True

    def timestep(self, sigma: Tensor) -> Tensor:
        """Sigma times the multiplier."""
        return sigma * self.multiplier

    def sigma(self, timestep: Tensor) -> Tensor:
        """The shifted noise level at the time timestep / multiplier."""
        time = timestep / self.multiplier
        return exponential_shift(self.shift, time) if self.exponential else _linear_shift(self.shift, time)

    def percent_to_sigma(self, percent: float) -> float:
        """The noise level after this part of the schedule; 1 for percent <= 0."""
        if percent <= 0.0:
            return 1.0
        if percent >= 1.0:
            return 0.0
        time = 1.0 - percent
        if self.exponential:
            return math.exp(self.shift) / (math.exp(self.shift) + (1 / time - 1))
        return self.shift * time / (1 + (self.shift - 1) * time)

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool) -> Tensor:
        """The straight line between latent (sigma 0) and noise (sigma 1)."""
        sigma = over(noise, sigma)
        return sigma * noise + (1.0 - sigma) * latent

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """The latent part of x, brought back to full size."""
        return latent / (1.0 - over(latent, sigma))

    def scale_input(self, sigma: Tensor, x: Tensor) -> Tensor:
        """x itself."""
        return x

    def denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        """x - sigma * (noise - latent)."""
        return x - output * over(x, sigma)


def _linear_shift(shift: float, time: Tensor) -> Tensor:
    if shift == 1.0:
        return time
    return shift * time / (1 + (shift - 1) * time)


def exponential_shift(shift: float, time: Tensor) -> Tensor:
    """The noise level exp(shift) / (exp(shift) + 1 / t - 1) at times t above 0. Same shape.

    Raises:
        ValueError: the shift is beyond 80 either way, where the levels are all alike.
    """
    if abs(shift) > _HIGHEST_SHIFT:
        raise ValueError(f"shift is {shift:g}; its exponential is taken, so at most {_HIGHEST_SHIFT} makes sense")
    return math.exp(shift) / (math.exp(shift) + (1 / time - 1))


def over(x: Tensor, sigma: Tensor) -> Tensor:
    """Sigma with as many dimensions as x, one value per sample."""
    return sigma.reshape(sigma.shape[:1] + (1,) * (x.ndim - 1)) if sigma.ndim else sigma
