"""Pictures, latents and videos computed in tiles that are faded into each other.

Tiles begin every `tile - overlap` places; the last one of a side is cut where the side ends. A tile counts fully
inside and falls linearly to its sides over what it shares with its neighbours; the weights at each place are
divided by their sum. These are the positions and weights of ComfyUI's tiled decoding, so that results agree.

The weights are products of one factor per axis, and so are their sums. So they are divided beforehand, axis by
axis, and one buffer for the result is all that grows with the picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_EVERY = (slice(None), slice(None))  # sample and channel


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension: the length of a tile and what neighbours share, in inputs.

    length: how many outputs so many inputs become. place: where the outputs of a tile begin whose inputs
    there.
    """

    tile: int
    overlap: int
    length: Callable[[int], int]
    place: Callable[[int], int]


def scaled(tile: int, overlap: int, factor: float) -> Axis:
    """An axis whose inputs become `factor` times as many outputs, in the same order."""

    def times(count: int) -> int:
        return round(count * factor)

    return Axis(tile, overlap, times, times)


def positions(size: int, tile: int, overlap: int) -> list[int]:
    """Where the tiles of a side begin: at 0 if it fits into one, else in steps of tile - overlap."""
    return [0] if size <= tile else list(range(0, size - overlap, max(1, tile - overlap)))


def count_tiles(sizes: Sequence[int], passes: Sequence[Sequence[Axis]]) -> int:
    """How many tiles `in_tiles` computes for one sample."""
    total = 0
    for axes in passes:
        product = 1
        for size, axis in zip(sizes, axes, strict=True):
            product *= len(positions(size, axis.tile, axis.overlap))
        total += product
    return total


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What one tile covers of an axis: the inputs, the outputs and how much each of them counts, 0..1."""

    inputs: slice
    outputs: slice
    weights: Tensor


def in_tiles(
    sample: Tensor,
    function: Callable[[Tensor], Tensor],
    passes: Sequence[Sequence[Axis]],
    channels: int,
    before_each: Callable[[], None],
    device: torch.device | str = "cpu",
) -> Tensor:
    """One sample (1, C, *sizes) → (1, channels, *lengths), float32 on the device: the mean of the passes.

    function: a tile (1, C, …) → (1, channels, …), of the lengths that the axes say. passes: the axes of the
    sample, one list for each way to cut it. before_each is called before each tile and may raise.
    """
    lengths = [axis.length(size) for axis, size in zip(passes[0], sample.shape[2:], strict=True)]
    result = torch.zeros(1, channels, *lengths, device=device)
    for axes in passes:
        parts = [_parts(axis, size) for axis, size in zip(axes, sample.shape[2:], strict=True)]
        for tile in itertools.product(*parts):
            before_each()
            made = function(sample[(*_EVERY, *(part.inputs for part in tile))]).to(device, torch.float32)
            made = made / len(passes)
            for axis, part in enumerate(tile, start=2):
                made *= part.weights.to(device).reshape([-1 if place == axis else 1 for place in range(made.ndim)])
            result[(*_EVERY, *(part.outputs for part in tile))] += made
    return result


def _parts(axis: Axis, size: int) -> list[_Part]:
    """The tiles of a side of this length."""
    total = torch.zeros(axis.length(size))
    raw = []
    for start in positions(size, axis.tile, axis.overlap):
        count = min(axis.tile, size - start)
        begin, length = axis.place(start), axis.length(count)
        outputs = slice(begin, begin + length)
        weights = _ramp(length, axis.length(axis.overlap))
        total[outputs] += weights
        raw.append(_Part(slice(start, start + count), outputs, weights))
    return [_Part(part.inputs, part.outputs, part.weights / total[part.outputs]) for part in raw]


def _ramp(length: int, overlap: int) -> Tensor:
    """Weights of a tile: 1 inside, falling linearly to both ends; all 1 when it is no longer than the overlap."""
    weights = torch.ones(length)
    if 0 < overlap < length:
        rise = torch.arange(1, overlap + 1) / overlap
        weights[:overlap] *= rise
        weights[length - overlap :] *= rise.flip(0)
    return weights
