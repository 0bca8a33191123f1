"""Filters that look at the surroundings of a pixel: blur, sharpen, morphology, edges."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from graphengine.node.api import GraphEngineError


def blur_images(images: Tensor, radius: int, sigma: float) -> Tensor:
    """IMAGE (B, H, W, C) with `gaussian_blur`."""
    return gaussian_blur(images.movedim(-1, 1), radius, sigma).movedim(1, -1)


def sharpen_images(images: Tensor, radius: int, sigma: float, alpha: float) -> Tensor:
    """IMAGE (B, H, W, C) with `sharpen`, in 0..1."""
    return sharpen(images.movedim(-1, 1), radius, sigma, alpha).movedim(1, -1).clamp(0, 1)


def sharpen(samples: Tensor, radius: int, sigma: float, alpha: float) -> Tensor:
    """(B, C, H, W): x + 10 alpha (x - blur(x))."""
    return samples + 10 * alpha * (samples - gaussian_blur(samples, radius, sigma))


def gaussian_blur(samples: Tensor, radius: int, sigma: float) -> Tensor:
    """(B, C, H, W) with a Gauss kernel of 2 * radius + 1 pixels; `sigma` is in units of the radius.

    Outside, the picture is mirrored at the middle of its outermost pixels.
    """
    if radius == 0:
        return samples
    places = torch.linspace(-1, 1, 2 * radius + 1, dtype=torch.float64)
    weights = torch.exp(-(places**2) / (2 * sigma**2))
    weights = (weights / weights.sum()).to(samples)
    for axis in (-1, -2):
        samples = _convolved(samples, weights, axis)
    return samples


def _convolved(samples: Tensor, weights: Tensor, axis: int) -> Tensor:
    """A sum of shifted copies: for few weights cheaper than a convolution that must see channels as batches."""
    size, radius = samples.shape[axis], len(weights) // 2
    padded = samples.index_select(axis, _mirrored(size, radius).to(samples.device))
    return sum(
        (padded.narrow(axis, shift, size) * weight for shift, weight in enumerate(weights)),
        start=torch.zeros_like(samples),
    )


def _mirrored(size: int, radius: int) -> Tensor:
    """The places from -radius to size + radius - 1, mirrored into 0..size - 1 as often as needed."""
    places = torch.arange(-radius, size + radius)
    if size == 1:
        return torch.zeros_like(places)
    period = 2 * (size - 1)
    around = places % period
    return torch.minimum(around, period - around)


def morphology(images: Tensor, operation: str, size: int) -> Tensor:
    """IMAGE (B, H, W, C), each channel by itself, with a square of `size` pixels; what is outside does not count.

    Raises:
        GraphEngineError: the operation is not known.
    """
    if operation not in _OPERATIONS:
        raise GraphEngineError(
            f"input 'operation': no operation {operation!r}", hint=f"use one of {', '.join(_OPERATIONS)}"
        )
    return _OPERATIONS[operation](images.movedim(-1, 1), size).movedim(1, -1)


def dilate(samples: Tensor, size: int) -> Tensor:
    """(B, C, H, W): the greatest value of the square around each pixel; an even square reaches further back."""
    for axis in (-1, -2):
        samples = _greatest(samples, size, axis)
    return samples


def erode(samples: Tensor, size: int) -> Tensor:
    """(B, C, H, W): the least value of the square around each pixel."""
    return -dilate(-samples, size)


def _greatest(samples: Tensor, size: int, axis: int) -> Tensor:
    back, forth = size // 2, size - size // 2 - 1
    pad = (back, forth, 0, 0) if axis == -1 else (0, 0, back, forth)
    window = (1, size) if axis == -1 else (size, 1)
    return functional.max_pool2d(functional.pad(samples, pad, value=float("-inf")), window, stride=1)


_OPERATIONS: Mapping[str, Callable[[Tensor, int], Tensor]] = MappingProxyType(
    {
        "erode": erode,
        "dilate": dilate,
        "open": lambda x, size: dilate(erode(x, size), size),
        "close": lambda x, size: erode(dilate(x, size), size),
        "gradient": lambda x, size: dilate(x, size) - erode(x, size),
        "bottom_hat": lambda x, size: erode(dilate(x, size), size) - x,
        "top_hat": lambda x, size: x - dilate(erode(x, size), size),
    }
)


def canny(images: Tensor, low: float, high: float) -> Tensor:
    """Edges after Canny (1986): IMAGE (B, H, W, C) → (B, H, W, 3) of 0 and 1.

    Brightness, a Gauss filter of 5 pixels (sigma 1), Sobel gradients (not normalised), only the greatest across an
    edge, then pixels above `high` and those above `low` that hang together with them.
    """
    grey = (
        images[..., :3] @ torch.tensor([0.299, 0.587, 0.114]).to(images)
        if images.shape[-1] > 2
        else images[..., 0]
    )
    smooth = gaussian_blur(grey[:, None], 2, 0.5)
    gradient_x, gradient_y = _sobel(smooth)
    strength = (gradient_x**2 + gradient_y**2 + 1e-6).sqrt()
    sector = torch.round(torch.atan2(gradient_y, gradient_x) * (4 / torch.pi)).long() % 4
    thin = torch.where(_is_crest(strength, sector), strength, torch.zeros_like(strength))[:, 0]
    edges = np.stack([_connected(values > low, values > high) for values in thin.detach().cpu().numpy()])
    return torch.from_numpy(edges).to(images)[..., None].repeat(1, 1, 1, 3)


def _sobel(samples: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1, H, W) → gradients to the right and down; border pixels go on outside."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(samples)
    padded = functional.pad(samples, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, across[None, None]), functional.conv2d(padded, across.T[None, None])


def _is_crest(strength: Tensor, sector: Tensor) -> Tensor:
    """Whether both neighbours in the direction of the gradient (sectors of 45 degrees) are weaker."""
    height, width = strength.shape[-2:]
    padded = functional.pad(strength, (1, 1, 1, 1))
    crest = torch.zeros_like(strength, dtype=torch.bool)
    for number, (down, right) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = padded[..., 1 + down : 1 + down + height, 1 + right : 1 + right + width]
        behind = padded[..., 1 - down : 1 - down + height, 1 - right : 1 - right + width]
        crest |= (sector == number) & (strength > ahead) & (strength > behind)
    return crest


def _connected(weak: NDArray[np.bool_], strong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The groups of weak pixels (8 neighbours) that hold a strong one."""
    from scipy import ndimage

    groups, count = ndimage.label(weak, structure=np.ones((3, 3)))
    kept = np.zeros(count + 1, dtype=bool)
    kept[np.unique(groups[strong & weak])] = True
    kept[0] = False
    connected: NDArray[np.bool_] = kept[groups]
    return connected
