"""Vectors of pictures and texts, and a small pair of projections that makes them comparable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict

import torch
from torch import Tensor
from torch.nn import functional as F

from .contrastive import cosines, symmetric_loss


class Embeddings(TypedDict):
    """The EMBEDDINGS value: vectors (N, D), float32, on the CPU, and what each of them stands for."""

    vectors: Tensor
    labels: list[str]


class HasImageEmbeds(Protocol):
    """What a vision tower with a projection gives, such as CLIP_VISION_OUTPUT."""

    @property
    def image_embeds(self) -> Tensor | None:
        """The vectors of the pictures in the space of the texts, (B, D); None without a projection."""


class Projection(TypedDict):
    """A linear map of standardised features, weight @ ((features - mean) / scale).

    mean and scale: (D,). weight: (E, D).
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor


class ContrastivePair(TypedDict):
    """The CONTRASTIVE_PAIR value: the projections of pictures and of texts into one space."""

    pictures: Projection
    texts: Projection


def embeddings(vectors: Tensor, labels: Sequence[str]) -> Embeddings:
    """Vectors (N, D) with one label each; labels that are missing are numbers.

    Raises:
        ValueError: the vectors are not (N, D).
    """
    if vectors.ndim != 2 or not len(vectors):
        raise ValueError(
            f"vectors of shape {list(vectors.shape)}; one vector for each of N things is needed, (N, D)"
        )
    names = [*labels[: len(vectors)], *(str(number + 1) for number in range(len(labels), len(vectors)))]
    return Embeddings(vectors=vectors.detach().float().cpu(), labels=names)


def project(features: Tensor, projection: Projection) -> Tensor:
    """Features (N, D) in the common space, (N, E), of length 1.

    Raises:
        ValueError: the features are not those that the projection was made for.
    """
    if features.shape[1] != len(projection["mean"]):
        raise ValueError(
            f"the projection was made for vectors of {len(projection['mean'])} numbers, these have "
            f"{features.shape[1]}: take the side, and the kind of vectors, that it was trained with"
        )
    standard = (features.float() - projection["mean"]) / projection["scale"]
    return F.normalize(standard @ projection["weight"].T, dim=1)


def train_pair(
    pictures: Tensor,
    texts: Tensor,
    *,
    dimensions: int,
    temperature: float,
    steps: int,
    learning_rate: float,
    seed: int,
    progress: Callable[[int, int], None],
) -> tuple[ContrastivePair, Tensor]:
    """Projections that minimise `symmetric_loss` over pairs (N, D) and (N, E), and the loss of each step.

    All pairs are one batch, so each has the N - 1 others for negatives. By Adam on the CPU; every number follows
    from the seed. progress is called once per step and may raise to stop.

    Raises:
        ValueError: there are not as many pictures as texts, or fewer than two.
    """
    if len(pictures) != len(texts) or len(texts) < 2:
        raise ValueError(
            f"{len(pictures)} pictures and {len(texts)} texts: at least two pairs are needed, the first picture "
            "with the first text, and so on"
        )
    generator = torch.Generator().manual_seed(seed)
    losses = []
    # A run calls its nodes without gradients, and maybe in inference mode.
    with torch.inference_mode(False), torch.enable_grad():
        sides = [_untrained(side.clone().float(), dimensions, generator) for side in (pictures, texts)]
        features = [side.clone().float() for side in (pictures, texts)]
        optimizer = torch.optim.Adam([side["weight"].requires_grad_() for side in sides], lr=learning_rate)
        for step in range(steps):
            projected = [project(given, side) for given, side in zip(features, sides, strict=True)]
            loss = symmetric_loss(cosines(*projected), temperature)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch gives it no types
            optimizer.step()
            losses.append(loss.detach())
            progress(step + 1, steps)
    kept = [Projection(mean=s["mean"], scale=s["scale"], weight=s["weight"].detach()) for s in sides]
    return ContrastivePair(pictures=kept[0], texts=kept[1]), torch.stack(losses)


def _untrained(features: Tensor, dimensions: int, generator: torch.Generator) -> Projection:
    """A random projection; a feature that is the same everywhere says nothing and is left at 0."""
    mean = features.mean(dim=0)
    deviation = (features - mean).square().mean(dim=0).sqrt()
    # what differs by rounding alone must not be blown up
    scale = torch.where(deviation > 1e-5 * (1 + mean.abs()), deviation, torch.full_like(deviation, torch.inf))
    weight = torch.randn(dimensions, features.shape[1], generator=generator) / features.shape[1] ** 0.5
    return Projection(mean=mean, scale=scale, weight=weight)
