"""Pictures with other colours: inverted, mixed, with fewer colours, with noise, as brightness and colour."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from graphengine.node.api import GraphEngineError

from .scaling import resize
from .writing import to_bytes


def invert(values: Tensor) -> Tensor:
    """1 - value, in any shape."""
    return 1.0 - values


def blend(first: Tensor, second: Tensor, factor: float, mode: str) -> Tensor:
    """IMAGE (B, H, W, C): the first mixed with its blend with the second, in 0..1.

    The second is scaled (bicubic, centre) to the size of the first and gets its number of channels.

    Raises:
        GraphEngineError: the mode is not known.
    """
    if mode not in _BLENDS:
        raise GraphEngineError(f"input 'blend_mode': no mode {mode!r}", hint=f"use one of {', '.join(_BLENDS)}")
    height, width, channels = first.shape[1:]
    second = functional.pad(second, (0, max(0, channels - second.shape[-1])), value=1.0)[..., :channels]
    if second.shape[1:3] != (height, width):
        second = resize(second.movedim(-1, 1), width, height, "bicubic", "center").movedim(1, -1)
    return (first * (1 - factor) + _BLENDS[mode](first, second) * factor).clamp(0, 1)


def _overlay(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(a <= 0.5, 2 * a * b, 1 - 2 * (1 - a) * (1 - b))


def _soft_light(a: Tensor, b: Tensor) -> Tensor:
    """As the W3C's "Compositing and Blending" defines it."""
    lighter = torch.where(a <= 0.25, ((16 * a - 12) * a + 4) * a, a.clamp(min=0).sqrt())
    return torch.where(b <= 0.5, a - (1 - 2 * b) * a * (1 - a), a + (2 * b - 1) * (lighter - a))


_BLENDS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "normal": lambda a, b: b,
        "multiply": lambda a, b: a * b,
        "screen": lambda a, b: 1 - (1 - a) * (1 - b),
        "overlay": _overlay,
        "soft_light": _soft_light,
        "difference": lambda a, b: a - b,  # with its sign; what is below 0 is cut off
    }
)


def quantize(images: Tensor, colors: int, dither: str) -> Tensor:
    """IMAGE (B, H, W, C) → (B, H, W, 3) with at most `colors` colours each (median cut).

    `dither` is "none", "floyd-steinberg", or "bayer-2", "-4", "-8", "-16" (ordered dithering).
    """
    pictures = [_quantized(Image.fromarray(pixels).convert("RGB"), colors, dither) for pixels in to_bytes(images)]
    return torch.from_numpy(np.stack(pictures).astype(np.float32) / np.float32(255))


def _quantized(picture: Image.Image, colors: int, dither: str) -> NDArray[Any]:
    palette = picture.quantize(colors=colors)
    order = Image.Dither.FLOYDSTEINBERG if dither == "floyd-steinberg" else Image.Dither.NONE
    if dither.startswith("bayer-"):
        picture = _with_threshold_pattern(
            picture, int(dither.removeprefix("bayer-")), len(palette.getpalette() or ()) // 3
        )
    return np.asarray(picture.quantize(palette=palette, dither=order).convert("RGB"))


def _with_threshold_pattern(picture: Image.Image, size: int, colors: int) -> Image.Image:
    """The picture plus Bayer's pattern, as wide as the distance of `colors` evenly spread colours."""
    pattern = bayer_matrix(size) * (512 / max(1, colors)) + 0.5
    tiled = np.tile(pattern, (-(-picture.height // size), -(-picture.width // size)))[
        : picture.height, : picture.width
    ]
    return Image.fromarray((np.asarray(picture, np.float32) + tiled[..., None]).clip(0, 255).astype(np.uint8))


def bayer_matrix(size: int) -> NDArray[Any]:
    """Bayer's thresholds (size, size) for a power of two, float64, evenly spread in -0.5..0.5 and 0 on average."""
    matrix = np.zeros((1, 1))
    quarter = np.array([[0.0, 2.0], [3.0, 1.0]])
    while len(matrix) < size:
        matrix = np.block([[4 * matrix + value for value in row] for row in quarter])
    return (matrix + 0.5) / matrix.size - 0.5


def with_noise(images: Tensor, seed: int, strength: float) -> Tensor:
    """IMAGE plus normal noise times `strength`, in 0..1; the same noise for the same seed and shape."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images.shape, generator=generator).to(images)
    return (images + strength * noise).clamp(0, 1)


def to_yuv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """IMAGE (B, H, W, 3) → brightness, blueness and redness (JPEG's YCbCr), each (B, H, W, 3) and grey."""
    red, green, blue = images[..., 0:1], images[..., 1:2], images[..., 2:3]
    brightness = 0.299 * red + 0.587 * green + 0.114 * blue
    blueness, redness = (blue - brightness) * 0.564 + 0.5, (red - brightness) * 0.713 + 0.5
    return brightness.repeat(1, 1, 1, 3), blueness.repeat(1, 1, 1, 3), redness.repeat(1, 1, 1, 3)


def from_yuv(brightness: Tensor, blueness: Tensor, redness: Tensor) -> Tensor:
    """The inverse of `to_yuv`, to three digits; of each picture the mean of the channels counts.

    Raises:
        GraphEngineError: the pictures differ in size.
    """
    sizes = [tuple(value.shape[1:3]) for value in (brightness, blueness, redness)]
    if len({*sizes}) > 1:
        raise GraphEngineError(
            f"inputs 'Y', 'U' and 'V' have different sizes (height, width): {sizes}",
            hint="scale them to one size first",
        )
    y, cb, cr = (value.mean(-1, keepdim=True) for value in (brightness, blueness - 0.5, redness - 0.5))
    return torch.cat((y + 1.403 * cr, y - 0.714 * cr - 0.344 * cb, y + 1.773 * cb), dim=-1)
