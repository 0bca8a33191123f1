"""Noise levels that a model can be given in place of its own: distilled and continuous ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .model_sampling import DiscreteSampling, over

_LEVELS = 1000
_DISTILLED_STRIDE = 20


@dataclass(frozen=True, slots=True, eq=False)
class DistilledSampling:
    """Latent consistency models (Luo et al., 2023): every 20th level of training, and the network's output mixed
    with x so that at the lowest level x itself comes out.

    table holds the levels that are kept; the network is told their timesteps 19, 39, …, 999.
    """

    table: DiscreteSampling

    @classmethod
    def of(cls, training: DiscreteSampling) -> DistilledSampling:
        """Every 20th level of a table of training."""
        return cls(DiscreteSampling.from_sigmas(training.sigmas[_DISTILLED_STRIDE - 1 :: _DISTILLED_STRIDE]))

    @property
    def sigmas(self) -> Tensor:
        """The levels that are kept, rising. Shape (50,)."""
        return self.table.sigmas

    @property
    def is_flow(self) -> bool:
        """False: x = latent + sigma * noise."""
        return False

    def timestep(self, sigma: Tensor) -> Tensor:
        """The timestep of training of the nearest level that is kept."""
        return self.table.timestep(sigma) * _DISTILLED_STRIDE + (_DISTILLED_STRIDE - 1)

    def sigma(self, timestep: Tensor) -> Tensor:
        """The noise level at a timestep of training, interpolated linearly in log sigma."""
        return self.table.sigma((timestep - (_DISTILLED_STRIDE - 1)) / _DISTILLED_STRIDE)

    def percent_to_sigma(self, percent: float) -> float:
        """The noise level after this part of the schedule; beyond every sigma for percent <= 0."""
        if percent <= 0.0 or percent >= 1.0:
            return self.table.percent_to_sigma(percent)
        return self.sigma(torch.tensor((1.0 - percent) * (_LEVELS - 1))).item()

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool) -> Tensor:
        """Latent + sigma * noise; see `DiscreteSampling.noise_scaling`."""
        return self.table.noise_scaling(sigma, noise, latent, max_denoise=max_denoise)

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """The latent itself."""
        return latent

    def scale_input(self, sigma: Tensor, x: Tensor) -> Tensor:
        """x / sqrt(sigma^2 + 1)."""
        return self.table.scale_input(sigma, x)

    def denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        """c_skip x + c_out (x - sigma eps); coefficients of the paper, sigma_data 0.5, time scaled by 10."""
        time = over(x, self.timestep(sigma)) * 10.0
        squared = time**2 + 0.5**2
        return time / squared**0.5 * self.table.denoised(sigma, output, x) + 0.5**2 / squared * x


_COSINE_OFFSET = 0.008


@dataclass(frozen=True, slots=True, eq=False)
class CosineSampling:
    """Stable Cascade, after Pernias et al. (2023), "Würstchen": the cosine schedule of Nichol and Dhariwal (2021).

    The network is told a time of 0..1. The signal is cos((t + s) / (1 + s) * pi / 2)^2 over its value at 0; with a
    shift, its ratio to the noise is divided by shift^2.
    """

    table: DiscreteSampling
    shift: float

    @classmethod
    def shifted(cls, shift: float = 1.0) -> CosineSampling:
        """10,000 levels.

        Raises:
            ValueError: shift is not above 0.
        """
        if shift <= 0:
            raise ValueError(f"shift is {shift:g}; it must be above 0, for at 0 every noise level is 0")
        times = torch.arange(1, 10001) / 10000
        return cls(DiscreteSampling.from_sigmas(_cosine_sigma(times, shift)), shift)

    @property
    def sigmas(self) -> Tensor:
        """The levels, rising. Shape (10000,)."""
        return self.table.sigmas

    @property
    def is_flow(self) -> bool:
        """False: x = latent + sigma * noise."""
        return False

    def timestep(self, sigma: Tensor) -> Tensor:
        """The time at which an unshifted schedule has this level."""
        signal = 1 / (sigma * sigma + 1)
        angle = (signal * _cosine_start()).sqrt().acos()
        return angle / (math.pi / 2) * (1 + _COSINE_OFFSET) - _COSINE_OFFSET

    def sigma(self, timestep: Tensor) -> Tensor:
        """The level at this time."""
        return _cosine_sigma(timestep, self.shift)

    def percent_to_sigma(self, percent: float) -> float:
        """The level after this part of the schedule; beyond every sigma for percent <= 0."""
        if percent <= 0.0:
            return 999999999.9
        if percent >= 1.0:
            return 0.0
        return float(_cosine_sigma(torch.tensor(1.0 - percent), self.shift))

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool) -> Tensor:
        """Latent + sigma * noise; see `DiscreteSampling.noise_scaling`."""
        return self.table.noise_scaling(sigma, noise, latent, max_denoise=max_denoise)

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """The latent itself."""
        return latent

    def scale_input(self, sigma: Tensor, x: Tensor) -> Tensor:
        """x / sqrt(sigma^2 + 1)."""
        return self.table.scale_input(sigma, x)

    def denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        """x - sigma * eps."""
        return self.table.denoised(sigma, output, x)


def _cosine_start() -> float:
    return math.cos(_COSINE_OFFSET / (1 + _COSINE_OFFSET) * math.pi / 2) ** 2


def _cosine_sigma(time: Tensor, shift: float) -> Tensor:
    angle = (time + _COSINE_OFFSET) / (1 + _COSINE_OFFSET) * math.pi / 2
    signal = angle.cos() ** 2 / _cosine_start()
    if shift != 1.0:
        signal = ((signal / (1 - signal)).log() - 2 * math.log(shift)).sigmoid()
    signal = signal.clamp(0.0001, 0.9999)
    return ((1 - signal) / signal).sqrt()


@dataclass(frozen=True, slots=True, eq=False)
class ContinuousSampling:
    """Any noise level between two, told to the network by its logarithm ("log") or its angle ("arctan").

    prediction: the noise, the velocity of Salimans and Ho (2022), or that of Karras et al. (2022), table 1
    ("edm"). sigma_data is the standard deviation that latents are taken to have.
    """

    sigmas: Tensor
    prediction: Literal["eps", "v", "edm"]
    time: Literal["log", "arctan"] = "log"
    sigma_data: float = 1.0

    @classmethod
    def between(
        cls,
        sigma_min: float,
        sigma_max: float,
        prediction: Literal["eps", "v", "edm"],
        time: Literal["log", "arctan"] = "log",
    ) -> ContinuousSampling:
        """1,000 levels, uniform in log sigma. sigma_data is 0.5 for "edm", else 1.

        Raises:
            ValueError: not 0 < sigma_min < sigma_max.
        """
        if not 0 < sigma_min < sigma_max:
            raise ValueError(
                f"sigma_min is {sigma_min:g} and sigma_max {sigma_max:g}; 0 < sigma_min < sigma_max is needed"
            )
        sigmas = torch.linspace(math.log(sigma_min), math.log(sigma_max), _LEVELS).exp()
        return cls(sigmas, prediction, time, 0.5 if prediction == "edm" else 1.0)

    @property
    def is_flow(self) -> bool:
        """False: x = latent + sigma * noise."""
        return False

    def timestep(self, sigma: Tensor) -> Tensor:
        """log(sigma) / 4, or the angle of sigma over a quarter turn."""
        return 0.25 * sigma.log() if self.time == "log" else sigma.atan() / math.pi * 2

    def sigma(self, timestep: Tensor) -> Tensor:
        """The noise level at this time."""
        return (timestep / 0.25).exp() if self.time == "log" else (timestep * math.pi / 2).tan()

    def percent_to_sigma(self, percent: float) -> float:
        """The noise level after this part of the schedule, which is uniform in log sigma."""
        if percent <= 0.0:
            return 999999999.9
        if percent >= 1.0:
            return 0.0
        low, high = math.log(float(self.sigmas[0])), math.log(float(self.sigmas[-1]))
        return math.exp((high - low) * (1.0 - percent) + low)

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool) -> Tensor:
        """Latent + sigma * noise; at the highest level the noise has the variance 1 + sigma^2 of training."""
        sigma = over(noise, sigma)
        return noise * (torch.sqrt(1.0 + sigma**2.0) if max_denoise else sigma) + latent

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """The latent itself."""
        return latent

    def scale_input(self, sigma: Tensor, x: Tensor) -> Tensor:
        """x / sqrt(sigma^2 + sigma_data^2), which has variance 1."""
        return x / (over(x, sigma) ** 2 + self.sigma_data**2) ** 0.5

    def denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        """x - sigma * eps, or c_skip x + c_out output; c_out of "v" has the other sign."""
        sigma = over(x, sigma)
        if self.prediction == "eps":
            return x - output * sigma
        variance = sigma**2 + self.sigma_data**2
        change = output * sigma * self.sigma_data / variance**0.5
        kept = x * self.sigma_data**2 / variance
        return kept + change if self.prediction == "edm" else kept - change


def discrete(name: str, *, zero_terminal_snr: bool = False) -> DiscreteSampling | DistilledSampling:
    """The table of SD1, SD2 and SDXL for "eps", "v_prediction", "lcm", "x0" or "img_to_img".

    Raises:
        ValueError: there is no prediction of this name.
    """
    match name:
        case "lcm":
            return DistilledSampling.of(DiscreteSampling.linear(zero_terminal_snr=zero_terminal_snr))
        case "v_prediction":
            return DiscreteSampling.linear("v", zero_terminal_snr=zero_terminal_snr)
        case "eps" | "x0" | "img_to_img":
            return DiscreteSampling.linear(name, zero_terminal_snr=zero_terminal_snr)
    raise ValueError(f"sampling is {name!r}; known: eps, v_prediction, lcm, x0, img_to_img")


def continuous(name: str, sigma_min: float, sigma_max: float) -> ContinuousSampling:
    """Levels told by their logarithm for "eps", "v_prediction" or "edm".

    Raises:
        ValueError: there is no prediction of this name, or its models cannot be run.
    """
    match name:
        case "v_prediction":
            return ContinuousSampling.between(sigma_min, sigma_max, "v")
        case "eps" | "edm":
            return ContinuousSampling.between(sigma_min, sigma_max, name)
    raise ValueError(
        f"sampling is {name!r}, of a family of models that cannot be run; take eps, v_prediction or edm"
    )
