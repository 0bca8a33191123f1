"""Nodes that mirror and turn latents, and operations on them: thin classes over `operations`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import Latent

    from .operations import LatentOperation

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class LatentFlip:
    """A mirrored latent."""

    CATEGORY = "latent/transform"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "flip"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "flip_method": (["x-axis: vertically", "y-axis: horizontally"],),
            },
        }

    def flip(self, samples: Latent, flip_method: str) -> tuple[Latent]:
        """LATENT upside down, or left to right."""
        from graphengine_nodes.image.transforms import flip  # brings torch

        from .batches import with_samples

        return (with_samples(samples, flip(samples["samples"], flip_method, -2, -1)),)


class LatentRotate:
    """A latent turned clockwise."""

    CATEGORY = "latent/transform"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "rotate"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "rotation": (["none", "90 degrees", "180 degrees", "270 degrees"],),
            },
        }

    def rotate(self, samples: Latent, rotation: str) -> tuple[Latent]:
        """LATENT; a quarter turn changes width and height over."""
        from graphengine_nodes.image.transforms import rotate  # brings torch

        from .batches import with_samples

        return (with_samples(samples, rotate(samples["samples"], rotation, -2, -1)),)


class LatentApplyOperation:
    """A latent after an operation."""

    CATEGORY = "latent/advanced/operations"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "apply"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "operation": ("LATENT_OPERATION",),
            },
        }

    def apply(self, samples: Latent, operation: LatentOperation) -> tuple[Latent]:
        """LATENT."""
        from .batches import with_samples  # brings torch

        return (with_samples(samples, operation(latent=samples["samples"])),)


class LatentOperationTonemapReinhard:
    """Makes strong places of a latent weaker."""

    CATEGORY = "latent/advanced/operations"
    RETURN_TYPES = ("LATENT_OPERATION",)
    FUNCTION = "make"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "multiplier": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.01}),
            },
        }

    def make(self, multiplier: float) -> tuple[LatentOperation]:
        """LATENT_OPERATION, see `Tonemap`."""
        from .operations import Tonemap  # brings torch

        return (Tonemap(multiplier),)


class LatentOperationSharpen:
    """Sharpens a latent."""

    CATEGORY = "latent/advanced/operations"
    RETURN_TYPES = ("LATENT_OPERATION",)
    FUNCTION = "make"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "sharpen_radius": ("INT", {"default": 9, "min": 1, "max": 31, "step": 1}),
                "sigma": ("FLOAT", {"default": 1.0, "min": 0.1, "max": 10.0, "step": 0.1}),
                "alpha": ("FLOAT", {"default": 0.1, "min": 0.0, "max": 5.0, "step": 0.01}),
            },
        }

    def make(self, sharpen_radius: int, sigma: float, alpha: float) -> tuple[LatentOperation]:
        """LATENT_OPERATION, see `Sharpen`."""
        from .operations import Sharpen  # brings torch

        return (Sharpen(sharpen_radius, sigma, alpha),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LatentFlip": LatentFlip,
    "LatentRotate": LatentRotate,
    "LatentApplyOperation": LatentApplyOperation,
    "LatentOperationTonemapReinhard": LatentOperationTonemapReinhard,
    "LatentOperationSharpen": LatentOperationSharpen,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "LatentFlip": "Flip Latent",
    "LatentRotate": "Rotate Latent",
    "LatentApplyOperation": "LatentApplyOperation",
    "LatentOperationTonemapReinhard": "LatentOperationTonemapReinhard",
    "LatentOperationSharpen": "LatentOperationSharpen",
}
