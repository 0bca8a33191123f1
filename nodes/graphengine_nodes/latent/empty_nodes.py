"""Nodes that make empty latents: thin classes over `empty`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import Latent

    from .empty import TypedLatent

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class EmptySD3LatentImage:
    """The start of a picture of SD3, Flux and others with 16 channels."""

    CATEGORY = "latent/sd3"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "width": ("INT", {"default": 1024, "min": 16, "max": 16384, "step": 16}),
                "height": ("INT", {"default": 1024, "min": 16, "max": 16384, "step": 16}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, width: int, height: int, batch_size: int) -> tuple[Latent]:
        """LATENT (batch_size, 16, height / 8, width / 8)."""
        from .empty import empty_picture  # brings torch

        return (empty_picture(width, height, batch_size),)


class EmptyHunyuanImageLatent:
    """The start of a picture of HunyuanImage."""

    CATEGORY = "latent"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "width": ("INT", {"default": 2048, "min": 64, "max": 16384, "step": 32}),
                "height": ("INT", {"default": 2048, "min": 64, "max": 16384, "step": 32}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, width: int, height: int, batch_size: int) -> tuple[Latent]:
        """LATENT (batch_size, 64, height / 32, width / 32)."""
        from .empty import empty_picture  # brings torch

        return (empty_picture(width, height, batch_size, channels=64, pixels=32),)


class EmptyChromaRadianceLatentImage:
    """The start of a picture of Chroma Radiance, which works on pixels."""

    CATEGORY = "latent/chroma_radiance"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "width": ("INT", {"default": 1024, "min": 16, "max": 16384, "step": 16}),
                "height": ("INT", {"default": 1024, "min": 16, "max": 16384, "step": 16}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, width: int, height: int, batch_size: int) -> tuple[Latent]:
        """LATENT (batch_size, 3, height, width)."""
        from .empty import empty_picture  # brings torch

        return (empty_picture(width, height, batch_size, channels=3, pixels=1),)


class EmptyFlux2LatentImage:
    """The start of a picture of Flux.2."""

    CATEGORY = "latent"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        size = ("INT", {"default": 1024, "min": 16, "max": 16384, "step": 16})
        return {
            "required": {
                "width": size,
                "height": size,
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, width: int, height: int, batch_size: int = 1) -> tuple[Latent]:
        """LATENT (batch_size, 128, height / 16, width / 16)."""
        from .empty import empty_picture  # brings torch

        return (empty_picture(width, height, batch_size, channels=128, pixels=16),)


class EmptyHunyuanVideo15Latent:
    """The start of a video of HunyuanVideo 1.5."""

    CATEGORY = "latent/video"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "width": ("INT", {"default": 848, "min": 16, "max": 16384, "step": 16}),
                "height": ("INT", {"default": 480, "min": 16, "max": 16384, "step": 16}),
                "length": ("INT", {"default": 25, "min": 1, "max": 16384, "step": 4}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, width: int, height: int, length: int, batch_size: int = 1) -> tuple[Latent]:
        """LATENT (batch_size, 32, (length - 1) / 4 + 1, height / 16, width / 16)."""
        from .empty import empty_video  # brings torch

        return (empty_video(width, height, length, batch_size, frames=4, channels=32, pixels=16),)


class StableCascade_EmptyLatentImage:
    """The start of a picture of Stable Cascade."""

    CATEGORY = "latent/stable_cascade"
    RETURN_TYPES = ("LATENT", "LATENT")
    RETURN_NAMES = ("stage_c", "stage_b")
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "width": ("INT", {"default": 1024, "min": 256, "max": 16384, "step": 8}),
                "height": ("INT", {"default": 1024, "min": 256, "max": 16384, "step": 8}),
                "compression": ("INT", {"default": 42, "min": 4, "max": 128, "step": 1}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, width: int, height: int, compression: int, batch_size: int) -> tuple[Latent, Latent]:
        """LATENTs for stage C and stage B, see `empty_cascade`."""
        from .empty import empty_cascade  # brings torch

        return empty_cascade(width, height, compression, batch_size)


class EmptyHunyuanLatentVideo:
    """The start of a video of HunyuanVideo, Wan and others with the same layout."""

    CATEGORY = "latent/video"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "width": ("INT", {"default": 848, "min": 16, "max": 16384, "step": 16}),
                "height": ("INT", {"default": 480, "min": 16, "max": 16384, "step": 16}),
                "length": ("INT", {"default": 25, "min": 1, "max": 16384, "step": 4}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, width: int, height: int, length: int, batch_size: int) -> tuple[Latent]:
        """LATENT (batch_size, 16, (length - 1) / 4 + 1, height / 8, width / 8)."""
        from .empty import empty_video  # brings torch

        return (empty_video(width, height, length, batch_size, frames=4),)


class EmptyMochiLatentVideo:
    """The start of a video of Mochi."""

    CATEGORY = "latent/video"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "width": ("INT", {"default": 848, "min": 16, "max": 16384, "step": 16}),
                "height": ("INT", {"default": 480, "min": 16, "max": 16384, "step": 16}),
                "length": ("INT", {"default": 25, "min": 7, "max": 16384, "step": 6}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, width: int, height: int, length: int, batch_size: int) -> tuple[Latent]:
        """LATENT (batch_size, 12, (length - 1) / 6 + 1, height / 8, width / 8)."""
        from .empty import empty_video  # brings torch

        return (empty_video(width, height, length, batch_size, frames=6, channels=12),)


class EmptyCosmosLatentVideo:
    """The start of a video of Cosmos."""

    CATEGORY = "latent/video"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "width": ("INT", {"default": 1280, "min": 16, "max": 16384, "step": 16}),
                "height": ("INT", {"default": 704, "min": 16, "max": 16384, "step": 16}),
                "length": ("INT", {"default": 121, "min": 1, "max": 16384, "step": 8}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, width: int, height: int, length: int, batch_size: int) -> tuple[Latent]:
        """LATENT (batch_size, 16, (length - 1) / 8 + 1, height / 8, width / 8)."""
        from .empty import empty_video  # brings torch

        return (empty_video(width, height, length, batch_size, frames=8),)


class EmptyLTXVLatentVideo:
    """The start of a video of LTX-Video."""

    CATEGORY = "latent/video/ltxv"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "width": ("INT", {"default": 768, "min": 64, "max": 16384, "step": 32}),
                "height": ("INT", {"default": 512, "min": 64, "max": 16384, "step": 32}),
                "length": ("INT", {"default": 97, "min": 1, "max": 16384, "step": 8}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, width: int, height: int, length: int, batch_size: int) -> tuple[Latent]:
        """LATENT (batch_size, 128, (length - 1) / 8 + 1, height / 32, width / 32)."""
        from .empty import empty_video  # brings torch

        return (empty_video(width, height, length, batch_size, frames=8, channels=128, pixels=32),)


class EmptyLatentHunyuan3Dv2:
    """The start of a shape of Hunyuan3D 2."""

    CATEGORY = "latent/3d"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "resolution": ("INT", {"default": 3072, "min": 1, "max": 8192}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, resolution: int, batch_size: int) -> tuple[TypedLatent]:
        """LATENT (batch_size, 64, resolution)."""
        from .empty import empty_shape  # brings torch

        return (empty_shape(resolution, batch_size),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "EmptyFlux2LatentImage": EmptyFlux2LatentImage,
    "EmptyHunyuanVideo15Latent": EmptyHunyuanVideo15Latent,
    "EmptySD3LatentImage": EmptySD3LatentImage,
    "EmptyHunyuanImageLatent": EmptyHunyuanImageLatent,
    "EmptyChromaRadianceLatentImage": EmptyChromaRadianceLatentImage,
    "StableCascade_EmptyLatentImage": StableCascade_EmptyLatentImage,
    "EmptyHunyuanLatentVideo": EmptyHunyuanLatentVideo,
    "EmptyMochiLatentVideo": EmptyMochiLatentVideo,
    "EmptyCosmosLatentVideo": EmptyCosmosLatentVideo,
    "EmptyLTXVLatentVideo": EmptyLTXVLatentVideo,
    "EmptyLatentHunyuan3Dv2": EmptyLatentHunyuan3Dv2,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "EmptyFlux2LatentImage": "Empty Flux 2 Latent",
    "EmptyHunyuanVideo15Latent": "Empty HunyuanVideo 1.5 Latent",
    "EmptySD3LatentImage": "EmptySD3LatentImage",
    "EmptyHunyuanImageLatent": "EmptyHunyuanImageLatent",
    "EmptyChromaRadianceLatentImage": "EmptyChromaRadianceLatentImage",
    "StableCascade_EmptyLatentImage": "StableCascade_EmptyLatentImage",
    "EmptyHunyuanLatentVideo": "EmptyHunyuanLatentVideo",
    "EmptyMochiLatentVideo": "EmptyMochiLatentVideo",
    "EmptyCosmosLatentVideo": "EmptyCosmosLatentVideo",
    "EmptyLTXVLatentVideo": "EmptyLTXVLatentVideo",
    "EmptyLatentHunyuan3Dv2": "EmptyLatentHunyuan3Dv2",
}
