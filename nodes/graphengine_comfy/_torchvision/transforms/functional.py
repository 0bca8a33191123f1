"""Transforms of pictures as functions: PIL pictures, or tensors of shape (…, C, H, W)."""

import math
from collections.abc import Sequence
from enum import Enum
from typing import Any, TypeVar, cast

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, interpolate
from torch.nn.functional import pad as pad_tensor

from graphengine_comfy._placeholders import placeholders_of

Picture = TypeVar("Picture", Tensor, Image.Image)
Sizes = int | Sequence[int]


class InterpolationMode(Enum):
    """How a picture is asked between its points."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_OF_PIL = {
    InterpolationMode.NEAREST: Image.Resampling.NEAREST,
    InterpolationMode.NEAREST_EXACT: Image.Resampling.NEAREST,
    InterpolationMode.BILINEAR: Image.Resampling.BILINEAR,
    InterpolationMode.BICUBIC: Image.Resampling.BICUBIC,
    InterpolationMode.BOX: Image.Resampling.BOX,
    InterpolationMode.HAMMING: Image.Resampling.HAMMING,
    InterpolationMode.LANCZOS: Image.Resampling.LANCZOS,
}
_SMOOTH = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)


def _numbers(value: Any) -> list[int]:
    return [int(value)] if isinstance(value, int | float) else [int(number) for number in value]


def get_dimensions(img: Tensor | Image.Image) -> list[int]:
    """Channels, height and width."""
    if isinstance(img, Image.Image):
        return [len(img.getbands()), img.height, img.width]
    return [1 if img.ndim == 2 else img.shape[-3], img.shape[-2], img.shape[-1]]


def get_image_size(img: Tensor | Image.Image) -> list[int]:
    """Width and height."""
    return get_dimensions(img)[:0:-1]


def _resized(height: int, width: int, size: list[int], longest: int | None) -> tuple[int, int]:
    """Height and width; of one number the smaller edge, and the larger one at most `longest`."""
    if len(size) == 2:
        return size[0], size[1]
    short, long = sorted((height, width))
    new_short, new_long = size[0], int(size[0] * long / short)
    if longest is not None and new_long > longest:
        new_short, new_long = int(longest * new_short / new_long), longest
    return (new_short, new_long) if height <= width else (new_long, new_short)


def resize(
    img: Picture,
    size: Sizes,
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Picture:
    """The picture in a size (height, width); one number is its smaller edge.

    Raises:
        ValueError: a tensor cannot be scaled in that way.
    """
    _, height, width = get_dimensions(img)
    new = _resized(height, width, _numbers(size), max_size)
    if isinstance(img, Image.Image):
        return img.resize(new[::-1], _OF_PIL[interpolation])
    if interpolation not in (*_SMOOTH, InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT):
        raise ValueError(f"tensors cannot be scaled by {interpolation.value}")
    if new == (height, width):
        return img
    smooth = {"align_corners": False, "antialias": bool(antialias)} if interpolation in _SMOOTH else {}
    batch = img.reshape(-1, 1, height, width)
    # Any: the options of `interpolate` depend on its mode.
    scaled = interpolate(_floating(batch), new, mode=interpolation.value, **cast(Any, smooth))
    return _as_before(scaled, img).reshape(*img.shape[:-2], *new)


def _floating(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_floating_point() else tensor.float()


def _as_before(result: Tensor, before: Tensor) -> Tensor:
    """The numbers in the type they had; bytes stay in their range."""
    if before.is_floating_point():
        return result.to(before.dtype)
    limited = result.clamp(0, 255) if before.dtype == torch.uint8 else result
    return limited.round().to(before.dtype)


def crop(img: Picture, top: int, left: int, height: int, width: int) -> Picture:
    """A part of a picture; what lies beyond its edges is black."""
    if isinstance(img, Image.Image):
        return img.crop((left, top, left + width, top + height))
    _, full_height, full_width = get_dimensions(img)
    part = img[..., max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    border = [
        min(max(-left, 0), width),
        min(max(left + width - max(full_width, left), 0), width),
        min(max(-top, 0), height),
        min(max(top + height - max(full_height, top), 0), height),
    ]
    return pad_tensor(part, border) if any(border) else part


def center_crop(img: Picture, output_size: Sizes) -> Picture:
    """The middle of a picture; a smaller one gets a black border."""
    size = _numbers(output_size)
    height, width = size if len(size) == 2 else (size[0], size[0])
    _, full_height, full_width = get_dimensions(img)
    if full_height < height or full_width < width:
        wide, high = max(width - full_width, 0), max(height - full_height, 0)
        img = pad(img, [wide // 2, high // 2, (wide + 1) // 2, (high + 1) // 2])
        _, full_height, full_width = get_dimensions(img)
    top, left = round((full_height - height) / 2.0), round((full_width - width) / 2.0)
    return crop(img, top, left, height, width)


def resized_crop(
    img: Picture,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Sizes,
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Picture:
    """A part of a picture, scaled."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def pad(img: Picture, padding: Sizes, fill: float = 0, padding_mode: str = "constant") -> Picture:
    """A picture with a border: left, top, right, bottom; or two numbers, or one.

    Raises:
        ValueError: a PIL picture cannot be extended in that way.
    """
    match _numbers(padding):
        case [every]:
            left = top = right = bottom = every
        case [left, top]:
            right, bottom = left, top
        case [left, top, right, bottom]:
            pass
        case other:
            raise ValueError(f"a border has 1, 2 or 4 numbers, not {len(other)}")
    if isinstance(img, Image.Image):
        if padding_mode != "constant":
            raise ValueError(f"a PIL picture cannot get a border by {padding_mode!r}")
        return ImageOps.expand(img, (left, top, right, bottom), int(fill))
    mode = {"edge": "replicate", "symmetric": "reflect"}.get(padding_mode, padding_mode)
    border = [left, right, top, bottom]
    if mode == "constant":
        return pad_tensor(img, border, value=fill)
    batch = _floating(img.reshape(-1, 1, *img.shape[-2:]))
    padded = pad_tensor(batch, border, mode=mode)
    return _as_before(padded, img).reshape(*img.shape[:-2], *padded.shape[-2:])


