"""Which picture belongs to which text: cosines, and the contrastive loss with a temperature and negatives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Contrast:
    """The loss of both directions in nats, their mean, and the share of pairs that are told right, 0..1.

    chance: the loss of someone who cannot tell the candidates apart, log(negatives + 1).
    """

    loss: float
    picture_to_text: float
    text_to_picture: float
    accuracy: float
    chance: float


def cosines(pictures: Tensor, texts: Tensor) -> Tensor:
    """The cosine of every picture's vector (N, D) with every text's (M, D), -1..1. Shape (N, M).

    Raises:
        ValueError: the vectors are not of one length.
    """
    if pictures.ndim != 2 or texts.ndim != 2 or pictures.shape[1] != texts.shape[1]:
        raise ValueError(
            f"vectors of shape {list(pictures.shape)} and {list(texts.shape)} cannot be compared: "
            "they must come from one space, (N, D) and (M, D)"
        )
    return F.normalize(pictures.float(), dim=1) @ F.normalize(texts.float(), dim=1).T


def probabilities(similarities: Tensor, temperature: float) -> Tensor:
    """softmax(similarities / temperature) over the texts: which text a picture is given.

    Same shape, rows sum to 1.

    Raises:
        ValueError: the temperature is not above 0.
    """
    return (similarities / _above_zero(temperature)).softmax(dim=1)


def info_nce(logits: Tensor, negatives: int = 0, seed: int = 0) -> Tensor:
    """-log(exp(l_ii) / sum_j exp(l_ij)) of each row i of logits (N, N), in nats. Shape (N,).

    van den Oord et al. (2018), eq. 4: the entry on the diagonal is told from the others of its row. With
    `negatives` above 0 only so many others are taken, drawn by the seed; 0 means all.

    Raises:
        ValueError: the logits are not square.
    """
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1]:
        raise ValueError(f"as many pictures as texts are needed, in pairs; there are {list(logits.shape)}")
    if 0 < negatives < len(logits) - 1:
        logits = logits.masked_fill(~_candidates(len(logits), negatives, seed).to(logits.device), -math.inf)
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device), reduction="none")


def symmetric_loss(similarities: Tensor, temperature: float, negatives: int = 0, seed: int = 0) -> Tensor:
    """The mean of `info_nce` over both directions, pictures to texts and texts to pictures; no dimension.

    The loss of CLIP (Radford et al., 2021, figure 3), with logits = similarities / temperature. CLIP learns its
    temperature and ends at 0.01; every other pair of the batch is a negative.

    Raises:
        ValueError: the similarities are not square, or the temperature is not above 0.
    """
    logits = similarities / _above_zero(temperature)
    return (info_nce(logits, negatives, seed).mean() + info_nce(logits.T, negatives, seed).mean()) / 2


def contrast(similarities: Tensor, temperature: float, negatives: int = 0, seed: int = 0) -> Contrast:
    """How well the pairs on the diagonal of (N, N) similarities are told from the others.

    Raises:
        ValueError: the similarities are not square, or the temperature is not above 0.
    """
    logits = similarities / _above_zero(temperature)
    forward = float(info_nce(logits, negatives, seed).mean())
    backward = float(info_nce(logits.T, negatives, seed).mean())
    pairs = torch.arange(len(logits))
    right = [(side.argmax(dim=1) == pairs).float().mean() for side in (logits, logits.T)]
    others = len(logits) - 1 if negatives <= 0 else min(negatives, len(logits) - 1)
    return Contrast((forward + backward) / 2, forward, backward, float(sum(right) / 2), math.log(others + 1))


def _candidates(count: int, negatives: int, seed: int) -> Tensor:
    """Which columns each row is told from: its own and some others."""
    keys = torch.rand(count, count, generator=torch.Generator().manual_seed(seed))
    keys.fill_diagonal_(-1.0)  # below every draw: the pair itself is always among the smallest
    return keys <= keys.sort(dim=1).values[:, negatives : negatives + 1]


def _above_zero(temperature: float) -> float:
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature:g}; logits are divided by it, so it must be above 0")
    return temperature
