"""The nodes that apply LoRAs and hypernetworks; thin classes over `lora` and `hypernetworks`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import DiffusionModel
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


def _strength() -> tuple[str, dict[str, float]]:
    return ("FLOAT", {"default": 1.0, "min": -100.0, "max": 100.0, "step": 0.01})


class LoraLoader:
    """Changes a diffusion model and its text encoder by a LoRA; several can follow each other."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("MODEL", "CLIP")
    FUNCTION = "load_lora"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "clip": ("CLIP", {}),
                "lora_name": (Files("loras"), {}),
                "strength_model": _strength(),
                "strength_clip": _strength(),
            },
            "hidden": {"context": CONTEXT},
        }

    def load_lora(
        self,
        model: DiffusionModel | None,
        clip: TextEncoder | None,
        lora_name: str,
        strength_model: float,
        strength_clip: float,
        context: NodeContext,
    ) -> tuple[DiffusionModel | None, TextEncoder | None]:
        """MODEL and CLIP with the changes; what is None stays None."""
        from graphengine_nodes.diffusion.lora.lora import apply_lora, load_lora  # brings torch

        if strength_model == strength_clip == 0:
            return model, clip
        file = load_lora(context.folders.path("loras", lora_name))
        return apply_lora(file, model, clip, strength_model, strength_clip)


class LoraLoaderModelOnly:
    """Changes a diffusion model by a LoRA and leaves the text encoder as it is."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "load_lora_model_only"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"model": ("MODEL",), "lora_name": (Files("loras"),), "strength_model": _strength()},
            "hidden": {"context": CONTEXT},
        }

    def load_lora_model_only(
        self, model: DiffusionModel, lora_name: str, strength_model: float, context: NodeContext
    ) -> tuple[DiffusionModel | None]:
        """The MODEL with the changes."""
        return (LoraLoader().load_lora(model, None, lora_name, strength_model, 0.0, context)[0],)


class LoraModelLoader:
    """Changes a diffusion model by a LoRA that a node gives."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "load_lora_model"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "lora": ("LORA_MODEL", {}),
                "strength_model": _strength(),
            }
        }

    def load_lora_model(
        self, model: DiffusionModel, lora: Mapping[str, Tensor], strength_model: float
    ) -> tuple[DiffusionModel | None]:
        """The MODEL with the changes; lora holds tensors under the names of a LoRA file."""
        from graphengine_nodes.diffusion.lora.formats import read_adapters
        from graphengine_nodes.diffusion.lora.lora import apply_lora  # brings torch

        return (apply_lora(read_adapters("the input 'lora'", lora), model, None, strength_model, 0.0)[0],)


class HypernetworkLoader:
    """Changes what the attentions of a diffusion model see, by a hypernetwork."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "load_hypernetwork"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "hypernetwork_name": (Files("hypernetworks"),),
                "strength": ("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01}),
            },
            "hidden": {"context": CONTEXT},
        }

    def load_hypernetwork(
        self, model: DiffusionModel, hypernetwork_name: str, strength: float, context: NodeContext
    ) -> tuple[DiffusionModel]:
        """The MODEL with the hypernetwork."""
        from graphengine_nodes.diffusion.unet.hypernetworks import apply_hypernetwork  # brings torch

        path = context.folders.path("hypernetworks", hypernetwork_name)
        return (apply_hypernetwork(model, path, strength),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LoraLoader": LoraLoader,
    "LoraLoaderModelOnly": LoraLoaderModelOnly,
    "LoraModelLoader": LoraModelLoader,
    "HypernetworkLoader": HypernetworkLoader,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "LoraLoader": "Load LoRA",
    "LoraLoaderModelOnly": "LoraLoaderModelOnly",
    "LoraModelLoader": "Load LoRA Model",
    "HypernetworkLoader": "HypernetworkLoader",
}
