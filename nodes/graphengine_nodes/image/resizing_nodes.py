"""Nodes of pictures or masks in any number and size: thin classes over `resizing` and `batches`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import GraphEngineError

if TYPE_CHECKING:
    from torch import Tensor

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
_MOST = 50  # pictures that one node joins


def _size() -> list[Any]:
    return ["INT", {"default": 512, "min": 0, "max": 8192, "step": 1}]


def _crop() -> list[Any]:
    return ["COMBO", {"options": ["disabled", "center"], "default": "center"}]


def _ways() -> list[dict[str, Any]]:
    """The choices of size, each with the inputs it brings."""
    inputs: dict[str, dict[str, Any]] = {
        "scale dimensions": {"width": _size(), "height": _size(), "crop": _crop()},
        "scale by multiplier": {"multiplier": ["FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01}]},
        "scale longer dimension": {"longer_size": _size()},
        "scale shorter dimension": {"shorter_size": _size()},
        "scale width": {"width": _size()},
        "scale height": {"height": _size()},
        "scale total pixels": {"megapixels": ["FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01}]},
        "match size": {"match": ["IMAGE,MASK", {}], "crop": _crop()},
        "scale to multiple": {"multiple": ["INT", {"default": 8, "min": 1, "max": 8192, "step": 1}]},
    }
    return [{"key": key, "inputs": {"required": required}} for key, required in inputs.items()]


class ResizeImageMaskNode:
    """Pictures or masks in another size, given in any of nine ways."""

    CATEGORY = "transform"
    RETURN_TYPES = ("IMAGE,MASK",)
    RETURN_NAMES = ("resized",)
    FUNCTION = "resize"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "input": ("IMAGE,MASK", {}),
                "resize_type": ("COMFY_DYNAMICCOMBO_V3", {"options": _ways()}),
                "scale_method": ("COMBO", {"options": _METHODS, "default": "area"}),
            }
        }

    def resize(self, input: Tensor, resize_type: Mapping[str, Any], scale_method: str) -> tuple[Tensor]:
        """IMAGE or MASK, as was given."""
        from .resizing import resized  # brings torch

        return (resized(input, resize_type["resize_type"], scale_method, resize_type),)


class _ResizeImagesByEdge:
    """Pictures in the same proportions with an edge of a length."""

    CATEGORY = "transform"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    FUNCTION = "resize"
    DEPRECATED = True
    EDGE: ClassVar[str]
    DEFAULT: ClassVar[int]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        edge = ("INT", {"default": cls.DEFAULT, "min": 1, "max": 8192})
        return {"required": {"images": ("IMAGE", {}), f"{cls.EDGE}_edge": edge}}

    def resize(self, images: Tensor, **sizes: int) -> tuple[Tensor]:
        """IMAGE, scaled with Lanczos."""
        from .resizing import resized  # brings torch

        settings = {f"{self.EDGE}_size": sizes[f"{self.EDGE}_edge"]}
        return (resized(images, f"scale {self.EDGE} dimension", "lanczos", settings),)


class ResizeImagesByLongerEdge(_ResizeImagesByEdge):
    """Pictures in the same proportions with a longer edge of a length."""

    EDGE, DEFAULT = "longer", 1024


class ResizeImagesByShorterEdge(_ResizeImagesByEdge):
    """Pictures in the same proportions with a shorter edge of a length."""

    EDGE, DEFAULT = "shorter", 512


class BatchImagesNode:
    """Any number of batches of pictures as one."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "join"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        template = {"input": {"required": {"image": ["IMAGE", {}]}}, "prefix": "image", "min": 1, "max": _MOST}
        return {"required": {"images": ("COMFY_AUTOGROW_V3", {"template": template})}}

    def join(self, images: Mapping[str, Tensor]) -> tuple[Tensor]:
        """IMAGE: all of them in the order of their inputs, in the size of the first, with alpha if one has it."""
        from .batches import join_all_images  # brings torch

        given = [images[f"image{number}"] for number in range(_MOST) if f"image{number}" in images]
        if not given:
            raise GraphEngineError("no picture is connected", hint="connect an IMAGE to 'images.image0'")
        return (join_all_images(given),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ResizeImageMaskNode": ResizeImageMaskNode,
    "BatchImagesNode": BatchImagesNode,
    "ResizeImagesByLongerEdge": ResizeImagesByLongerEdge,
    "ResizeImagesByShorterEdge": ResizeImagesByShorterEdge,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ResizeImageMaskNode": "Resize Image/Mask",
    "BatchImagesNode": "Batch Images",
    "ResizeImagesByLongerEdge": "Resize Images by Longer Edge",
    "ResizeImagesByShorterEdge": "Resize Images by Shorter Edge",
}
