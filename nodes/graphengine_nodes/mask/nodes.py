"""The mask nodes: thin classes over `masks`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class SolidMask:
    """A mask of one value."""

    CATEGORY = "mask"
    RETURN_TYPES = ("MASK",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "value": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
                "width": ("INT", {"default": 512, "min": 1, "max": 16384, "step": 1}),
                "height": ("INT", {"default": 512, "min": 1, "max": 16384, "step": 1}),
            },
        }

    def make(self, value: float, width: int, height: int) -> tuple[Tensor]:
        """MASK (1, height, width)."""
        from .masks import solid_mask  # brings torch

        return (solid_mask(value, width, height),)


class MaskToImage:
    """A mask as a grey picture."""

    CATEGORY = "mask"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "mask": ("MASK",),
            },
        }

    def convert(self, mask: Tensor) -> tuple[Tensor]:
        """IMAGE (B, H, W, 3)."""
        from .masks import mask_to_image  # brings torch

        return (mask_to_image(mask),)


class ImageToMask:
    """A channel of pictures as a mask."""

    CATEGORY = "mask"
    RETURN_TYPES = ("MASK",)
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "channel": (["red", "green", "blue", "alpha"],),
            },
        }

    def convert(self, image: Tensor, channel: str) -> tuple[Tensor]:
        """MASK (B, H, W)."""
        from .masks import image_to_mask  # brings torch

        return (image_to_mask(image, channel),)


class ImageColorToMask:
    """Where pictures have a colour."""

    CATEGORY = "mask"
    RETURN_TYPES = ("MASK",)
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "color": ("INT", {"default": 0, "min": 0, "max": 16777215, "step": 1, "display": "color"}),
            },
        }

    def convert(self, image: Tensor, color: int) -> tuple[Tensor]:
        """MASK (B, H, W), 1 where the colour is 0xRRGGBB."""
        from .masks import colour_to_mask  # brings torch

        return (colour_to_mask(image, color),)


class InvertMask:
    """A mask the other way round."""

    CATEGORY = "mask"
    RETURN_TYPES = ("MASK",)
    FUNCTION = "invert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "mask": ("MASK",),
            },
        }

    def invert(self, mask: Tensor) -> tuple[Tensor]:
        """MASK with 1 - value."""
        from graphengine_nodes.image.colours import invert  # brings torch

        return (invert(mask),)


class CropMask:
    """A part of a mask."""

    CATEGORY = "mask"
    RETURN_TYPES = ("MASK",)
    FUNCTION = "crop"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "mask": ("MASK",),
                "x": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
                "y": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
                "width": ("INT", {"default": 512, "min": 1, "max": 16384, "step": 1}),
                "height": ("INT", {"default": 512, "min": 1, "max": 16384, "step": 1}),
            },
        }

    def crop(self, mask: Tensor, x: int, y: int, width: int, height: int) -> tuple[Tensor]:
        """MASK (B, up to height, up to width)."""
        from .masks import crop_mask  # brings torch

        return (crop_mask(mask, x, y, width, height),)


class MaskComposite:
    """Two masks as one."""

    CATEGORY = "mask"
    RETURN_TYPES = ("MASK",)
    FUNCTION = "combine"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "destination": ("MASK",),
                "source": ("MASK",),
                "x": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
                "y": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
                "operation": (["multiply", "add", "subtract", "and", "or", "xor"],),
            },
        }

    def combine(self, destination: Tensor, source: Tensor, x: int, y: int, operation: str) -> tuple[Tensor]:
        """MASK in the size of the destination, see `combine`."""
        from .masks import combine  # brings torch

        return (combine(destination, source, x, y, operation),)


class FeatherMask:
    """A mask that falls off at its sides."""

    CATEGORY = "mask"
    RETURN_TYPES = ("MASK",)
    FUNCTION = "feather"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "mask": ("MASK",),
                "left": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
                "top": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
                "right": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
                "bottom": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
            },
        }

    def feather(self, mask: Tensor, left: int, top: int, right: int, bottom: int) -> tuple[Tensor]:
        """MASK (B, H, W)."""
        from .masks import feather  # brings torch

        return (feather(mask, left, top, right, bottom),)


class GrowMask:
    """A mask whose bright parts are larger or smaller."""

    CATEGORY = "mask"
    RETURN_TYPES = ("MASK",)
    FUNCTION = "grow"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "mask": ("MASK",),
                "expand": ("INT", {"default": 0, "min": -16384, "max": 16384, "step": 1}),
                "tapered_corners": ("BOOLEAN", {"default": True}),
            },
        }

    def grow(self, mask: Tensor, expand: int, tapered_corners: bool) -> tuple[Tensor]:
        """MASK (B, H, W)."""
        from .masks import grow  # brings torch

        return (grow(mask, expand, tapered_corners=tapered_corners),)


class ThresholdMask:
    """A mask of 0 and 1."""

    CATEGORY = "mask"
    RETURN_TYPES = ("MASK",)
    FUNCTION = "cut"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "mask": ("MASK",),
                "value": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}),
            },
        }

    def cut(self, mask: Tensor, value: float) -> tuple[Tensor]:
        """MASK (B, H, W), 1 where it was above the value."""
        from .masks import threshold  # brings torch

        return (threshold(mask, value),)


class MaskPreview:
    """A mask as PNG files in the folder for temporary files."""

    CATEGORY = "mask"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "mask": ("MASK",),
            },
            "hidden": {
                "prompt": "PROMPT",
                "extra_pnginfo": "EXTRA_PNGINFO",
                "context": CONTEXT,
            },
        }

    def save(
        self,
        mask: Tensor,
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The names of the files, for the editor to show."""
        from graphengine_nodes.image.writing import save_images  # brings torch

        from .masks import mask_to_image

        # The random part keeps a picture that a page still shows from being taken for a later one.
        files = save_images(
            mask_to_image(mask),
            context.folders.temp,
            f"ComfyUI_temp_{token_hex(3)}",
            prompt=prompt,
            extra=extra_pnginfo,
            between=context.check_cancelled,
        )
        return {"ui": {"images": [{**file, "type": "temp"} for file in files]}}


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "SolidMask": SolidMask,
    "MaskToImage": MaskToImage,
    "ImageToMask": ImageToMask,
    "ImageColorToMask": ImageColorToMask,
    "InvertMask": InvertMask,
    "CropMask": CropMask,
    "MaskComposite": MaskComposite,
    "FeatherMask": FeatherMask,
    "GrowMask": GrowMask,
    "ThresholdMask": ThresholdMask,
    "MaskPreview": MaskPreview,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "SolidMask": "SolidMask",
    "MaskToImage": "Convert Mask to Image",
    "ImageToMask": "Convert Image to Mask",
    "ImageColorToMask": "ImageColorToMask",
    "InvertMask": "InvertMask",
    "CropMask": "CropMask",
    "MaskComposite": "MaskComposite",
    "FeatherMask": "FeatherMask",
    "GrowMask": "GrowMask",
    "ThresholdMask": "ThresholdMask",
    "MaskPreview": "MaskPreview",
}
