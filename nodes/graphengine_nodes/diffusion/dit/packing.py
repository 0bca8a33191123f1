"""Latents ↔ the tokens of a transformer: padding to the patch size, patches of 2 x 2 cells, positions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

PATCH = 2


def padded(x: Tensor, patch: Sequence[int] = (PATCH, PATCH)) -> Tensor:
    """x (B, C, …) with its last dimensions enlarged to multiples of the patch, filled from the other side.

    The result of the network is cropped to the size that x had.
    """
    missing = [-size % step for size, step in zip(x.shape[-len(patch) :], patch, strict=True)]
    if not any(missing):
        return x
    amounts = [amount for size in reversed(missing) for amount in (0, size)]
    return pad(x, amounts, mode="circular")


def cropped(x: Tensor, like: Tensor) -> Tensor:
    """x (…, H, W) or (…, T, H, W) cut to the size of like: the inverse of `padded`."""
    for dimension in range(2, x.ndim):
        x = x.narrow(dimension, 0, like.shape[dimension])
    return x


def packed(x: Tensor) -> Tensor:
    """Tokens (B, H/2 * W/2, 4 C) of a latent (B, C, H, W): one per patch of 2 x 2 cells, channels outermost."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(batch, (height // PATCH) * (width // PATCH), channels * PATCH**2)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """The latent (B, C, height, width) of its tokens; height and width in cells, both even."""
    batch, _, size = tokens.shape
    x = tokens.reshape(batch, height // PATCH, width // PATCH, size // PATCH**2, PATCH, PATCH)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(batch, size // PATCH**2, height, width)


def positions(height: int, width: int, *, index: int = 0, top: int = 0, left: int = 0) -> Tensor:
    """Position ids (height * width, 3) of a grid of tokens: index, row, column. Float32."""
    grid = torch.zeros(height, width, 3)
    grid[..., 0] = index
    grid[..., 1] = torch.arange(top, top + height)[:, None]
    grid[..., 2] = torch.arange(left, left + width)[None, :]
    return grid.reshape(height * width, 3)


def rotary_axes(size: int) -> tuple[int, int, int]:
    """How a head of this size is shared between index, row and column: 16, 56, 56 of 128, alike for others."""
    side = 2 * (7 * size // 32)
    return size - 2 * side, side, side
