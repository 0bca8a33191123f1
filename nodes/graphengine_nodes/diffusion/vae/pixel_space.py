"""The VAE of models that work on pictures themselves: latents are pixels in -1..1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from .autoencoder import VAE


@dataclass(frozen=True, slots=True)
class _Unchanged:
    """A stage that gives what it takes (a `Stage`)."""

    device: str
    dtype: torch.dtype = torch.float32

    def ready(self) -> nn.Module:
        """The identity."""
        return nn.Identity()

    def make_room(self) -> int:
        """Nothing is unloaded for a stage without weights."""
        return 0


def pixel_space(device: str) -> VAE:
    """Pictures (B, H, W, 3) in 0..1 ↔ latents (B, 3, H, W) in -1..1."""
    return VAE(_Unchanged(device), _Unchanged(device), latent_channels=3, downscale=1)
