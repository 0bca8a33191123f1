"""Nodes that lay pictures on each other: thin classes over `compositing`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class ImageCompositeMasked:
    """A picture on another one, where a mask says so."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "composite"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "destination": ("IMAGE",),
                "source": ("IMAGE",),
                "x": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
                "y": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
                "resize_source": ("BOOLEAN", {"default": False}),
            },
            "optional": {
                "mask": ("MASK",),
            },
        }

    def composite(
        self, destination: Tensor, source: Tensor, x: int, y: int, resize_source: bool, mask: Tensor | None = None
    ) -> tuple[Tensor]:
        """IMAGE in the size of the destination, see `composite_images`."""
        from .compositing import composite_images  # brings torch

        return (composite_images(destination, source, x, y, mask, resize_source=resize_source),)


class JoinImageWithAlpha:
    """Pictures with a mask as their transparency."""

    CATEGORY = "mask/compositing"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "join"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "alpha": ("MASK",),
            },
        }

    def join(self, image: Tensor, alpha: Tensor) -> tuple[Tensor]:
        """IMAGE (B, H, W, 4)."""
        from .compositing import join_alpha  # brings torch

        return (join_alpha(image, alpha),)


class SplitImageWithAlpha:
    """Pictures, and their transparency as a mask."""

    CATEGORY = "mask/compositing"
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "split"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
            },
        }

    def split(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """IMAGE (B, H, W, 3) and MASK (B, H, W)."""
        from .compositing import split_alpha  # brings torch

        return split_alpha(image)


class PorterDuffImageComposite:
    """Two pictures with transparency by a mode of Porter and Duff."""

    CATEGORY = "mask/compositing"
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "composite"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "source": ("IMAGE",),
                "source_alpha": ("MASK",),
                "destination": ("IMAGE",),
                "destination_alpha": ("MASK",),
                "mode": (
                    "COMBO",
                    {
                        "default": "DST",
                        "multiselect": False,
                        "options": [
                            "ADD",
                            "CLEAR",
                            "DARKEN",
                            "DST",
                            "DST_ATOP",
                            "DST_IN",
                            "DST_OUT",
                            "DST_OVER",
                            "LIGHTEN",
                            "MULTIPLY",
                            "OVERLAY",
                            "SCREEN",
                            "SRC",
                            "SRC_ATOP",
                            "SRC_IN",
                            "SRC_OUT",
                            "SRC_OVER",
                            "XOR",
                        ],
                    },
                ),
            },
        }

    def composite(
        self, source: Tensor, source_alpha: Tensor, destination: Tensor, destination_alpha: Tensor, mode: str
    ) -> tuple[Tensor, Tensor]:
        """IMAGE and MASK in the size of the destination, see `porter_duff`."""
        from .compositing import porter_duff  # brings torch

        return porter_duff(source, source_alpha, destination, destination_alpha, mode)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ImageCompositeMasked": ImageCompositeMasked,
    "JoinImageWithAlpha": JoinImageWithAlpha,
    "SplitImageWithAlpha": SplitImageWithAlpha,
    "PorterDuffImageComposite": PorterDuffImageComposite,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ImageCompositeMasked": "ImageCompositeMasked",
    "JoinImageWithAlpha": "Join Image with Alpha",
    "SplitImageWithAlpha": "Split Image with Alpha",
    "PorterDuffImageComposite": "Porter-Duff Image Composite",
}
