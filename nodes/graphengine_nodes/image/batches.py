"""Batches of pictures: made, joined, taken apart, and brought to one size, one number and the same channels."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from graphengine.node.api import GraphEngineError

from .scaling import resize


def empty_images(width: int, height: int, batch_size: int = 1, color: int = 0) -> Tensor:
    """IMAGE (batch_size, height, width, 3) of one colour, 0xRRGGBB."""
    return rgb(color).expand(batch_size, height, width, 3).contiguous()


def rgb(color: int) -> Tensor:
    """0xRRGGBB as (3,) float32 in 0..1."""
    return torch.tensor([color >> 16 & 255, color >> 8 & 255, color & 255], dtype=torch.float32) / 255


def join_images(first: Tensor, second: Tensor) -> Tensor:
    """IMAGE (B1, H, W, C1) and (B2, H2, W2, C2) → (B1 + B2, H, W, max(C1, C2)).

    The second ones are scaled (bilinear, centre) to the size of the first; pictures without alpha become opaque.
    """
    first, second = with_equal_channels(first, second)
    if first.shape[1:3] != second.shape[1:3]:
        height, width = first.shape[1:3]
        second = resize(second.movedim(-1, 1), width, height, "bilinear", "center").movedim(1, -1)
    return torch.cat((first, second))


def join_all_images(images: Sequence[Tensor]) -> Tensor:
    """IMAGEs (B, H, W, C) as one batch in the size of the first, see `join_images`."""
    height, width = images[0].shape[1:3]
    fitting = [
        image
        if image.shape[1:3] == (height, width)
        else resize(image.movedim(-1, 1), width, height, "bilinear", "center").movedim(1, -1)
        for image in with_equal_channels(*images)
    ]
    return torch.cat(fitting)


def with_equal_channels(*images: Tensor) -> list[Tensor]:
    """IMAGEs (B, H, W, C), each with as many channels as the one with most; what is added is 1 (opaque)."""
    channels = max(image.shape[-1] for image in images)
    return [functional.pad(image, (0, channels - image.shape[-1]), value=1.0) for image in images]


def repeat_to_batch(values: Tensor, size: int) -> Tensor:
    """(B, …) → (size, …): repeated from the start, or cut off."""
    repeats = -(-size // values.shape[0])
    return values.repeat(repeats, *[1] * (values.ndim - 1))[:size] if repeats > 1 else values[:size]


def images_from_batch(images: Tensor, index: int, length: int) -> Tensor:
    """IMAGE (B, H, W, C) → up to `length` pictures from `index` on; at least the last one."""
    start = min(index, images.shape[0] - 1)
    return images[start : start + length].clone()


def repeat_images(images: Tensor, amount: int) -> Tensor:
    """IMAGE (B, H, W, C) → (B * amount, H, W, C), the whole batch again and again."""
    return images.repeat(amount, 1, 1, 1)


def rebatch_images(batches: Iterable[Tensor], size: int) -> list[Tensor]:
    """IMAGEs (B, H, W, C) of one size → batches of `size` pictures in their order; the last may hold fewer.

    Raises:
        GraphEngineError: the pictures differ in size or channels.
    """
    found = list(batches)
    shapes = {tuple(batch.shape[1:]) for batch in found}
    if len(shapes) > 1:
        raise GraphEngineError(
            f"input 'images' has pictures of different sizes (height, width, channels): {sorted(shapes)}",
            hint="scale them to one size first",
        )
    return list(torch.split(torch.cat(found), size)) if found else []
