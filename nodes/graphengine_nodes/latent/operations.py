"""LATENT_OPERATION values: what is done to a latent, now or in each step of sampling."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from graphengine_nodes.image.filters import sharpen


class LatentOperation(Protocol):
    """A function of a latent (B, C, H, W) float32 that gives one of the same shape."""

    # Any: samplers may hand over more than an operation wants to know.
    def __call__(self, latent: Tensor, **more: Any) -> Tensor:
        """The changed latent."""


@dataclass(frozen=True, slots=True)
class Tonemap:
    """Reinhard's tone mapping of the lengths of the channel vectors: long ones become shorter than a top.

    The top is `multiplier` times the mean plus five standard deviations; x becomes top * x / (x + top).
    """

    multiplier: float

    def __call__(self, latent: Tensor, **more: Any) -> Tensor:
        """The latent with shorter vectors in the same directions."""
        length = torch.linalg.vector_norm(latent, dim=1, keepdim=True) + 1e-10
        axes = tuple(range(1, length.ndim))
        spread = length.std(axes, keepdim=True).nan_to_num()  # a single place has none
        top = (length.mean(axes, keepdim=True) + 5 * spread) * self.multiplier
        shorter = length / top.clamp(min=1e-10)
        changed: Tensor = latent / length * (shorter / (shorter + 1) * top)
        return changed


@dataclass(frozen=True, slots=True)
class Sharpen:
    """Sharpens the directions of the channel vectors and keeps their lengths, see `image.filters.sharpen`."""

    radius: int
    sigma: float
    alpha: float

    def __call__(self, latent: Tensor, **more: Any) -> Tensor:
        """The sharpened latent."""
        length = torch.linalg.vector_norm(latent, dim=1, keepdim=True) + 1e-6
        changed: Tensor = length * sharpen(latent / length, self.radius, self.sigma, self.alpha)
        return changed
