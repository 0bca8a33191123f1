"""Nodes that cut, turn, scale, pad and join pictures: thin classes over `transforms` and `scaling`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class ImageCrop:
    """A part of pictures."""

    CATEGORY = "image/transform"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "crop"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "width": ("INT", {"default": 512, "min": 1, "max": 16384, "step": 1}),
                "height": ("INT", {"default": 512, "min": 1, "max": 16384, "step": 1}),
                "x": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
                "y": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
            },
        }

    def crop(self, image: Tensor, width: int, height: int, x: int, y: int) -> tuple[Tensor]:
        """IMAGE (B, up to height, up to width, C)."""
        from .transforms import crop_images  # brings torch

        return (crop_images(image, width, height, x, y),)


class ImageFlip:
    """Mirrored pictures."""

    CATEGORY = "image/transform"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "flip"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "flip_method": (["x-axis: vertically", "y-axis: horizontally"],),
            },
        }

    def flip(self, image: Tensor, flip_method: str) -> tuple[Tensor]:
        """IMAGE upside down, or left to right."""
        from .transforms import flip  # brings torch

        return (flip(image, flip_method, 1, 2),)


class ImageRotate:
    """Pictures turned clockwise."""

    CATEGORY = "image/transform"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "rotate"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "rotation": (["none", "90 degrees", "180 degrees", "270 degrees"],),
            },
        }

    def rotate(self, image: Tensor, rotation: str) -> tuple[Tensor]:
        """IMAGE; a quarter turn changes width and height over."""
        from .transforms import rotate  # brings torch

        return (rotate(image, rotation, 1, 2),)


class ImagePadForOutpaint:
    """Pictures with grey around them, and a mask of what is to be painted."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "pad"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "left": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8}),
                "top": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8}),
                "right": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8}),
                "bottom": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8}),
                "feathering": ("INT", {"default": 40, "min": 0, "max": 16384, "step": 1}),
            },
        }

    def pad(
        self, image: Tensor, left: int, top: int, right: int, bottom: int, feathering: int
    ) -> tuple[Tensor, Tensor]:
        """IMAGE and MASK, see `pad_for_outpaint`."""
        from .transforms import pad_for_outpaint  # brings torch

        return pad_for_outpaint(image, left, top, right, bottom, feathering)


class ImageStitch:
    """Two pictures side by side."""

    CATEGORY = "image/transform"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "stitch"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image1": ("IMAGE",),
                "direction": (["right", "down", "left", "up"], {"default": "right"}),
                "match_image_size": ("BOOLEAN", {"default": True}),
                "spacing_width": ("INT", {"default": 0, "min": 0, "max": 1024, "step": 2}),
                "spacing_color": (["white", "black", "red", "green", "blue"], {"default": "white"}),
            },
            "optional": {
                "image2": ("IMAGE",),
            },
        }

    def stitch(
        self,
        image1: Tensor,
        direction: str,
        match_image_size: bool,
        spacing_width: int,
        spacing_color: str,
        image2: Tensor | None = None,
    ) -> tuple[Tensor]:
        """IMAGE with both, see `stitch`."""
        from .transforms import stitch  # brings torch

        return (
            stitch(
                image1,
                image2,
                direction,
                match_size=match_image_size,
                spacing=spacing_width,
                spacing_color=spacing_color,
            ),
        )


class ResizeAndPadImage:
    """Pictures as large as they fit into a size, with borders."""

    CATEGORY = "image/transform"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "resize"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "target_width": ("INT", {"default": 512, "min": 1, "max": 16384, "step": 1}),
                "target_height": ("INT", {"default": 512, "min": 1, "max": 16384, "step": 1}),
                "padding_color": (["white", "black"],),
                "interpolation": (["area", "bicubic", "nearest-exact", "bilinear", "lanczos"],),
            },
        }

    def resize(
        self, image: Tensor, target_width: int, target_height: int, padding_color: str, interpolation: str
    ) -> tuple[Tensor]:
        """IMAGE (B, target_height, target_width, C)."""
        from .transforms import resize_and_pad  # brings torch

        return (resize_and_pad(image, target_width, target_height, padding_color, interpolation),)


class ImageScaleToTotalPixels:
    """Pictures in the same proportions with another number of pixels."""

    CATEGORY = "image/upscaling"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "scale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": (
                    "COMBO",
                    {"multiselect": False, "options": ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]},
                ),
                "megapixels": ("FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01}),
            },
        }

    def scale(self, image: Tensor, upscale_method: str, megapixels: float) -> tuple[Tensor]:
        """IMAGE with about megapixels * 1024 * 1024 pixels."""
        from .scaling import scale_images_to_pixels  # brings torch

        return (scale_images_to_pixels(image, upscale_method, megapixels),)


class ImageScaleToMaxDimension:
    """Pictures in the same proportions with another longer side."""

    GRAPHENGINE_CHECKS_OFF: ClassVar[dict[str, str]] = {"input_types": "ComfyUI lists bilinear twice"}
    CATEGORY = "image/upscaling"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "scale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": (["area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic"],),
                "largest_size": ("INT", {"default": 512, "min": 0, "max": 16384, "step": 1}),
            },
        }

    def scale(self, image: Tensor, upscale_method: str, largest_size: int) -> tuple[Tensor]:
        """IMAGE whose longer side has largest_size pixels."""
        from .scaling import scale_images_to_longer_side  # brings torch

        return (scale_images_to_longer_side(image, upscale_method, largest_size),)


class FluxKontextImageScale:
    """Pictures in the size that suits Flux.1 Kontext."""

    CATEGORY = "advanced/conditioning/flux"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "scale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"image": ("IMAGE",)}}

    def scale(self, image: Tensor) -> tuple[Tensor]:
        """IMAGE, see `scale_images_for_kontext`."""
        from .scaling import scale_images_for_kontext  # brings torch

        return (scale_images_for_kontext(image),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ImageCrop": ImageCrop,
    "ImageFlip": ImageFlip,
    "ImageRotate": ImageRotate,
    "ImagePadForOutpaint": ImagePadForOutpaint,
    "ImageStitch": ImageStitch,
    "ResizeAndPadImage": ResizeAndPadImage,
    "ImageScaleToTotalPixels": ImageScaleToTotalPixels,
    "ImageScaleToMaxDimension": ImageScaleToMaxDimension,
    "FluxKontextImageScale": FluxKontextImageScale,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ImageCrop": "Image Crop",
    "ImageFlip": "ImageFlip",
    "ImageRotate": "ImageRotate",
    "ImagePadForOutpaint": "Pad Image for Outpainting",
    "ImageStitch": "Image Stitch",
    "ResizeAndPadImage": "ResizeAndPadImage",
    "ImageScaleToTotalPixels": "ImageScaleToTotalPixels",
    "ImageScaleToMaxDimension": "ImageScaleToMaxDimension",
    "FluxKontextImageScale": "FluxKontextImageScale",
}
