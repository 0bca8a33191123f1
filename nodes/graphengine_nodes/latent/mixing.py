"""Latents added, mixed, laid on each other, cut and joined along an axis."""

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.image.batches import repeat_to_batch
from graphengine_nodes.image.compositing import composite

from .batches import fitted, scaled, with_samples

_PIXELS = 8  # of a picture for each place of a latent, in which x and y are counted
_AXES = {"x": -1, "y": -2, "t": -3}


def add(first: Latent, second: Latent) -> Latent:
    """first + second; the second gets the size and batch of the first."""
    a, b = _pair(first, second)
    return with_samples(first, a + b)


def subtract(first: Latent, second: Latent) -> Latent:
    """first - second; the second gets the size and batch of the first."""
    a, b = _pair(first, second)
    return with_samples(first, a - b)


def multiply(latent: Latent, factor: float) -> Latent:
    """The samples times a number."""
    return with_samples(latent, latent["samples"] * factor)


def interpolate(first: Latent, second: Latent, ratio: float) -> Latent:
    """From the second (ratio 0) to the first (1): lengths and directions of channel vectors are mixed apart."""
    a, b = _pair(first, second)
    length_a, length_b = (torch.linalg.vector_norm(value, dim=1, keepdim=True) for value in (a, b))
    mixed = ratio * torch.nan_to_num(a / length_a) + (1 - ratio) * torch.nan_to_num(b / length_b)
    direction = torch.nan_to_num(mixed / torch.linalg.vector_norm(mixed, dim=1, keepdim=True))
    return with_samples(first, direction * (ratio * length_a + (1 - ratio) * length_b))


def _pair(first: Latent, second: Latent) -> tuple[Tensor, Tensor]:
    return first["samples"], fitted(second["samples"], first["samples"].shape)


def blend(first: Latent, second: Latent, factor: float) -> Latent:
    """first * factor + second * (1 - factor); the second is scaled (bicubic, centre) to the first."""
    a, b = first["samples"], second["samples"]
    if a.shape[1:] != b.shape[1:]:
        b = scaled(b, a.shape[-1], a.shape[-2], "bicubic")
    return with_samples(first, a * factor + b * (1 - factor))


def composite_latents(below: Latent, above: Latent, x: int, y: int, feather: int) -> Latent:
    """The one with the other on it at (x, y) pixels, fading in over `feather` pixels at its sides.

    A side does not fade where the picture ends.
    """
    samples = below["samples"]
    height, width = samples.shape[-2:]
    left, top, soft = x // _PIXELS, y // _PIXELS, feather // _PIXELS
    source = above["samples"][..., : max(0, height - top), : max(0, width - left)]
    rows, columns = source.shape[-2:]
    down = _fade(rows, soft if top else 0, soft if top + rows < height else 0)
    across = _fade(columns, soft if left else 0, soft if left + columns < width else 0)
    cover = (down[:, None] * across[None, :]).to(samples)
    changed = samples.clone()
    part = changed[..., top : top + rows, left : left + columns]
    part.copy_(repeat_to_batch(source, len(samples)) * cover + part * (1 - cover))
    return with_samples(below, changed)


def _fade(size: int, before: int, after: int) -> Tensor:
    """(size,): from 1/before to 1 at the start, from 1 to 1/after at the end."""
    places = torch.arange(size, dtype=torch.float32) + 1
    start = (places / before).clamp(max=1) if before else torch.ones(size)
    end = (places / after).clamp(max=1).flip(0) if after else torch.ones(size)
    return start * end


def composite_masked(
    destination: Latent, source: Latent, x: int, y: int, mask: Tensor | None, *, resize_source: bool
) -> Latent:
    """The destination with the source on it at (x, y) pixels, by as much as MASK (B, H, W) says."""
    samples = composite(
        destination["samples"], source["samples"], x, y, mask, _PIXELS, resize_source=resize_source
    )
    return with_samples(destination, samples)


def crop(latent: Latent, width: int, height: int, x: int, y: int) -> Latent:
    """The part of width by height pixels from (x, y) on; at least the last 64 pixels of each side."""
    rows, columns = latent["samples"].shape[-2:]
    top, left = max(0, min(y // _PIXELS, rows - 8)), max(0, min(x // _PIXELS, columns - 8))
    part = latent["samples"][..., top : top + height // _PIXELS, left : left + width // _PIXELS]
    return with_samples(latent, part)


def concatenate(first: Latent, second: Latent, axis: str) -> Latent:
    """Both behind each other along "x", "y" or "t"; with a minus the second one comes first.

    Raises:
        GraphEngineError: they differ along another axis.
    """
    a, b = first["samples"], repeat_to_batch(second["samples"], len(first["samples"]))
    place = _AXES[axis.removeprefix("-")]
    others = [[size for at, size in enumerate(value.shape) if at != value.ndim + place] for value in (a, b)]
    if others[0] != others[1]:
        raise GraphEngineError(
            f"inputs 'samples1' and 'samples2' do not fit along {axis!r}: {tuple(a.shape)} and {tuple(b.shape)}",
            hint="only the size along that axis may differ",
        )
    return with_samples(first, torch.cat((b, a) if axis.startswith("-") else (a, b), dim=place))


def cut(latent: Latent, axis: str, index: int, amount: int) -> Latent:
    """`amount` places from `index` on along "x", "y" or "t"; a negative index counts from the end."""
    samples = latent["samples"]
    size = samples.shape[_AXES[axis]]
    start = min(index, size - 1) if index >= 0 else max(0, size + index)
    return with_samples(latent, samples.narrow(_AXES[axis], start, min(amount, size - start)))


def trim_start(latent: Latent, amount: int) -> Latent:
    """A video latent (B, C, T, H, W) without its first `amount` steps of time.

    Raises:
        GraphEngineError: no step would be left.
    """
    steps = latent["samples"].shape[2]
    if amount >= steps:
        raise GraphEngineError(
            f"trim_amount {amount} leaves nothing of a latent with {steps} steps", hint=f"take {steps - 1} or less"
        )
    return with_samples(latent, latent["samples"][:, :, amount:])
