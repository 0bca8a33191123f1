"""How the latents of each family's VAE become what its transformer was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.model import LatentFormat


@dataclass(frozen=True, slots=True)
class ChannelLatentFormat(LatentFormat):
    """A latent normalised per channel: (latent - mean) / std, both (C,), times the scale factor."""

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def process_in(self, latent: Tensor) -> Tensor:
        """VAE scale to model scale, (B, C, …)."""
        mean, std = self._over(latent)
        return (latent - mean) * self.scale_factor / std

    def process_out(self, latent: Tensor) -> Tensor:
        """Model scale to VAE scale, (B, C, …)."""
        mean, std = self._over(latent)
        return latent * std / self.scale_factor + mean

    def _over(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        if latent.shape[1] != len(self.mean):
            raise ModelError(
                f"the latent has {latent.shape[1]} channels, this family's have {len(self.mean)}",
                hint="make it with the VAE of the same family",
            )
        shape = (1, -1, *[1] * (latent.ndim - 2))
        mean, std = (torch.tensor(values, device=latent.device).view(shape) for values in (self.mean, self.std))
        return mean, std


# fmt: off
# Apache-2.0: Wan2.1 and Wan2.2 (wan/modules/vae2_1.py, vae2_2.py), Mochi (as in diffusers' AutoencoderKLMochi).
_WAN21_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715,
    0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)
_WAN21_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526,
    2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.916,
)
_WAN22_MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542,
    0.2813, 0.0891, 0.157, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109,
    0.2665, -0.2108, -0.2158, 0.2502, -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899,
    -0.2799, -0.123, -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.052, 0.3748,
    0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)
_WAN22_STD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.499, 0.4818, 0.5013, 0.8158, 1.0344,
    0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804,
    0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999,
    0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887,
    0.3971, 1.06, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)
_MOCHI_MEAN = (
    -0.06730895953510081, -0.038011381506090416, -0.07477820912866141, -0.05565264470995561, 0.012767231469026969,
    -0.04703542746246419, 0.043896967884726704, -0.09346305707025976, -0.09918314763016893, -0.008729793427399178,
    -0.011931556316503654, -0.0321993391887285,
)
_MOCHI_STD = (
    0.9263795028493863, 0.9248894543193766, 0.9393059390890617, 0.959253732819592, 0.8244560132752793,
    0.917259975397747, 0.9294154431013696, 1.3720942357788521, 0.881393668867029, 0.9168315692124348,
    0.9185249279345552, 0.9274757570805041,
)
# fmt: on

SD3 = LatentFormat(1.5305, 0.0609, 16)
"""SD3 and SD3.5."""

FLUX = LatentFormat(0.3611, 0.1159, 16)
"""Flux.1, Chroma, HiDream, Lumina 2, Z-Image."""

SDXL = LatentFormat(0.13025)
"""AuraFlow uses the VAE of SDXL."""

HUNYUAN_VIDEO = LatentFormat(0.476986, 0.0, 16, 8, 3)

LTX_VIDEO = LatentFormat(1.0, 0.0, 128, 32, 3)
"""LTX video: its VAE normalises the latent itself."""

COSMOS = LatentFormat(1.0, 0.0, 16, 8, 3)
"""Cosmos 1: its VAE normalises the latent itself."""

WAN21 = ChannelLatentFormat(1.0, 0.0, 16, 8, 3, mean=_WAN21_MEAN, std=_WAN21_STD)
"""Wan 2.1, the 14B models of Wan 2.2, Qwen-Image, Cosmos Predict2."""

WAN22 = ChannelLatentFormat(1.0, 0.0, 48, 16, 3, mean=_WAN22_MEAN, std=_WAN22_STD)
"""Wan 2.2 5B."""

MOCHI = ChannelLatentFormat(1.0, 0.0, 12, 8, 3, mean=_MOCHI_MEAN, std=_MOCHI_STD)
