"""Pictures and latents in another size, by the methods that the upscale nodes offer."""

import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .writing import to_bytes

#: Widths and heights, as the model's authors list them.
_KONTEXT_SIZES = (
    *((672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184), (944, 1104)),
    (1024, 1024),
    *((1104, 944), (1184, 880), (1248, 832), (1328, 800), (1392, 752), (1456, 720), (1504, 688), (1568, 672)),
)


def scale_images(images: Tensor, method: str, width: int, height: int, crop: str = "disabled") -> Tensor:
    """IMAGE (B, H, W, C) → (B, height, width, C); one 0 follows from the other size, both 0 change nothing."""
    old_height, old_width = images.shape[1:3]
    if width == 0 and height == 0:
        return images
    width = width or max(1, round(old_width * height / old_height))
    height = height or max(1, round(old_height * width / old_width))
    return resize(images.movedim(-1, 1), width, height, method, crop).movedim(1, -1)


def scale_images_by(images: Tensor, method: str, factor: float) -> Tensor:
    """IMAGE (B, H, W, C) → (B, H * factor, W * factor, C), rounded, at least one pixel."""
    height, width = (max(1, round(size * factor)) for size in images.shape[1:3])
    return resize(images.movedim(-1, 1), width, height, method).movedim(1, -1)


def scale_images_to_pixels(images: Tensor, method: str, megapixels: float) -> Tensor:
    """IMAGE (B, H, W, C) in the same proportions with about megapixels * 1024 * 1024 pixels, at least one."""
    height, width = images.shape[1:3]
    factor = math.sqrt(int(megapixels * 1024 * 1024) / (width * height))
    return _scaled(images, max(1, round(width * factor)), max(1, round(height * factor)), method)


def scale_images_to_longer_side(images: Tensor, method: str, size: int) -> Tensor:
    """IMAGE (B, H, W, C) in the same proportions with a longer side of `size` pixels; 0 changes nothing."""
    height, width = images.shape[1:3]
    if size == 0:
        return images
    longer = max(height, width)
    return _scaled(images, max(1, round(width / longer * size)), max(1, round(height / longer * size)), method)


def scale_images_for_kontext(images: Tensor) -> Tensor:
    """IMAGE (B, H, W, C) in the nearest proportions that Flux.1 Kontext was trained on (Lanczos, centre)."""
    height, width = images.shape[1:3]
    best = min(_KONTEXT_SIZES, key=lambda size: abs(width / height - size[0] / size[1]))
    return resize(images.movedim(-1, 1), *best, "lanczos", "center").movedim(1, -1)


def _scaled(images: Tensor, width: int, height: int, method: str) -> Tensor:
    return resize(images.movedim(-1, 1), width, height, method).movedim(1, -1)


def resize(samples: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """(B, C, H, W) → (B, C, height, width).

    `method` is "nearest-exact", "bilinear", "area", "bicubic", "lanczos" (through 8-bit pictures) or "bislerp".
    With `crop` "center" the sides that do not fit the new proportions are cut off first.
    """
    if crop == "center":
        samples = _crop(samples, width, height)
    own = _OWN_METHODS.get(method)
    if own is not None:
        return own(samples, width, height)
    return functional.interpolate(samples, size=(height, width), mode=method)


def _crop(samples: Tensor, width: int, height: int) -> Tensor:
    """The middle of the samples in the proportions width : height, at least one pixel."""
    old_height, old_width = samples.shape[-2:]
    old_aspect, new_aspect = old_width / old_height, width / height
    left = top = 0
    if old_aspect > new_aspect:
        left = round((old_width - old_width * (new_aspect / old_aspect)) / 2)
    elif old_aspect < new_aspect:
        top = round((old_height - old_height * (old_aspect / new_aspect)) / 2)
    left, top = min(left, (old_width - 1) // 2), min(top, (old_height - 1) // 2)
    return samples[..., top : old_height - top, left : old_width - left]


def _lanczos(samples: Tensor, width: int, height: int) -> Tensor:
    """Pillow's Lanczos filter on 8-bit pictures; 1, 3 or 4 channels."""
    pictures = (Image.fromarray(frame) for frame in to_bytes(samples.movedim(1, -1)))
    scaled = [np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS)) for picture in pictures]
    values = torch.from_numpy(np.stack(scaled).astype(np.float32) / 255)
    values = values if values.ndim == 4 else values[..., None]
    return values.movedim(-1, 1).to(samples.device, samples.dtype)


def _bislerp(samples: Tensor, width: int, height: int) -> Tensor:
    """Between neighbours the direction of the channel vector turns on a great circle, its length changes linearly.

    Rows first, then columns. Latents keep their norm this way, where a linear mixture would shrink it.
    """
    rows = _slerp_last_axis(samples.float(), width)
    columns = _slerp_last_axis(rows.transpose(-1, -2), height)
    return columns.transpose(-1, -2).to(samples.dtype)


def _slerp_last_axis(x: Tensor, size: int) -> Tensor:
    """(B, C, H, W) → (B, C, H, size); pixel centres lie where bilinear scaling puts them."""
    old = x.shape[-1]
    steps = torch.arange(size, dtype=torch.float64, device=x.device)
    place = ((steps + 0.5) * (old / size) - 0.5).clamp(0, old - 1)
    left = place.floor().long()
    right = (left + 1).clamp(max=old - 1)
    return _slerp(x[..., left], x[..., right], (place - left).to(x.dtype))


def _slerp(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """From the channel vectors of `a` (weight 0) to those of `b` (weight 1); (B, C, H, W), channels on axis 1."""
    towards_a, towards_b = functional.normalize(a, dim=1), functional.normalize(b, dim=1)
    cosine = (towards_a * towards_b).sum(1, keepdim=True)
    angle = cosine.clamp(-1, 1).acos()
    arc = ((1 - weight) * angle).sin() * towards_a + (weight * angle).sin() * towards_b
    length = torch.lerp(a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True), weight)
    # Where both point the same way, or opposite ways, no arc is defined (sin 0): mix linearly.
    return torch.where(cosine.abs() > 1 - 1e-5, torch.lerp(a, b, weight), arc / angle.sin() * length)


_OWN_METHODS: dict[str, Callable[[Tensor, int, int], Tensor]] = {"lanczos": _lanczos, "bislerp": _bislerp}
