"""Large pictures in tiles: each is computed by itself, and what overlaps is faded."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tiling:
    """For each dimension: the size of a tile, the places that two share, how many are made of one."""

    tile: Sequence[int]
    overlap: Sequence[int]
    factor: Sequence[float]


def positions(size: int, tile: int, overlap: int) -> list[int]:
    """Where the tiles of a side of this length begin: 0 if it fits into one, else in steps of `tile - overlap`."""
    return [0] if size <= tile else list(range(0, size - overlap, max(1, tile - overlap)))


def in_tiles(
    samples: "Tensor",
    function: Callable[["Tensor"], "Tensor"],
    tiling: Tiling,
    channels: int,
    device: str,
    done: Callable[[], None],
) -> "Tensor":
    """(B, C, *sizes) → (B, channels, *sizes * factor), float32 on the device; `done` is called after each tile.

    A tile at the end of a side is moved back, so that all have the same size. Where tiles overlap, their weights
    rise and fall linearly.
    """
    import torch  # packs of plain Python import the module that uses this

    sizes = samples.shape[2:]
    shape = [round(size * factor) for size, factor in zip(sizes, tiling.factor, strict=True)]
    starts = [positions(*side) for side in zip(sizes, tiling.tile, tiling.overlap, strict=True)]
    results = []
    for index in range(len(samples)):
        sample = samples[index : index + 1]
        total = torch.zeros(1, channels, *shape, device=device)
        weights = torch.zeros(1, 1, *shape, device=device)
        for corner in itertools.product(*starts):
            cut = sample
            to: list[slice] = [slice(None), slice(None)]
            for axis, start in enumerate(corner):
                begin = max(0, min(start, sizes[axis] - tiling.tile[axis]))
                cut = cut.narrow(axis + 2, begin, min(tiling.tile[axis], sizes[axis]))
                to.append(slice(round(begin * tiling.factor[axis]), None))
            made = function(cut).to(device, torch.float32)
            to = [
                part if part.start is None else slice(part.start, part.start + made.shape[axis])
                for axis, part in enumerate(to)
            ]
            fade = _fade(made, tiling)
            total[tuple(to)] += made * fade
            weights[tuple(to)] += fade
            done()
        results.append(total / weights)
    return torch.cat(results)


def _fade(made: "Tensor", tiling: Tiling) -> "Tensor":
    """Weights of a tile: 1 inside, falling to its sides over what it shares with the next."""
    fade = made.new_ones(1, 1, *made.shape[2:])
    for axis, (overlap, factor) in enumerate(zip(tiling.overlap, tiling.factor, strict=True), start=2):
        width, size = round(overlap * factor), made.shape[axis]
        if width == 0 or round(tiling.tile[axis - 2] * factor) > size:
            continue  # one tile has the whole side
        ramp = made.new_tensor([min(1.0, (min(place, size - 1 - place) + 1) / width) for place in range(size)])
        fade = fade * ramp.reshape([-1 if place == axis else 1 for place in range(made.ndim)])
    return fade
