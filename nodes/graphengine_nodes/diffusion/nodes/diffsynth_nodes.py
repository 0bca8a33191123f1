"""Nodes that patch a MODEL with networks of their own files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.control.diffsynth import ModelPatch
    from graphengine_nodes.diffusion.model.model import DiffusionModel
    from graphengine_nodes.diffusion.vae.autoencoder import VAE

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class ModelPatchLoader:
    """A patch of a model, from a file in the folder "model_patches"."""

    CATEGORY = "advanced/loaders"
    RETURN_TYPES = ("MODEL_PATCH",)
    FUNCTION = "load_model_patch"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"name": (Files("model_patches"),)}, "hidden": {"context": CONTEXT}}

    def load_model_patch(self, name: str, context: NodeContext) -> tuple[ModelPatch]:
        """MODEL_PATCH of the file."""
        from graphengine_nodes.diffusion.control.diffsynth import load_model_patch
        from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint  # brings torch

        return (load_model_patch(open_checkpoint(context.folders.path("model_patches", name)), context.device),)


class QwenImageDiffsynthControlnet:
    """A picture that steers Qwen-Image."""

    CATEGORY = "advanced/loaders/qwen"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "diffsynth_controlnet"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        strength = ("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01})
        required = {"model": ("MODEL",), "model_patch": ("MODEL_PATCH",), "vae": ("VAE",), "image": ("IMAGE",)}
        return {"required": {**required, "strength": strength}, "optional": {"mask": ("MASK",)}}

    def diffsynth_controlnet(
        self,
        model: DiffusionModel,
        model_patch: ModelPatch,
        vae: VAE | None,
        image: Tensor,
        strength: float,
        mask: Tensor | None = None,
    ) -> tuple[DiffusionModel]:
        """MODEL that is steered; the mask is 1 where the picture is painted anew."""
        from graphengine_nodes.diffusion.control.diffsynth import steered  # brings torch
        from graphengine_nodes.diffusion.vae.vae import require_vae

        return (steered(model, model_patch, require_vae(vae), image, strength, mask),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ModelPatchLoader": ModelPatchLoader,
    "QwenImageDiffsynthControlnet": QwenImageDiffsynthControlnet,
}
