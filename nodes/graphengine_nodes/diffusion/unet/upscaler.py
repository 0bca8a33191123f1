"""What Stable Diffusion's x4 upscaler is told: a small picture with noise of a known level in it.

Cascaded diffusion of Ho et al. (2022), section 3: the picture is diffused to a level, and the level is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import Job
from graphengine_nodes.diffusion.model.model_sampling import linear_sigmas

UPSCALER_BETAS = (0.0001, 0.02)
"""First and last beta of the noise levels, of the latent's and of the picture's."""

_HIGHEST_LEVEL = 350
_SEED_OFFSET = 10


# Any: the options of a conditioning are whatever node packs put there.
def level_vector(options: Mapping[str, Any], job: Job) -> Tensor:
    """The noise level of the picture, 0..350, for "noise_augmentation" of 0..1. Shape (1, 1)."""
    return torch.tensor([[float(_level(options))]])


def _level(options: Mapping[str, Any]) -> int:
    return round(_HIGHEST_LEVEL * min(1.0, max(0.0, float(options.get("noise_augmentation", 0.0)))))


def noisy_picture(options: Mapping[str, Any], picture: Tensor, job: Job) -> Tensor:
    """The picture (B, 3, H, W) in -1..1, diffused to its level with noise that follows from the seed."""
    level = _level(options)
    if not level:
        return picture
    sigma = linear_sigmas(start=UPSCALER_BETAS[0], end=UPSCALER_BETAS[1])[level].float()
    generator = torch.Generator().manual_seed((job.seed - _SEED_OFFSET) % 2**64)
    noise = torch.randn(picture.shape, generator=generator)
    return (picture.float().cpu() + sigma * noise) / (sigma**2 + 1.0).sqrt()
