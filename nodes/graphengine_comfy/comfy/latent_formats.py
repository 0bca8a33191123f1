"""How the latents of model families are scaled."""

from typing import TYPE_CHECKING, ClassVar

from graphengine_comfy._placeholders import placeholders_of
from graphengine_nodes.diffusion.model import latent_colours

if TYPE_CHECKING:
    from torch import Tensor


def _lists(factors: latent_colours.Factors) -> list[list[float]]:
    return [list(row) for row in factors]


class LatentFormat:
    """Scale and channels of latents; `process_in` gives what the network was trained on."""

    scale_factor: float = 1.0
    shift_factor: float = 0.0
    latent_channels: ClassVar[int] = 4
    latent_dimensions: ClassVar[int] = 2
    latent_rgb_factors: ClassVar[list[list[float]] | None] = None
    latent_rgb_factors_bias: ClassVar[list[float] | None] = None
    taesd_decoder_name: ClassVar[str | None] = None

    def process_in(self, latent: "Tensor") -> "Tensor":
        """VAE scale to model scale."""
        return (latent - self.shift_factor) * self.scale_factor

    def process_out(self, latent: "Tensor") -> "Tensor":
        """Model scale to VAE scale."""
        return latent / self.scale_factor + self.shift_factor


class SD15(LatentFormat):
    """Stable Diffusion 1 and 2."""

    latent_rgb_factors = _lists(latent_colours.SD1.factors)
    taesd_decoder_name = latent_colours.SD1.decoder

    def __init__(self, scale_factor: float = 0.18215) -> None:
        self.scale_factor = scale_factor


class SDXL(LatentFormat):
    """Stable Diffusion XL."""

    latent_rgb_factors = _lists(latent_colours.SDXL.factors)
    taesd_decoder_name = latent_colours.SDXL.decoder
    scale_factor = 0.13025


class SD3(LatentFormat):
    """Stable Diffusion 3."""

    latent_rgb_factors = _lists(latent_colours.SD3.factors)
    taesd_decoder_name = latent_colours.SD3.decoder
    latent_channels = 16
    scale_factor = 1.5305
    shift_factor = 0.0609


class Flux(LatentFormat):
    """Flux.1."""

    latent_rgb_factors = _lists(latent_colours.FLUX.factors)
    taesd_decoder_name = latent_colours.FLUX.decoder
    latent_channels = 16
    scale_factor = 0.3611
    shift_factor = 0.1159


__getattr__ = placeholders_of(__name__)
