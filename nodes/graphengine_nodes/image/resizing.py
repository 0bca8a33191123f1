"""Pictures or masks in another size, by whatever says the size."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from graphengine.node.api import GraphEngineError

from .scaling import (
    resize,
    scale_images,
    scale_images_by,
    scale_images_to_longer_side,
    scale_images_to_pixels,
)

# Any: the settings of a choice, by name, as the node is given them.
Settings = Mapping[str, Any]


def _shorter(images: Tensor, method: str, settings: Settings) -> Tensor:
    height, width = images.shape[1:3]
    size = settings["shorter_size"]
    if size == 0:
        return images
    return scale_images(images, method, size if width <= height else 0, size if height < width else 0)


def _matched(images: Tensor, method: str, settings: Settings) -> Tensor:
    match: Tensor = settings["match"]
    height, width = match.shape[1:3]
    return scale_images(images, method, width, height, settings["crop"])


def _multiple(images: Tensor, method: str, settings: Settings) -> Tensor:
    """Sides cut down to multiples, at least one of them: scaled to cover that, then cut in the middle."""
    height, width = images.shape[1:3]
    multiple = settings["multiple"]
    height, width = (max(side // multiple, 1) * multiple for side in (height, width))
    return resize(images.movedim(-1, 1), width, height, method, "center").movedim(1, -1)


_WAYS: Mapping[str, Callable[[Tensor, str, Settings], Tensor]] = {
    "scale by multiplier": lambda images, method, by: scale_images_by(images, method, by["multiplier"]),
    "scale dimensions": lambda images, method, by: scale_images(
        images, method, by["width"], by["height"], by["crop"]
    ),
    "scale longer dimension": lambda images, method, by: scale_images_to_longer_side(
        images, method, by["longer_size"]
    ),
    "scale shorter dimension": _shorter,
    "scale width": lambda images, method, by: scale_images(images, method, by["width"], 0),
    "scale height": lambda images, method, by: scale_images(images, method, 0, by["height"]),
    "scale total pixels": lambda images, method, by: scale_images_to_pixels(images, method, by["megapixels"]),
    "match size": _matched,
    "scale to multiple": _multiple,
}


def resized(values: Tensor, way: str, method: str, settings: Settings) -> Tensor:
    """IMAGE (B, H, W, C) or MASK (B, H, W) in another size; `settings` are those of the way, a size of 0 follows.

    Raises:
        GraphEngineError: the way is not known, or the value is neither picture nor mask.
    """
    if way not in _WAYS:
        raise GraphEngineError(f"input 'resize_type' is {way!r}; known: {', '.join(_WAYS)}")
    if values.ndim not in (3, 4) or not values.numel():
        raise GraphEngineError(
            f"input 'input' has the shape {list(values.shape)}, which is no picture and no mask"
        )
    if values.ndim == 4:
        return _WAYS[way](values, method, settings)
    return _WAYS[way](values[..., None], method, settings)[..., 0]
