"""What is done to lists of sigmas: split, flip, extend, write by hand. No list that is given is changed."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_MOST = 10_000
_ALMOST_ZERO = 0.0001

SPACINGS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "linear": lambda place: place,
        "cosine": lambda place: torch.sin(place * math.pi / 2),
        "sine": lambda place: 1 - torch.cos(place * math.pi / 2),
    }
)
"""How far between two sigmas a place 0..1 is."""


def split(sigmas: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """The list up to this step and from it on; both hold the sigma between. Past its end the second is empty."""
    return sigmas[: step + 1], sigmas[step:]


def split_denoise(sigmas: Tensor, denoise: float) -> tuple[Tensor, Tensor]:
    """The list split so that the second part has this share of the steps."""
    steps = max(len(sigmas) - 1, 0)
    return split(sigmas, steps - round(steps * denoise))


def flip(sigmas: Tensor) -> Tensor:
    """The list backwards; a first 0 becomes 0.0001, since no step can start without noise."""
    flipped = sigmas.flip(0)
    if len(flipped) and flipped[0] == 0:
        flipped[0] = _ALMOST_ZERO
    return flipped


def with_first(sigmas: Tensor, sigma: float) -> Tensor:
    """The list with another first sigma.

    Raises:
        ValueError: it is empty.
    """
    if not len(sigmas):
        raise ValueError(f"sigmas is empty: it has no first sigma to set to {sigma:g}")
    changed = sigmas.clone()
    changed[0] = sigma
    return changed


def extend(sigmas: Tensor, steps: int, start_at_sigma: float, end_at_sigma: float, spacing: str) -> Tensor:
    """The list with each step that starts between both sigmas cut into `steps` steps; a start below 0 is no limit.

    Raises:
        ValueError: the spacing is unknown.
    """
    if spacing not in SPACINGS:
        raise ValueError(f"spacing is {spacing!r}; known: {', '.join(SPACINGS)}")
    highest = start_at_sigma if start_at_sigma >= 0 else math.inf
    places = SPACINGS[spacing](torch.linspace(0, 1, steps + 1)[1:-1])
    parts = []
    for sigma, sigma_next in itertools.pairwise(sigmas):
        parts.append(sigma.reshape(1))
        if end_at_sigma <= float(sigma) <= highest:
            parts.append(places * (sigma_next - sigma) + sigma)
    return torch.cat([*parts, sigmas[-1:]])


def parse(text: str) -> Tensor:
    """The numbers of a text, with anything between them.

    Raises:
        ValueError: there are more than 10,000.
    """
    numbers = [float(match.group()) for match in _NUMBER.finditer(text)]
    if len(numbers) > _MOST:
        raise ValueError(f"sigmas holds {len(numbers)} numbers; at most {_MOST} are read")
    return torch.tensor(numbers, dtype=torch.float32)
