"""Nodes that change colours: thin classes over `colours`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class ImageInvert:
    """The negative of pictures."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "invert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
            },
        }

    def invert(self, image: Tensor) -> tuple[Tensor]:
        """IMAGE with 1 - value."""
        from .colours import invert  # brings torch

        return (invert(image),)


class ImageBlend:
    """Two pictures mixed."""

    CATEGORY = "image/postprocessing"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "blend"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image1": ("IMAGE",),
                "image2": ("IMAGE",),
                "blend_factor": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}),
                "blend_mode": (
                    "COMBO",
                    {
                        "multiselect": False,
                        "options": ["normal", "multiply", "screen", "overlay", "soft_light", "difference"],
                    },
                ),
            },
        }

    def blend(self, image1: Tensor, image2: Tensor, blend_factor: float, blend_mode: str) -> tuple[Tensor]:
        """IMAGE in the size of the first, see `blend`."""
        from .colours import blend  # brings torch

        return (blend(image1, image2, blend_factor, blend_mode),)


class ImageQuantize:
    """Pictures with few colours."""

    CATEGORY = "image/postprocessing"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "quantize"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "colors": ("INT", {"default": 256, "min": 1, "max": 256, "step": 1}),
                "dither": (
                    "COMBO",
                    {
                        "multiselect": False,
                        "options": ["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"],
                    },
                ),
            },
        }

    def quantize(self, image: Tensor, colors: int, dither: str) -> tuple[Tensor]:
        """IMAGE with at most so many colours in each picture."""
        from .colours import quantize  # brings torch

        return (quantize(image, colors, dither),)


class ImageAddNoise:
    """Pictures with noise."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "add_noise"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "seed": (
                    "INT",
                    {"default": 0, "min": 0, "max": 18446744073709551615, "control_after_generate": True},
                ),
                "strength": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}),
            },
        }

    def add_noise(self, image: Tensor, seed: int, strength: float) -> tuple[Tensor]:
        """IMAGE plus strength * noise, in 0..1."""
        from .colours import with_noise  # brings torch

        return (with_noise(image, seed, strength),)


class ImageRGBToYUV:
    """Brightness and colour of pictures."""

    CATEGORY = "image/batch"
    RETURN_TYPES = ("IMAGE", "IMAGE", "IMAGE")
    RETURN_NAMES = ("Y", "U", "V")
    FUNCTION = "split"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
            },
        }

    def split(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three grey IMAGEs: brightness, blueness, redness."""
        from .colours import to_yuv  # brings torch

        return to_yuv(image)


class ImageYUVToRGB:
    """Pictures of their brightness and colour."""

    GRAPHENGINE_CHECKS_OFF: ClassVar[dict[str, str]] = {
        "out_of_range": "not every Y, U and V is a colour, as in ComfyUI"
    }
    CATEGORY = "image/batch"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "join"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "Y": ("IMAGE",),
                "U": ("IMAGE",),
                "V": ("IMAGE",),
            },
        }

    def join(self, Y: Tensor, U: Tensor, V: Tensor) -> tuple[Tensor]:
        """IMAGE (B, H, W, 3)."""
        from .colours import from_yuv  # brings torch

        return (from_yuv(Y, U, V),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ImageInvert": ImageInvert,
    "ImageBlend": ImageBlend,
    "ImageQuantize": ImageQuantize,
    "ImageAddNoise": ImageAddNoise,
    "ImageRGBToYUV": ImageRGBToYUV,
    "ImageYUVToRGB": ImageYUVToRGB,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ImageInvert": "Invert Image",
    "ImageBlend": "ImageBlend",
    "ImageQuantize": "ImageQuantize",
    "ImageAddNoise": "ImageAddNoise",
    "ImageRGBToYUV": "ImageRGBToYUV",
    "ImageYUVToRGB": "ImageYUVToRGB",
}
