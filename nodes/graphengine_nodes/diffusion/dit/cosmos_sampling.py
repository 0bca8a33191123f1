"""The noise levels of Cosmos Predict2: a rectified flow that is told as x = latent + sigma * noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model_sampling import over
from graphengine_nodes.diffusion.model.model_sampling_variants import ContinuousSampling

_LEAST, _MOST = 0.002, 80.0


@dataclass(frozen=True, slots=True, eq=False)
class CosmosSampling:
    """A flow whose time is sigma / (sigma + 1); x / (sigma + 1) is the point on the line from latent to noise."""

    levels: ContinuousSampling

    @classmethod
    def trained(cls) -> CosmosSampling:
        """1,000 levels from 0.002 to 80, uniform in log sigma."""
        return cls(ContinuousSampling.between(_LEAST, _MOST, "eps"))

    @property
    def sigmas(self) -> Tensor:
        """The levels, rising. Shape (1000,)."""
        return self.levels.sigmas

    @property
    def is_flow(self) -> bool:
        """False for samplers: x = latent + sigma * noise."""
        return False

    def timestep(self, sigma: Tensor) -> Tensor:
        """sigma / (sigma + 1)."""
        return sigma / (sigma + 1.0)

    def sigma(self, timestep: Tensor) -> Tensor:
        """The noise level at a time, at most 80."""
        highest = _MOST / (_MOST + 1.0)
        return torch.where(timestep >= highest, _MOST, timestep / (1.0 - timestep.clamp(max=highest)))

    def percent_to_sigma(self, percent: float) -> float:
        """The noise level after this part of the schedule, which is uniform in log sigma."""
        return self.levels.percent_to_sigma(percent)

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool) -> Tensor:
        """Latent + sigma * noise."""
        return latent + noise * over(noise, sigma)

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """The latent itself."""
        return latent

    def scale_input(self, sigma: Tensor, x: Tensor) -> Tensor:
        """x / (sigma + 1)."""
        return x / (over(x, sigma) + 1.0)

    def denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        """x (1 - t) - output t, at the time t; the network predicts noise - latent."""
        time = over(x, self.timestep(sigma))
        return x * (1.0 - time) - output * time
