"""The nodes that change how a MODEL is run: its mask, its precision, its compilation.

What comes in is left as it is. Definitions are read without running anything, so this module imports no torch; the
functions it calls are imported where a node runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import DiffusionModel

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class _ModelNode:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    RESOURCES = ()
    EXPERIMENTAL = True


class DifferentialDiffusion(_ModelNode):
    """A noise mask whose values say how early each place is painted."""

    CATEGORY = "_for_testing"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        strength = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01})
        return {"required": {"model": ("MODEL", {})}, "optional": {"strength": strength}}

    def patch(self, model: DiffusionModel, strength: float = 1.0) -> tuple[DiffusionModel]:
        """MODEL that takes noise masks so; below strength 1, mixed with the mask as it is."""
        from graphengine_nodes.diffusion.model.differential_mask import DifferentialMask  # brings torch

        model = model.clone()
        model.set_model_denoise_mask_function(DifferentialMask(strength))
        return (model,)


class ModelComputeDtype(_ModelNode):
    """The precision that the network computes in."""

    CATEGORY = "advanced/debug/model"
    EXPERIMENTAL = False

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model": ("MODEL",), "dtype": (["default", "fp32", "fp16", "bf16"],)}}

    def patch(self, model: DiffusionModel, dtype: str) -> tuple[DiffusionModel]:
        """MODEL that computes in it; "default" leaves it as it is."""
        import torch  # heavy

        if dtype == "default":
            return (model,)
        kinds = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
        component = model.network.component.with_dtype(kinds[dtype])
        return (replace(model, network=model.network.with_component(component)),)


class TorchCompileModel(_ModelNode):
    """A network whose blocks are compiled when they first run: faster afterwards, slower before."""

    CATEGORY = "_for_testing"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        backend = ("COMBO", {"multiselect": False, "options": ["inductor", "cudagraphs"]})
        return {"required": {"model": ("MODEL", {}), "backend": backend}}

    def patch(self, model: DiffusionModel, backend: str) -> tuple[DiffusionModel]:
        """MODEL compiled by torch.compile with this backend."""
        component = model.network.component.compiled(backend)
        return (replace(model, network=model.network.with_component(component)),)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "DifferentialDiffusion": DifferentialDiffusion,
    "ModelComputeDtype": ModelComputeDtype,
    "TorchCompileModel": TorchCompileModel,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {"DifferentialDiffusion": "Differential Diffusion"}
