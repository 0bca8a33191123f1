"""Nodes that filter pictures: thin classes over `filters`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class ImageBlur:
    """Blurred pictures."""

    CATEGORY = "image/postprocessing"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "blur"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "blur_radius": ("INT", {"default": 1, "min": 1, "max": 31, "step": 1}),
                "sigma": ("FLOAT", {"default": 1.0, "min": 0.1, "max": 10.0, "step": 0.1}),
            },
        }

    def blur(self, image: Tensor, blur_radius: int, sigma: float) -> tuple[Tensor]:
        """IMAGE (B, H, W, C)."""
        from .filters import blur_images  # brings torch

        return (blur_images(image, blur_radius, sigma),)


class ImageSharpen:
    """Sharpened pictures."""

    CATEGORY = "image/postprocessing"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "sharpen"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "sharpen_radius": ("INT", {"default": 1, "min": 1, "max": 31, "step": 1}),
                "sigma": ("FLOAT", {"default": 1.0, "min": 0.1, "max": 10.0, "step": 0.01}),
                "alpha": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 5.0, "step": 0.01}),
            },
        }

    def sharpen(self, image: Tensor, sharpen_radius: int, sigma: float, alpha: float) -> tuple[Tensor]:
        """IMAGE (B, H, W, C)."""
        from .filters import sharpen_images  # brings torch

        return (sharpen_images(image, sharpen_radius, sigma, alpha),)


class Morphology:
    """Pictures whose bright parts grow or shrink."""

    CATEGORY = "image/postprocessing"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "apply"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "operation": (
                    "COMBO",
                    {
                        "multiselect": False,
                        "options": ["erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat"],
                    },
                ),
                "kernel_size": ("INT", {"default": 3, "min": 3, "max": 999, "step": 1}),
            },
        }

    def apply(self, image: Tensor, operation: str, kernel_size: int) -> tuple[Tensor]:
        """IMAGE (B, H, W, C)."""
        from .filters import morphology  # brings torch

        return (morphology(image, operation, kernel_size),)


class Canny:
    """The edges of pictures."""

    CATEGORY = "image/preprocessors"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "detect"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "low_threshold": ("FLOAT", {"default": 0.4, "min": 0.01, "max": 0.99, "step": 0.01}),
                "high_threshold": ("FLOAT", {"default": 0.8, "min": 0.01, "max": 0.99, "step": 0.01}),
            },
        }

    def detect(self, image: Tensor, low_threshold: float, high_threshold: float) -> tuple[Tensor]:
        """IMAGE (B, H, W, 3), 1 at the edges and 0 elsewhere."""
        from .filters import canny  # brings torch

        return (canny(image, low_threshold, high_threshold),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ImageBlur": ImageBlur,
    "ImageSharpen": ImageSharpen,
    "Morphology": Morphology,
    "Canny": Canny,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ImageBlur": "ImageBlur",
    "ImageSharpen": "ImageSharpen",
    "Morphology": "ImageMorphology",
    "Canny": "Canny",
}