def hflip(img: Picture) -> Picture:
    """The picture mirrored from left to right."""
    return ImageOps.mirror(img) if isinstance(img, Image.Image) else img.flip(-1)


def vflip(img: Picture) -> Picture:
    """The picture mirrored from top to bottom."""
    return ImageOps.flip(img) if isinstance(img, Image.Image) else img.flip(-2)


def normalize(tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """Each channel less its mean, divided by its deviation.

    Raises:
        ValueError: a deviation is 0.
    """
    means, deviations = (torch.tensor(values).to(tensor).view(-1, 1, 1) for values in (mean, std))
    if bool((deviations == 0).any()):
        raise ValueError(f"std {list(std)} has a 0, which cannot be divided by")
    return (tensor if inplace else tensor.clone()).sub_(means).div_(deviations)


def gaussian_blur(img: Tensor, kernel_size: Sizes, sigma: float | Sequence[float] | None = None) -> Tensor:
    """A tensor blurred by kernels of odd sizes (x, y) and deviations; its edges are mirrored."""
    sizes = _numbers(kernel_size)
    wide, high = sizes if len(sizes) == 2 else (sizes[0], sizes[0])
    if sigma is None:
        sigmas = [0.3 * ((size - 1) * 0.5 - 1) + 0.8 for size in (wide, high)]
    else:
        sigmas = [float(sigma)] * 2 if isinstance(sigma, int | float) else [float(sigma[0]), float(sigma[-1])]
    across, down = (_gaussian(size, deviation) for size, deviation in zip((wide, high), sigmas, strict=True))
    batch = _floating(img.reshape(-1, 1, *img.shape[-2:]))
    kernel = torch.outer(down, across).to(batch)
    padded = pad_tensor(batch, [wide // 2, wide // 2, high // 2, high // 2], mode="reflect")
    return _as_before(conv2d(padded, kernel[None, None]), img).reshape(img.shape)


def _gaussian(size: int, deviation: float) -> Tensor:
    half = (size - 1) * 0.5
    weights = torch.exp(-0.5 * (torch.linspace(-half, half, size) / deviation) ** 2)
    return weights / weights.sum()


def rotate(
    img: Picture,
    angle: float,
    interpolation: InterpolationMode = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: float | Sequence[float] | None = None,
) -> Picture:
    """A picture turned counter-clockwise by degrees, about its middle or a point (x, y)."""
    if isinstance(img, Image.Image):
        middle = None if center is None else (center[0], center[1])
        return img.rotate(angle, _OF_PIL[interpolation], expand, middle, fillcolor=cast(Any, fill))
    height, width = img.shape[-2:]
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    new_height, new_width = _turned_size(height, width, cos, sin) if expand else (height, width)
    x_off, y_off = (0.0, 0.0) if center is None or expand else (center[0] - width / 2, center[1] - height / 2)
    x = torch.arange(new_width, device=img.device) + 0.5 - new_width / 2 - x_off
    y = (torch.arange(new_height, device=img.device) + 0.5 - new_height / 2 - y_off)[:, None]
    grid = torch.stack([(cos * x - sin * y + x_off) / (width / 2), (sin * x + cos * y + y_off) / (height / 2)], -1)
    batch = _floating(img.reshape(1, -1, height, width))
    mode = "nearest" if interpolation is InterpolationMode.NEAREST else "bilinear"
    turned = grid_sample(batch, grid[None].to(batch), mode=mode, padding_mode="zeros", align_corners=False)
    if fill is not None:
        inside = grid_sample(
            torch.ones_like(batch[:, :1]),
            grid[None].to(batch),
            mode=mode,
            padding_mode="zeros",
            align_corners=False,
        )
        colour = torch.as_tensor(fill, dtype=batch.dtype, device=img.device).reshape(-1, 1, 1)
        turned = turned.reshape(-1, get_dimensions(img)[0], new_height, new_width) + (1 - inside) * colour
    return _as_before(turned, img).reshape(*img.shape[:-2], new_height, new_width)


def _turned_size(height: int, width: int, cos: float, sin: float) -> tuple[int, int]:
    """Height and width that hold a turned picture."""
    wide = abs(width * cos) + abs(height * sin)
    high = abs(width * sin) + abs(height * cos)
    return math.ceil(high - 1e-3), math.ceil(wide - 1e-3)


def rgb_to_grayscale(img: Picture, num_output_channels: int = 1) -> Picture:
    """The brightness of colours, in one channel or in three alike."""
    if isinstance(img, Image.Image):
        grey = img.convert("L")
        return grey if num_output_channels == 1 else Image.merge("RGB", [grey] * 3)
    weights = torch.tensor([0.2989, 0.587, 0.114], device=img.device).view(3, 1, 1)
    light = _as_before((_floating(img[..., :3, :, :]) * weights).sum(-3, keepdim=True), img)
    return light if num_output_channels == 1 else light.expand(*light.shape[:-3], 3, *light.shape[-2:])


def pil_to_tensor(pic: Image.Image) -> Tensor:
    """The numbers of a PIL picture: (C, H, W)."""
    array = np.array(pic, copy=True)
    return torch.from_numpy(array if array.ndim == 3 else array[:, :, None]).permute(2, 0, 1).contiguous()


# Any: arrays of all types.
def to_tensor(pic: Any) -> Tensor:
    """A PIL picture or an array (H, W, C) as a tensor (C, H, W); bytes become 0..1."""
    if isinstance(pic, Image.Image):
        tensor = pil_to_tensor(pic.convert("L") if pic.mode == "1" else pic)
    else:
        array = pic if pic.ndim == 3 else pic[:, :, None]
        tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor


# Any: arrays of all types.
def to_pil_image(pic: Any, mode: str | None = None) -> Image.Image:
    """A tensor (C, H, W) in 0..1 or of bytes, or an array (H, W, C), as a PIL picture.

    Raises:
        ValueError: it has another number of dimensions or channels.
    """
    if isinstance(pic, Tensor):
        tensor = pic[None] if pic.ndim == 2 else pic
        if tensor.ndim != 3:
            raise ValueError(f"a picture has 2 or 3 dimensions, not {tensor.ndim}")
        tensor = tensor.detach().cpu()
        array = (tensor.mul(255).byte() if tensor.is_floating_point() else tensor).permute(1, 2, 0).numpy()
    else:
        array = pic if pic.ndim == 3 else pic[:, :, None]
    if array.shape[2] not in (1, 2, 3, 4):
        raise ValueError(f"a picture has 1 to 4 channels, not {array.shape[2]}")
    picture = Image.fromarray(np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array))
    return picture if mode in (None, picture.mode) else picture.convert(mode)


def convert_image_dtype(image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The tensor with numbers of another type, in its range: 0..1, or 0..255 of bytes."""
    if image.is_floating_point() == dtype.is_floating_point:
        return image.to(dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / torch.iinfo(image.dtype).max
    return (image * (torch.iinfo(dtype).max + 1 - 1e-3)).to(dtype)


__getattr__ = placeholders_of(__name__)
