"""The latent nodes: thin classes over `latents`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Latent

# Any throughout: INPUT_TYPES and the node's message to the editor are ComfyUI's open-ended forms.

_LATENT_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]


class EmptyLatentImage:
    """A latent of zeros, the start of text to image."""

    CATEGORY = "latent"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        size = ("INT", {"default": 512, "min": 16, "max": 16384, "step": 8})
        return {
            "required": {
                "width": size,
                "height": size,
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def make(self, width: int, height: int, batch_size: int = 1) -> tuple[Latent]:
        """LATENT (batch_size, 4, height / 8, width / 8)."""
        from graphengine_nodes.diffusion.conditioning.latents import empty_latent  # brings torch

        return (empty_latent(width, height, batch_size),)


class LatentUpscale:
    """A latent for another size of picture."""

    CATEGORY = "latent"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "scale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        size = ("INT", {"default": 512, "min": 0, "max": 16384, "step": 8})
        return {
            "required": {
                "samples": ("LATENT",),
                "upscale_method": (_LATENT_METHODS,),
                "width": size,
                "height": size,
                "crop": (["disabled", "center"],),
            },
        }

    def scale(self, samples: Latent, upscale_method: str, width: int, height: int, crop: str) -> tuple[Latent]:
        """LATENT for a picture of width by height pixels; 0 follows from the other one."""
        from graphengine_nodes.diffusion.conditioning.latents import scale_latent  # brings torch

        return (scale_latent(samples, upscale_method, width, height, crop),)


class LatentUpscaleBy:
    """A latent larger or smaller by a factor."""

    CATEGORY = "latent"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "scale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "upscale_method": (_LATENT_METHODS,),
                "scale_by": ("FLOAT", {"default": 1.5, "min": 0.01, "max": 8.0, "step": 0.01}),
            },
        }

    def scale(self, samples: Latent, upscale_method: str, scale_by: float) -> tuple[Latent]:
        """LATENT with its height and width times the factor, rounded."""
        from graphengine_nodes.diffusion.conditioning.latents import scale_latent_by  # brings torch

        return (scale_latent_by(samples, upscale_method, scale_by),)


class SetLatentNoiseMask:
    """A latent of which only the masked part is sampled anew."""

    CATEGORY = "latent/inpaint"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "set_mask"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"samples": ("LATENT",), "mask": ("MASK",)}}

    def set_mask(self, samples: Latent, mask: Tensor) -> tuple[Latent]:
        """LATENT with the mask."""
        from graphengine_nodes.diffusion.conditioning.latents import with_noise_mask  # brings torch

        return (with_noise_mask(samples, mask),)


class SaveLatent:
    """A latent as a file in the output folder, with the workflow inside."""

    CATEGORY = "_for_testing"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "filename_prefix": ("STRING", {"default": "latents/ComfyUI"}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "context": CONTEXT},
        }

    def save(
        self,
        samples: Latent,
        filename_prefix: str,
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The name of the file, for the editor to show."""
        from graphengine_nodes.diffusion.conditioning.latents import save_latent  # brings torch

        file = save_latent(samples, context.folders.output, filename_prefix, prompt=prompt, extra=extra_pnginfo)
        return {"ui": {"latents": [{**file, "type": "output"}]}}


class LoadLatent:
    """A latent from a file in the input folder."""

    CATEGORY = "_for_testing"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"latent": (Files("input", (".latent",)),)}, "hidden": {"context": CONTEXT}}

    def load(self, latent: str, context: NodeContext) -> tuple[Latent]:
        """LATENT as it was saved."""
        from graphengine_nodes.diffusion.conditioning.latents import read_latent  # brings torch

        return (read_latent(context.folders.path("input", latent), latent),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "EmptyLatentImage": EmptyLatentImage,
    "LatentUpscale": LatentUpscale,
    "LatentUpscaleBy": LatentUpscaleBy,
    "SetLatentNoiseMask": SetLatentNoiseMask,
    "SaveLatent": SaveLatent,
    "LoadLatent": LoadLatent,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "EmptyLatentImage": "Empty Latent Image",
    "LatentUpscale": "Upscale Latent",
    "LatentUpscaleBy": "Upscale Latent By",
    "SetLatentNoiseMask": "Set Latent Noise Mask",
    "SaveLatent": "SaveLatent",
    "LoadLatent": "LoadLatent",
}
