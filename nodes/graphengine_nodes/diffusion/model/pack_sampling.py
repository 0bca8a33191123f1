"""Noise levels under the names that node packs know them by, in both directions.

`KnownSampling` is a `ModelSampling` of ours with ComfyUI's methods beside its own. `ForeignSampling` makes a
`ModelSampling` of an object with ComfyUI's methods only, which a pack has put into a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .model_sampling import ModelSampling

# Any: what packs make is an object with methods by name.


class KnownSampling:
    """The noise levels of a model with ComfyUI's names: `sigma_min`, `calculate_input`, `calculate_denoised`, …"""

    sigma_data = 1.0

    def __init__(self, sampling: ModelSampling) -> None:
        self.inner = sampling

    def __getattr__(self, name: str) -> Any:
        """What our own sampling has beside."""
        if name == "inner":  # copies ask before there is one
            raise AttributeError(name)
        return getattr(self.inner, name)

    @property
    def sigma_min(self) -> Tensor:
        """The lowest level, without dimension."""
        return self.inner.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        """The highest level, without dimension."""
        return self.inner.sigmas[-1]

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """What the network is shown for x at level sigma."""
        return self.inner.scale_input(sigma, noise)

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """The clean latent that a network output stands for."""
        return self.inner.denoised(sigma, model_output, model_input)

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        """The latent with noise at level sigma."""
        return self.inner.noise_scaling(sigma, noise, latent_image, max_denoise=max_denoise)


@dataclass(frozen=True, slots=True, eq=False)
class ForeignSampling:
    """The noise levels that a pack has made, as a `ModelSampling`."""

    made: Any

    @property
    def sigmas(self) -> Tensor:
        """All levels, rising; float32, (N,). Without a table: 1,000 between the ends, uniform in time."""
        table = getattr(self.made, "sigmas", None)
        if isinstance(table, Tensor):
            return table.float().cpu()
        low, high = (
            self.made.timestep(torch.as_tensor(end)) for end in (self.made.sigma_min, self.made.sigma_max)
        )
        times = torch.linspace(float(low), float(high), 1000)
        return torch.stack([torch.as_tensor(self.made.sigma(time)).float().reshape(()) for time in times])

    @property
    def is_flow(self) -> bool:
        """Whether the pack says so, by deriving from ComfyUI's CONST."""
        return bool(getattr(self.made, "is_flow", False))

    def timestep(self, sigma: Tensor) -> Tensor:
        """The time that the network is told."""
        told: Tensor = torch.as_tensor(self.made.timestep(sigma)).to(sigma.device, torch.float32)
        return told.reshape(sigma.shape)

    def sigma(self, timestep: Tensor) -> Tensor:
        """The level at a timestep."""
        level: Tensor = torch.as_tensor(self.made.sigma(timestep)).to(torch.float32)
        return level.reshape(timestep.shape)

    def percent_to_sigma(self, percent: float) -> float:
        """The level after this part of the schedule."""
        return float(self.made.percent_to_sigma(percent))

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool) -> Tensor:
        """The latent with noise."""
        noised: Tensor = self.made.noise_scaling(sigma, noise, latent, max_denoise)
        return noised

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """The latent of an x that was left at level sigma."""
        inverse = getattr(self.made, "inverse_noise_scaling", None)
        return latent if inverse is None else inverse(sigma, latent)

    def scale_input(self, sigma: Tensor, x: Tensor) -> Tensor:
        """What the network is shown."""
        scaled: Tensor = self.made.calculate_input(sigma, x)
        return scaled

    def denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        """The clean latent that an output stands for."""
        clean: Tensor = self.made.calculate_denoised(sigma, output, x)
        return clean


def known(sampling: ModelSampling) -> Any:
    """The sampling with ComfyUI's names: what a pack has put there as it was, ours in a `KnownSampling`."""
    return sampling.made if isinstance(sampling, ForeignSampling) else KnownSampling(sampling)


def adopted(made: Any) -> ModelSampling:
    """The `ModelSampling` for what a pack hands over: one of ours, under either set of names, or its own.

    Raises:
        TypeError: the object has neither our methods nor ComfyUI's.
    """
    if isinstance(made, KnownSampling):
        return made.inner
    if all(hasattr(made, name) for name in ("scale_input", "denoised", "is_flow")):
        ours: ModelSampling = made
        return ours
    missing = [
        name for name in ("timestep", "sigma", "percent_to_sigma", "calculate_denoised") if not hasattr(made, name)
    ]
    if missing:
        raise TypeError(f"model_sampling is a {type(made).__name__}, which has no {', '.join(missing)}")
    return ForeignSampling(made)
