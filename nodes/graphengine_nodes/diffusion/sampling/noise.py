"""Where the randomness of a sampling run comes from: always the CPU, so that devices agree.

Every number follows from the seed alone and torch's global generator is neither read nor moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import Latent

from .sampling import NoiseSampler

_SEEDS = 2**64
_BROWNIAN_TOLERANCE = 1e-6


class Noise(Protocol):
    """The NOISE value, as in ComfyUI: the noise that is added before the first step, and a seed for later ones."""

    @property
    def seed(self) -> int:
        """What the noise of stochastic samplers follows from."""

    def generate_noise(self, latent: Latent) -> Tensor:
        """Noise shaped like the samples, on the CPU."""


@dataclass(frozen=True, slots=True)
class SeededNoise:
    """Standard normal noise."""

    seed: int

    def generate_noise(self, latent: Latent) -> Tensor:
        """Noise shaped like the samples; see `prepare_noise`."""
        return prepare_noise(latent["samples"], self.seed, latent.get("batch_index"))


@dataclass(frozen=True, slots=True)
class NoNoise:
    """Zeros: the latent is noisy already, or shall be changed without noise."""

    seed: int = 0

    def generate_noise(self, latent: Latent) -> Tensor:
        """Zeros shaped like the samples."""
        return torch.zeros_like(latent["samples"])


def prepare_noise(latent: Tensor, seed: int, batch_index: Sequence[int] | None = None) -> Tensor:
    """Standard normal noise shaped like the latent, (B, …), on the CPU.

    Without batch_index the whole batch is drawn at once. With it, one sample after the other is drawn up to
    the highest index, and each place of the batch gets the draw of its index; so a sample of a larger batch
    can be repeated alone.

    Raises:
        ValueError: batch_index does not hold one index >= 0 per sample.
    """
    generator = torch.Generator().manual_seed(seed)
    if batch_index is None:
        return torch.randn(latent.shape, dtype=latent.dtype, generator=generator)
    if len(batch_index) != len(latent) or min(batch_index, default=0) < 0:
        raise ValueError(
            f"batch_index {list(batch_index)} must hold one index >= 0 for each of the {len(latent)} latents"
        )
    draws = [
        torch.randn((1, *latent.shape[1:]), dtype=latent.dtype, generator=generator)
        for _ in range(max(batch_index, default=-1) + 1)
    ]
    return torch.cat([draws[index] for index in batch_index]) if draws else torch.zeros_like(latent)


def ancestral_noise(x: Tensor, seed: int, *, seed_offset: int = 1) -> NoiseSampler:
    """Fresh noise for each step of an ancestral sampler, shaped like x and on its device.

    The generator is seeded with seed + seed_offset. The default, 1, is what newer versions of ComfyUI do, so
    that the steps do not draw the initial noise again; 0 is what versions up to 0.3.64 did.
    """
    generator = torch.Generator().manual_seed((seed + seed_offset) % _SEEDS)

    def sample(sigma: Tensor, sigma_next: Tensor, like: Tensor | None = None) -> Tensor:
        shape = x.shape if like is None else like.shape
        return torch.randn(shape, dtype=x.dtype, generator=generator).to(x.device)

    return sample


def brownian_noise(x: Tensor, seed: int, sigmas: Tensor) -> NoiseSampler:
    """Increments of one Brownian motion over sigma, scaled to variance 1, shaped like x and on its device.

    The motion depends on the seed and on the range of the sigmas above 0, not on the steps within it.
    """
    positive = sigmas[sigmas > 0]
    low, high = (_rounded(positive.min()), _rounded(positive.max())) if len(positive) else (0.0, 0.0)
    tree: list[Any] = []  # torchsde publishes no types; made on first use, since one step to 0 needs no noise

    def sample(sigma: Tensor, sigma_next: Tensor, like: Tensor | None = None) -> Tensor:
        if like is not None:
            raise ValueError(f"a Brownian motion has the shape {tuple(x.shape)} and no other")
        if not tree:
            import torchsde  # heavy third-party, needed by the SDE samplers alone

            zeros = torch.zeros_like(x, device="cpu")
            tree.append(torchsde.BrownianTree(low, zeros, high, entropy=seed, tol=_BROWNIAN_TOLERANCE))
        start, end = sorted(min(max(_rounded(level), low), high) for level in (sigma_next, sigma))
        increment: Tensor = tree[0](start, end)
        # From high to low sigma the samplers go against the time of the motion: hence the sign.
        return increment.to(x.device) * torch.sign(sigma_next - sigma) / (sigma - sigma_next).abs().sqrt()

    return sample


def _rounded(sigma: Tensor) -> float:
    """Sigma rounded as the tree rounds its own ends; it warns of raw values beyond them."""
    return round(float(sigma), 6)
