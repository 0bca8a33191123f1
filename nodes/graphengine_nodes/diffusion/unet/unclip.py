"""What unCLIP models are told of pictures: image embeddings with noise of a known level in them.

Ramesh et al. (2022) and Stable UnCLIP: an embedding is normalised by the mean and deviation of the training data,
diffused to a level of the cosine schedule of Nichol and Dhariwal (2021), and given together with that level as
sinusoids. SDXL takes the same in place of the pooled text state, without the level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import Job
from graphengine_nodes.diffusion.model.sinusoids import sinusoids

_LEVELS = 1000
_MERGED_LEVEL = round((_LEVELS - 1) * 0.05)  # of the sum of several pictures
_SEED_OFFSET = 10
_LARGEST_BETA = 0.999


@dataclass(frozen=True, eq=False)
class NoiseAugmentation:
    """Diffuses image embeddings (1, D); mean and std, (1, D), are those of the embeddings it was trained with."""

    mean: Tensor
    std: Tensor

    @classmethod
    def plain(cls, width: int) -> NoiseAugmentation:
        """The one without statistics of training data."""
        return cls(torch.zeros(1, width), torch.ones(1, width))

    @property
    def width(self) -> int:
        """How many numbers an embedding has."""
        return self.mean.shape[-1]

    @cached_property
    def signal(self) -> Tensor:
        """How much of the embedding is left at each level, squared: alpha bar, (1000,)."""

        def left(time: float) -> float:
            return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

        betas = [
            min(1 - left((step + 1) / _LEVELS) / left(step / _LEVELS), _LARGEST_BETA) for step in range(_LEVELS)
        ]
        return torch.cumprod(1.0 - torch.tensor(betas, dtype=torch.float64), dim=0).float()

    def __call__(self, embedding: Tensor, level: int, seed: int) -> Tensor:
        """The diffused embedding and its level, (1, 2 D)."""
        normal = (embedding.float().cpu().reshape(1, -1) - self.mean) / self.std
        noise = torch.randn(normal.shape, generator=torch.Generator().manual_seed(seed % 2**64))
        signal = self.signal[level]
        diffused = signal.sqrt() * normal + (1 - signal).sqrt() * noise
        return torch.cat([diffused * self.std + self.mean, sinusoids(torch.tensor([level]), self.width)], dim=1)


# Any: entries of the option "unclip_conditioning", as the node unCLIPConditioning and packs write them.
def picture_vector(entries: Sequence[Mapping[str, Any]], augment: NoiseAugmentation, job: Job) -> Tensor:
    """The vector (1, 2 D) of pictures: of one as it is, of several their sum, diffused a little once more.

    Raises:
        ValueError: an image embedding is of another width.
    """
    seed = job.seed - _SEED_OFFSET
    vectors = []
    for entry in entries:
        embeddings = entry["clip_vision_output"].image_embeds
        if embeddings is None:
            raise ValueError("the CLIP vision output has no image embedding: use a CLIP vision model for it")
        for embedding in embeddings:
            _check(embedding, augment.width)
            level = round((_LEVELS - 1) * float(entry["noise_augmentation"]))
            vectors.append(augment(embedding, level, seed) * float(entry["strength"]))
    if len(vectors) == 1:
        return vectors[0]
    together = torch.stack(vectors).sum(0)
    return augment(together[:, : augment.width], _MERGED_LEVEL, seed)


def _check(embedding: Tensor, width: int) -> None:
    if embedding.shape[-1] != width:
        raise ValueError(
            f"the picture's embedding has {embedding.shape[-1]} numbers, but the model takes {width}: "
            "load the CLIP vision model that it was trained with"
        )
