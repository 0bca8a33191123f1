"""The nodes of upscaling models: thin classes over `upscale`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.upscaling.upscale import UpscaleModel

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class UpscaleModelLoader:
    """Loads a network that enlarges pictures."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("UPSCALE_MODEL",)
    FUNCTION = "load_model"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model_name": (Files("upscale_models"),)}, "hidden": {"context": CONTEXT}}

    def load_model(self, model_name: str, context: NodeContext) -> tuple[UpscaleModel]:
        """The model."""
        from graphengine_nodes.diffusion.upscaling.upscale import load_upscale_model  # brings torch

        return (load_upscale_model(context.folders.path("upscale_models", model_name)),)


class ImageUpscaleWithModel:
    """Enlarges pictures with a network."""

    CATEGORY = "image/upscaling"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"upscale_model": ("UPSCALE_MODEL",), "image": ("IMAGE",)},
            "hidden": {"context": CONTEXT},
        }

    def upscale(
        self, upscale_model: UpscaleModel, image: Tensor, context: NodeContext | None = None
    ) -> tuple[Tensor]:
        """Pictures larger by the model's factor."""
        from graphengine_nodes.diffusion.upscaling.upscale import upscale_pictures  # brings torch

        context = context or NodeContext()
        return (upscale_pictures(upscale_model, image, context.device, context.progress),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "UpscaleModelLoader": UpscaleModelLoader,
    "ImageUpscaleWithModel": ImageUpscaleWithModel,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "UpscaleModelLoader": "Load Upscale Model",
    "ImageUpscaleWithModel": "Upscale Image (using Model)",
}
