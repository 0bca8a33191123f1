"""Masks made, cut, grown, feathered, joined, and turned into pictures and back. MASK is (B, H, W) in 0..1."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from graphengine.node.api import GraphEngineError
from graphengine_nodes.image.batches import repeat_to_batch
from graphengine_nodes.image.filters import dilate

_CHANNELS = ("red", "green", "blue", "alpha")


def solid_mask(value: float, width: int, height: int) -> Tensor:
    """MASK (1, height, width) of one value."""
    return torch.full((1, height, width), value, dtype=torch.float32)


def as_batch(mask: Tensor) -> Tensor:
    """(H, W), (B, H, W) or (B, 1, H, W) → (B, H, W)."""
    return mask.reshape(-1, *mask.shape[-2:])


def mask_to_image(mask: Tensor) -> Tensor:
    """MASK (B, H, W) → IMAGE (B, H, W, 3), grey."""
    return as_batch(mask)[..., None].repeat(1, 1, 1, 3)


def image_to_mask(images: Tensor, channel: str) -> Tensor:
    """One channel of IMAGE (B, H, W, C) as MASK (B, H, W): "red", "green", "blue" or "alpha" as it is.

    Raises:
        GraphEngineError: the pictures have no such channel.
    """
    place = _CHANNELS.index(channel) if channel in _CHANNELS else len(_CHANNELS)
    if place >= images.shape[-1]:
        raise GraphEngineError(
            f"input 'channel': the pictures have no channel {channel!r}, they have {images.shape[-1]}",
            hint="choose another channel; LoadImage gives transparency as its second output",
        )
    return images[..., place]


def colour_to_mask(images: Tensor, color: int) -> Tensor:
    """MASK (B, H, W): 1 where the 8-bit colour of a pixel is `color`, 0xRRGGBB."""
    levels = (images[..., :3].clamp(0, 1) * 255).round().int()
    wanted = torch.tensor([color >> 16 & 255, color >> 8 & 255, color & 255], device=images.device)
    return (levels == wanted).all(-1).float()


def crop_mask(mask: Tensor, x: int, y: int, width: int, height: int) -> Tensor:
    """The part of up to (height, width) from (x, y) on.

    Raises:
        GraphEngineError: it lies outside.
    """
    rows, columns = mask.shape[-2:]
    if x >= columns or y >= rows:
        raise GraphEngineError(
            f"inputs 'x' and 'y': ({x}, {y}) lies outside of the mask of {columns} x {rows} pixels",
            hint="use smaller numbers, or a larger mask",
        )
    return as_batch(mask)[:, y : y + height, x : x + width]


def feather(mask: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """The mask falling off linearly at its sides, over so many pixels; at most over all of them.

    As in ComfyUI it is one place further out at the right and at the bottom, and what falls out there comes in at
    the other side: with right = n, the last column is multiplied by 2 / n and the first one by 1 / n.
    """
    rows, columns = mask.shape[-2:]
    across = _ramp(columns, left) * _ramp(columns, right).flip(0).roll(1)
    down = _ramp(rows, top) * _ramp(rows, bottom).flip(0).roll(1)
    return as_batch(mask) * (down[:, None] * across[None, :]).to(mask)


def _ramp(size: int, length: int) -> Tensor:
    """(size,): 1/n, 2/n, …, 1, 1, 1 with n = `length`."""
    length = min(size, length)
    return ((torch.arange(size, dtype=torch.float32) + 1) / length).clamp(max=1) if length else torch.ones(size)


def grow(mask: Tensor, by: int, *, tapered_corners: bool) -> Tensor:
    """The bright parts larger by so many pixels, or smaller for a negative number; grey values too.

    A point becomes a square, or a square on its corner with `tapered_corners`.
    """
    values = as_batch(mask) if by >= 0 else -as_batch(mask)
    # After as many steps as the mask is wide and high nothing changes any more.
    steps = min(abs(by), sum(mask.shape[-2:]))
    if tapered_corners:
        for _ in range(steps):
            values = _with_neighbours(values)
    elif steps:
        values = dilate(values[:, None], 2 * steps + 1)[:, 0]
    return values if by >= 0 else -values


def _with_neighbours(values: Tensor) -> Tensor:
    """The greatest of each pixel and its four neighbours."""
    padded = functional.pad(values, (1, 1, 1, 1), value=float("-inf"))
    across = torch.maximum(padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    down = torch.maximum(padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
    return torch.maximum(values, torch.maximum(across, down))


def threshold(mask: Tensor, value: float) -> Tensor:
    """1 where the mask is above `value`, else 0."""
    return (mask > value).float()


def combine(destination: Tensor, source: Tensor, x: int, y: int, operation: str) -> Tensor:
    """The destination (B, H, W) combined with the source (B2, H2, W2) from (x, y) on, in 0..1.

    What lies outside is cut off; the source is repeated or cut to B. "and", "or", "xor" round first.

    Raises:
        GraphEngineError: the operation is not known.
    """
    if operation not in _OPERATIONS:
        raise GraphEngineError(
            f"input 'operation': no operation {operation!r}", hint=f"use one of {', '.join(_OPERATIONS)}"
        )
    changed = as_batch(destination).clone()
    part = as_batch(source)[:, : max(0, changed.shape[1] - y), : max(0, changed.shape[2] - x)]
    below = changed[:, y : y + part.shape[1], x : x + part.shape[2]]
    if below.numel():
        below.copy_(_OPERATIONS[operation](below, repeat_to_batch(part.to(changed), len(changed))))
    return changed.clamp(0, 1)


_OPERATIONS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "multiply": lambda a, b: a * b,
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "and": lambda a, b: (a.round().bool() & b.round().bool()).float(),
        "or": lambda a, b: (a.round().bool() | b.round().bool()).float(),
        "xor": lambda a, b: (a.round().bool() ^ b.round().bool()).float(),
    }
)
