"""Nodes that calculate with latents, mix and cut them: thin classes over `mixing`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Latent

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class LatentAdd:
    """The sum of two latents."""

    CATEGORY = "latent/advanced"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "add"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples1": ("LATENT",),
                "samples2": ("LATENT",),
            },
        }

    def add(self, samples1: Latent, samples2: Latent) -> tuple[Latent]:
        """LATENT."""
        from . import mixing  # brings torch

        return (mixing.add(samples1, samples2),)


class LatentSubtract:
    """The difference of two latents."""

    CATEGORY = "latent/advanced"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "subtract"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples1": ("LATENT",),
                "samples2": ("LATENT",),
            },
        }

    def subtract(self, samples1: Latent, samples2: Latent) -> tuple[Latent]:
        """LATENT."""
        from . import mixing  # brings torch

        return (mixing.subtract(samples1, samples2),)


class LatentMultiply:
    """A latent times a number."""

    CATEGORY = "latent/advanced"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "multiply"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "multiplier": ("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01}),
            },
        }

    def multiply(self, samples: Latent, multiplier: float) -> tuple[Latent]:
        """LATENT."""
        from . import mixing  # brings torch

        return (mixing.multiply(samples, multiplier),)


class LatentInterpolate:
    """A latent between two others."""

    CATEGORY = "latent/advanced"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "interpolate"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples1": ("LATENT",),
                "samples2": ("LATENT",),
                "ratio": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
            },
        }

    def interpolate(self, samples1: Latent, samples2: Latent, ratio: float) -> tuple[Latent]:
        """LATENT: the second for ratio 0, the first for 1."""
        from . import mixing  # brings torch

        return (mixing.interpolate(samples1, samples2, ratio),)


class LatentBlend:
    """Two latents mixed."""

    CATEGORY = "_for_testing"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "blend"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples1": ("LATENT",),
                "samples2": ("LATENT",),
                "blend_factor": ("FLOAT", {"default": 0.5, "min": 0, "max": 1, "step": 0.01}),
            },
        }

    def blend(self, samples1: Latent, samples2: Latent, blend_factor: float) -> tuple[Latent]:
        """LATENT: the second for blend_factor 0, the first for 1."""
        from . import mixing  # brings torch

        return (mixing.blend(samples1, samples2, blend_factor),)


class LatentComposite:
    """A latent on another one."""

    CATEGORY = "latent"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "composite"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples_to": ("LATENT",),
                "samples_from": ("LATENT",),
                "x": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8}),
                "y": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8}),
                "feather": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8}),
            },
        }

    def composite(self, samples_to: Latent, samples_from: Latent, x: int, y: int, feather: int) -> tuple[Latent]:
        """LATENT in the size of samples_to; all in pixels."""
        from . import mixing  # brings torch

        return (mixing.composite_latents(samples_to, samples_from, x, y, feather),)


class LatentCompositeMasked:
    """A latent on another one, where a mask says so."""

    CATEGORY = "latent"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "composite"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "destination": ("LATENT",),
                "source": ("LATENT",),
                "x": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8}),
                "y": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8}),
                "resize_source": ("BOOLEAN", {"default": False}),
            },
            "optional": {
                "mask": ("MASK",),
            },
        }

    def composite(
        self, destination: Latent, source: Latent, x: int, y: int, resize_source: bool, mask: Tensor | None = None
    ) -> tuple[Latent]:
        """LATENT in the size of the destination."""
        from . import mixing  # brings torch

        changed = mixing.composite_masked(destination, source, x, y, mask, resize_source=resize_source)
        return (changed,)


class LatentConcat:
    """Two latents side by side, or one after the other."""

    CATEGORY = "latent/advanced"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "join"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples1": ("LATENT",),
                "samples2": ("LATENT",),
                "dim": ("COMBO", {"multiselect": False, "options": ["x", "-x", "y", "-y", "t", "-t"]}),
            },
        }

    def join(self, samples1: Latent, samples2: Latent, dim: str) -> tuple[Latent]:
        """LATENT."""
        from . import mixing  # brings torch

        return (mixing.concatenate(samples1, samples2, dim),)


class LatentCut:
    """A part of a latent along one axis."""

    CATEGORY = "latent/advanced"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "cut"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "dim": ("COMBO", {"multiselect": False, "options": ["x", "y", "t"]}),
                "index": ("INT", {"default": 0, "min": -16384, "max": 16384, "step": 1}),
                "amount": ("INT", {"default": 1, "min": 1, "max": 16384, "step": 1}),
            },
        }

    def cut(self, samples: Latent, dim: str, index: int, amount: int) -> tuple[Latent]:
        """LATENT."""
        from . import mixing  # brings torch

        return (mixing.cut(samples, dim, index, amount),)


class LatentCrop:
    """A part of a latent."""

    CATEGORY = "latent/transform"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "crop"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "width": ("INT", {"default": 512, "min": 64, "max": 16384, "step": 8}),
                "height": ("INT", {"default": 512, "min": 64, "max": 16384, "step": 8}),
                "x": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8}),
                "y": ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8}),
            },
        }

    def crop(self, samples: Latent, width: int, height: int, x: int, y: int) -> tuple[Latent]:
        """LATENT of width by height pixels."""
        from . import mixing  # brings torch

        return (mixing.crop(samples, width, height, x, y),)


class TrimVideoLatent:
    """A video latent without its start."""

    CATEGORY = "latent/video"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "trim"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "trim_amount": ("INT", {"default": 0, "min": 0, "max": 99999}),
            },
        }

    def trim(self, samples: Latent, trim_amount: int) -> tuple[Latent]:
        """LATENT (B, C, T - trim_amount, H, W)."""
        from . import mixing  # brings torch

        return (mixing.trim_start(samples, trim_amount),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LatentAdd": LatentAdd,
    "LatentSubtract": LatentSubtract,
    "LatentMultiply": LatentMultiply,
    "LatentInterpolate": LatentInterpolate,
    "LatentBlend": LatentBlend,
    "LatentComposite": LatentComposite,
    "LatentCompositeMasked": LatentCompositeMasked,
    "LatentConcat": LatentConcat,
    "LatentCut": LatentCut,
    "LatentCrop": LatentCrop,
    "TrimVideoLatent": TrimVideoLatent,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "LatentAdd": "LatentAdd",
    "LatentSubtract": "LatentSubtract",
    "LatentMultiply": "LatentMultiply",
    "LatentInterpolate": "LatentInterpolate",
    "LatentBlend": "Latent Blend",
    "LatentComposite": "Latent Composite",
    "LatentCompositeMasked": "LatentCompositeMasked",
    "LatentConcat": "LatentConcat",
    "LatentCut": "LatentCut",
    "LatentCrop": "Crop Latent",
    "TrimVideoLatent": "TrimVideoLatent",
}
