"""Nodes that make empty latents of sounds: thin classes over `empty`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .empty import TypedLatent

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class EmptyAceStepLatentAudio:
    """The start of a sound of ACE-Step."""

    CATEGORY = "latent/audio"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "seconds": ("FLOAT", {"default": 120.0, "min": 1.0, "max": 1000.0, "step": 0.1}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, seconds: float, batch_size: int) -> tuple[TypedLatent]:
        """LATENT (batch_size, 8, 16, T)."""
        from .empty import empty_ace_step_sound  # brings torch

        return (empty_ace_step_sound(seconds, batch_size),)


class EmptyLatentAudio:
    """The start of a sound of Stable Audio."""

    CATEGORY = "latent/audio"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "seconds": ("FLOAT", {"default": 47.6, "min": 1.0, "max": 1000.0, "step": 0.1}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, seconds: float, batch_size: int) -> tuple[TypedLatent]:
        """LATENT (batch_size, 64, T)."""
        from .empty import empty_stable_audio  # brings torch

        return (empty_stable_audio(seconds, batch_size),)


class EmptyAceStep15LatentAudio:
    """The start of a sound of ACE-Step 1.5."""

    CATEGORY = "latent/audio"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "seconds": ("FLOAT", {"default": 120.0, "min": 1.0, "max": 1000.0, "step": 0.01}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, seconds: float, batch_size: int) -> tuple[TypedLatent]:
        """LATENT (batch_size, 64, seconds * 25)."""
        from .empty import empty_ace_step_15_sound  # brings torch

        return (empty_ace_step_15_sound(seconds, batch_size),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "EmptyAceStepLatentAudio": EmptyAceStepLatentAudio,
    "EmptyLatentAudio": EmptyLatentAudio,
    "EmptyAceStep1.5LatentAudio": EmptyAceStep15LatentAudio,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "EmptyAceStepLatentAudio": "EmptyAceStepLatentAudio",
    "EmptyLatentAudio": "Empty Latent Audio",
    "EmptyAceStep1.5LatentAudio": "Empty Ace Step 1.5 Latent Audio",
}
