"""Pictures cut, turned, padded and put side by side."""

import torch
from torch import Tensor
from torch.nn import functional

from graphengine.node.api import GraphEngineError

from .batches import with_equal_channels
from .scaling import resize

_QUARTERS = {"none": 0, "90 degrees": 1, "180 degrees": 2, "270 degrees": 3}
_COLOURS = {"white": (1, 1, 1), "black": (0, 0, 0), "red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}


def crop_images(images: Tensor, width: int, height: int, x: int, y: int) -> Tensor:
    """IMAGE (B, H, W, C) → its part of up to (height, width) from (x, y) on; at least the last row and column."""
    top, left = min(y, images.shape[1] - 1), min(x, images.shape[2] - 1)
    return images[:, top : top + height, left : left + width]


def flip(values: Tensor, method: str, rows: int, columns: int) -> Tensor:
    """The values mirrored: upside down where `method` begins with "x", else left to right.

    `rows` and `columns` are the axes.
    """
    return values.flip(rows if method.startswith("x") else columns)


def rotate(values: Tensor, rotation: str, rows: int, columns: int) -> Tensor:
    """The values turned clockwise by "none", "90 degrees", "180 degrees" or "270 degrees".

    `rows` and `columns` are the axes.
    """
    return torch.rot90(values, _QUARTERS.get(rotation, 0), (columns, rows))


def pad_for_outpaint(
    images: Tensor, left: int, top: int, right: int, bottom: int, feathering: int
) -> tuple[Tensor, Tensor]:
    """IMAGE (B, H, W, C) and MASK (1, H', W') with grey around it; H' = H + top + bottom, W' = W + left + right.

    The mask is 1 in the border, 0 in the picture. From a padded side inwards it falls from 1 to 0 with the square
    of the distance, within `feathering` pixels; at once when twice the feathering does not fit into the picture.
    """
    height, width = images.shape[1:3]
    padded = functional.pad(images, (0, 0, left, right, top, bottom), value=0.5)
    inside = torch.zeros(height, width)
    if feathering > 0 and 2 * feathering < min(height, width):
        down = _distance_to_padding(height, top, bottom)[:, None]
        across = _distance_to_padding(width, left, right)[None, :]
        inside = ((feathering - torch.minimum(down, across)) / feathering).clamp(min=0) ** 2
    mask = functional.pad(inside, (left, right, top, bottom), value=1.0)
    return padded, mask[None]


def _distance_to_padding(size: int, before: int, after: int) -> Tensor:
    """(size,): how far each place is from the side or sides that are padded; `size` where none is."""
    places = torch.arange(size, dtype=torch.float32)
    far = torch.full((size,), float(size))
    return torch.minimum(places if before else far, size - places if after else far)


def stitch(
    first: Tensor,
    second: Tensor | None,
    direction: str,
    *,
    match_size: bool = True,
    spacing: int = 0,
    spacing_color: str = "white",
) -> Tensor:
    """IMAGE (B, H, W, C) with the second beside it: "right", "left", "down" or "up".

    The shorter batch repeats its last picture. With `match_size` the second is scaled (Lanczos) to the same
    height, or width; otherwise both get black borders to the larger size. Between them are `spacing` pixels, made
    even.
    """
    if second is None:
        return first
    across = direction in ("right", "left")
    first, second = with_equal_channels(*_equally_many(first, second))
    first, second = _matched(first, second, across) if match_size else _bordered(first, second, across)
    pair = [first, second] if direction in ("right", "down") else [second, first]
    if spacing:
        pair.insert(1, _strip(first, spacing + spacing % 2, across, spacing_color))
    return torch.cat(pair, dim=2 if across else 1)


def _equally_many(first: Tensor, second: Tensor) -> list[Tensor]:
    most = max(first.shape[0], second.shape[0])
    return [torch.cat((batch, batch[-1:].expand(most - len(batch), -1, -1, -1))) for batch in (first, second)]


def _matched(first: Tensor, second: Tensor, across: bool) -> tuple[Tensor, Tensor]:
    height, width = second.shape[1:3]
    if across:
        size = (max(1, int(width * first.shape[1] / height)), first.shape[1])
    else:
        size = (first.shape[2], max(1, int(height * first.shape[2] / width)))
    return first, resize(second.movedim(-1, 1), *size, "lanczos").movedim(1, -1)


def _bordered(first: Tensor, second: Tensor, across: bool) -> tuple[Tensor, Tensor]:
    axis = 1 if across else 2
    size = max(first.shape[axis], second.shape[axis])
    return _centred(first, axis, size), _centred(second, axis, size)


def _centred(images: Tensor, axis: int, size: int) -> Tensor:
    """The pictures with black before and after them along an axis."""
    missing = size - images.shape[axis]
    around = (missing // 2, missing - missing // 2)
    return functional.pad(images, (0, 0, 0, 0, *around) if axis == 1 else (0, 0, *around))


def _strip(images: Tensor, thickness: int, across: bool, color: str) -> Tensor:
    batch, height, width, channels = images.shape
    if color not in _COLOURS:
        raise GraphEngineError(f"input 'spacing_color': no colour {color!r}", hint=f"use one of {[*_COLOURS]}")
    value = torch.tensor([*_COLOURS[color], 1.0], dtype=images.dtype, device=images.device)[:channels]
    size = (height, thickness) if across else (thickness, width)
    return value.expand(batch, *size, channels)


def resize_and_pad(images: Tensor, width: int, height: int, padding_color: str, method: str) -> Tensor:
    """IMAGE (B, H, W, C) → (B, height, width, C): as large as fits, in the middle of white or black."""
    old_height, old_width = images.shape[1:3]
    scale = min(width / old_width, height / old_height)
    inner = max(1, int(old_width * scale)), max(1, int(old_height * scale))
    scaled = resize(images.movedim(-1, 1), *inner, method)
    missing = width - inner[0], height - inner[1]
    around = (missing[0] // 2, missing[0] - missing[0] // 2, missing[1] // 2, missing[1] - missing[1] // 2)
    return functional.pad(scaled, around, value=1.0 if padding_color == "white" else 0.0).movedim(1, -1)
