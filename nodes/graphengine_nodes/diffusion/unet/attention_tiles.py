"""Attention within tiles of a state instead of all over it; T. Fernandes (2023), "HyperTile".

Large pictures cost less, since attention grows with the square of the number of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

_SMALLEST_TILE = 32  # pixels
_CELL = 8  # pixels of a picture per cell of a latent
_TILES = "attention_tiles"
_SEED = 0


class Grid(NamedTuple):
    """A state (H, W) of tokens in rows, cut into tiles."""

    height: int
    width: int
    rows: int
    columns: int

    def cut(self, tokens: Tensor) -> Tensor:
        """(B, H · W, C) → (B · rows · columns, tokens of a tile, C)."""
        batch, _, channels = tokens.shape
        tile = (self.height // self.rows, self.width // self.columns)
        parts = tokens.reshape(batch, self.rows, tile[0], self.columns, tile[1], channels)
        return parts.transpose(2, 3).reshape(-1, tile[0] * tile[1], channels)

    def joined(self, tiles: Tensor) -> Tensor:
        """What `cut` was given."""
        tile = (self.height // self.rows, self.width // self.columns)
        parts = tiles.reshape(-1, self.rows, self.columns, *tile, tiles.shape[-1])
        return parts.transpose(2, 3).reshape(-1, self.height * self.width, tiles.shape[-1])


def numbers_of_tiles(size: int, smallest: int, options: int) -> list[int]:
    """Into how many equal tiles of at least `smallest` a side can be cut: the first options, most tiles first."""
    smallest = min(smallest, size)
    sides = [side for side in range(smallest, size + 1) if size % side == 0]
    return [size // side for side in sides[:options]]


@dataclass(frozen=True, slots=True)
class CutIntoTiles:
    """An attn1 patch for the levels of a UNet down to max_depth.

    tile_size: the smallest side of a tile in pixels. swap_size: one of so many sizes of tiles, the smallest ones
    but the last, is taken at random, so that seams do not stay in one place; below 3 it is the smallest.
    scale_depth: tiles of deeper levels cover as much of the picture.
    """

    tile_size: int
    swap_size: int
    max_depth: int
    scale_depth: bool

    # Any: the options are ComfyUI's open-ended form.
    def __call__(
        self, n: Tensor, context: Tensor, value: Tensor, options: MutableMapping[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(n, context, value) in tiles; the grid is written into the options of this block."""
        height, width = options["original_shape"][-2:]
        for depth in range(self.max_depth + 1):
            size = (-(-height // 2**depth), -(-width // 2**depth))
            if size[0] * size[1] == n.shape[1]:
                grid = self._grid(*size, depth, options)
                if grid.rows * grid.columns == 1:
                    break
                options[_TILES] = grid
                return grid.cut(n), grid.cut(context), grid.cut(value)
        return n, context, value

    def _grid(self, height: int, width: int, depth: int, options: Mapping[str, Any]) -> Grid:
        smallest = max(_SMALLEST_TILE, self.tile_size) // _CELL * (2**depth if self.scale_depth else 1)
        rows, columns = (
            _chosen(numbers_of_tiles(side, smallest, self.swap_size), options) for side in (height, width)
        )
        return Grid(height, width, rows, columns)


def join_tiles(n: Tensor, options: MutableMapping[str, Any]) -> Tensor:
    """An attn1 output patch: the tiles as one state again."""
    grid = options.pop(_TILES, None)
    return n if grid is None else grid.joined(n)


def _chosen(numbers: list[int], options: Mapping[str, Any]) -> int:
    """One of the numbers but the last, by the random numbers of the run, which are the same in each."""
    if len(numbers) < 3:
        return numbers[0]
    memory = options.get("memory", {})
    if _TILES not in memory:
        memory[_TILES] = torch.Generator().manual_seed(_SEED)
    return numbers[int(torch.randint(len(numbers) - 1, (1,), generator=memory[_TILES]))]
