"""ComfyUI's classes of noise levels, made of ours.

One class says what the levels are, another what the network predicts; packs derive from one of each. The names and
their arguments are ComfyUI's.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model_sampling import (
    DiscreteSampling,
    FlowSampling,
    exponential_shift,
    over,
)
from graphengine_nodes.diffusion.model.model_sampling_variants import ContinuousSampling, CosineSampling

# Any throughout: model_config is ComfyUI's object, of which "sampling_settings" are read.


def time_snr_shift(alpha: float, t: Any) -> Any:
    """The noise level alpha * t / (1 + (alpha - 1) * t) of rectified flow at time t."""
    return t if alpha == 1.0 else alpha * t / (1 + (alpha - 1) * t)


def flux_time_shift(mu: float, sigma: float, t: Any) -> Tensor:
    """The noise level exp(mu) / (exp(mu) + (1 / t - 1)^sigma) of Flux at time t."""
    time = torch.as_tensor(t)
    if sigma == 1.0:
        return exponential_shift(mu, time)
    shift = torch.tensor(mu).exp()
    level: Tensor = shift / (shift + (1 / time - 1) ** sigma)
    return level


# What a network predicts


class EPS:
    """The noise."""

    sigma_data: float

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """x / sqrt(sigma^2 + sigma_data^2)."""
        scaled: Tensor = noise / (over(noise, sigma) ** 2 + self.sigma_data**2) ** 0.5
        return scaled

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """x - sigma * output."""
        return model_input - model_output * over(model_output, sigma)

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        """latent + sigma * noise; at the highest level the noise has the variance 1 + sigma^2."""
        level = over(noise, sigma)
        return latent_image + noise * (torch.sqrt(1.0 + level**2.0) if max_denoise else level)

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """The latent itself."""
        return latent


class V_PREDICTION(EPS):
    """The velocity of Salimans and Ho (2022)."""

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """c_skip x - c_out output."""
        kept, change = self._parts(sigma, model_output, model_input)
        return kept - change

    def _parts(self, sigma: Tensor, output: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        level = over(output, sigma)
        variance = level**2 + self.sigma_data**2
        return x * self.sigma_data**2 / variance, output * level * self.sigma_data / variance**0.5


class EDM(V_PREDICTION):
    """The velocity of Karras et al. (2022)."""

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """c_skip x + c_out output."""
        kept, change = self._parts(sigma, model_output, model_input)
        return kept + change


class X0(EPS):
    """The clean latent."""

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """The output itself."""
        return model_output


class IMG_TO_IMG(X0):
    """The clean latent, from an x that is not scaled."""

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """x itself."""
        return noise


class CONST:
    """The velocity of rectified flow, noise - latent."""

    is_flow = True

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """x itself."""
        return noise

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """x - sigma * output."""
        return model_input - model_output * over(model_output, sigma)

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        """sigma * noise + (1 - sigma) * latent."""
        level = over(noise, sigma)
        return level * noise + (1.0 - level) * latent_image

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """latent / (1 - sigma)."""
        return latent / (1.0 - over(latent, sigma))


# Levels


class _Levels(torch.nn.Module):
    """Levels of ours under ComfyUI's names; `set_…` of a derived class chooses them."""

    defaults: ClassVar[dict[str, Any]] = {}
    sigmas: Tensor

    def __init__(self, model_config: Any = None, **more: Any) -> None:
        super().__init__()
        given = getattr(model_config, "sampling_settings", None) or {}
        self.settings = {name: given.get(name, default) for name, default in self.defaults.items()}
        self.settings.update({name: value for name, value in more.items() if name in self.defaults})
        self.sigma_data = 1.0

    def _take(self, levels: Any) -> None:
        self.levels = levels
        self.register_buffer("sigmas", levels.sigmas)

    @property
    def sigma_min(self) -> Tensor:
        """The lowest level."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        """The highest level."""
        return self.sigmas[-1]

    def timestep(self, sigma: Tensor) -> Tensor:
        """The time that the network is told."""
        told: Tensor = self.levels.timestep(sigma)
        return told

    def sigma(self, timestep: Tensor) -> Tensor:
        """The level at a time."""
        level: Tensor = self.levels.sigma(timestep)
        return level

    def percent_to_sigma(self, percent: float) -> float:
        """The level after this part of the schedule."""
        return float(self.levels.percent_to_sigma(percent))


class ModelSamplingDiscrete(_Levels):
    """A table of levels: that of SD1, or one that is set."""

    defaults: ClassVar[dict[str, Any]] = {
        "linear_start": 0.00085,
        "linear_end": 0.012,
        "timesteps": 1000,
        "zsnr": False,
    }

    def __init__(self, model_config: Any = None, zsnr: bool | None = None) -> None:
        from graphengine_nodes.diffusion.model.model_sampling import linear_sigmas

        super().__init__(model_config, **({} if zsnr is None else {"zsnr": zsnr}))
        settings = self.settings
        table = linear_sigmas(
            settings["timesteps"],
            start=settings["linear_start"],
            end=settings["linear_end"],
            zero_terminal_snr=bool(settings["zsnr"]),
        )
        self.set_sigmas(table)

    def set_sigmas(self, sigmas: Tensor) -> None:
        """Take another table, rising, (N,)."""
        self._take(DiscreteSampling.from_sigmas(sigmas))
        self.register_buffer("log_sigmas", self.levels.log_sigmas)


class ModelSamplingContinuousEDM(_Levels):
    """Any level between two, of which the network is told the logarithm."""

    defaults: ClassVar[dict[str, Any]] = {"sigma_min": 0.002, "sigma_max": 120.0, "sigma_data": 1.0}
    time: ClassVar[Any] = "log"

    def __init__(self, model_config: Any = None) -> None:
        super().__init__(model_config)
        self.set_parameters(**self.settings)

    def set_parameters(self, sigma_min: float, sigma_max: float, sigma_data: float) -> None:
        """Choose the ends and the standard deviation of latents."""
        self.sigma_data = sigma_data
        self._take(ContinuousSampling.between(sigma_min, sigma_max, "eps", self.time))


class ModelSamplingContinuousV(ModelSamplingContinuousEDM):
    """Any level between two, of which the network is told the angle."""

    time: ClassVar[Any] = "arctan"


class ModelSamplingDiscreteFlow(_Levels):
    """Rectified flow with a shift."""

    defaults: ClassVar[dict[str, Any]] = {"shift": 1.0, "multiplier": 1000}

    def __init__(self, model_config: Any = None) -> None:
        super().__init__(model_config)
        self.set_parameters(**self.settings)

    def set_parameters(self, shift: float = 1.0, timesteps: int = 1000, multiplier: float = 1000) -> None:
        """Choose the shift, and what times are multiplied by."""
        self.shift, self.multiplier = shift, multiplier
        self._take(FlowSampling.shifted(shift, float(multiplier)))


class ModelSamplingFlux(_Levels):
    """Rectified flow with the shift of Flux."""

    defaults: ClassVar[dict[str, Any]] = {"shift": 1.15}

    def __init__(self, model_config: Any = None) -> None:
        super().__init__(model_config)
        self.set_parameters(**self.settings)

    def set_parameters(self, shift: float = 1.15, timesteps: int = 10000) -> None:
        """Choose the shift."""
        self.shift = shift
        self._take(FlowSampling.exponentially_shifted(shift))


class StableCascadeSampling(_Levels):
    """The cosine schedule of Stable Cascade."""

    defaults: ClassVar[dict[str, Any]] = {"shift": 1.0}

    def __init__(self, model_config: Any = None) -> None:
        super().__init__(model_config)
        self.set_parameters(**self.settings)

    def set_parameters(self, shift: float = 1.0) -> None:
        """Choose the shift."""
        self.shift = shift
        self._take(CosineSampling.shifted(shift))
