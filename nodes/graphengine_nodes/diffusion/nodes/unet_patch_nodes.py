"""The nodes that change what happens inside a UNet. The model that comes in is left as it is.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import DiffusionModel

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_METHODS = ["bicubic", "nearest-exact", "bilinear", "area", "bislerp"]


def model_channels(model: DiffusionModel) -> int:
    """The channels of a UNet's first level.

    Raises:
        ValueError: the model's network is no UNet.
    """
    shape = model.network.component.shapes().get("conv_in.weight")
    if shape is None:
        raise ValueError(f"the model is of the family {model.network.family!r}, which has no UNet to patch")
    return shape[0]


class _UNetNode:
    CATEGORY = "model_patches/unet"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    RESOURCES = ()


def _freeu_inputs(b1: float, b2: float) -> dict[str, Any]:
    defaults = {"b1": b1, "b2": b2, "s1": 0.9, "s2": 0.2}
    factors = {
        name: ("FLOAT", {"default": default, "min": 0.0, "max": 10.0, "step": 0.01})
        for name, default in defaults.items()
    }
    return {"required": {"model": ("MODEL",), **factors}}


class FreeU(_UNetNode):
    """A UNet with stronger backbone features and less of the skip connections' low frequencies."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return _freeu_inputs(1.1, 1.2)

    def patch(self, model: DiffusionModel, b1: float, b2: float, s1: float, s2: float) -> tuple[DiffusionModel]:
        """MODEL with b1 and s1 at its deepest width (4 times the first), b2 and s2 at half of that."""
        from graphengine_nodes.diffusion.unet.patches import FreeU as Patch  # brings torch

        channels, model = model_channels(model), model.clone()
        model.set_model_output_block_patch(Patch({channels * 4: (b1, s1), channels * 2: (b2, s2)}))
        return (model,)


class FreeU_V2(_UNetNode):
    """FreeU whose factor follows the content: full where the features are strongest, 1 where they are weakest."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return _freeu_inputs(1.3, 1.4)

    def patch(self, model: DiffusionModel, b1: float, b2: float, s1: float, s2: float) -> tuple[DiffusionModel]:
        """MODEL with b1 and s1 at its deepest width (4 times the first), b2 and s2 at half of that."""
        from graphengine_nodes.diffusion.unet.patches import FreeU as Patch  # brings torch
        from graphengine_nodes.diffusion.unet.patches import amplified_by_content

        channels, model = model_channels(model), model.clone()
        factors = {channels * 4: (b1, s1), channels * 2: (b2, s2)}
        model.set_model_output_block_patch(Patch(factors, amplified_by_content))
        return (model,)


class TomePatchModel(_UNetNode):
    """A UNet whose attention is faster since similar tokens share one query."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        ratio = ("FLOAT", {"default": 0.3, "min": 0.0, "max": 1.0, "step": 0.01})
        return {"required": {"model": ("MODEL", {}), "ratio": ratio}}

    def patch(self, model: DiffusionModel, ratio: float) -> tuple[DiffusionModel]:
        """MODEL with that share of the tokens merged, at most three quarters."""
        from graphengine_nodes.diffusion.unet.token_merging import MergeTokens, unmerge_tokens  # brings torch

        model = model.clone()
        model.set_model_attn1_patch(MergeTokens(ratio))
        model.set_model_attn1_output_patch(unmerge_tokens)
        return (model,)


class HyperTile(_UNetNode):
    """A UNet whose attention to itself stays within tiles of the picture."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "tile_size": ("INT", {"default": 256, "min": 1, "max": 2048}),
                "swap_size": ("INT", {"default": 2, "min": 1, "max": 128}),
                "max_depth": ("INT", {"default": 0, "min": 0, "max": 10}),
                "scale_depth": ("BOOLEAN", {"default": False}),
            }
        }

    def patch(
        self, model: DiffusionModel, tile_size: int, swap_size: int, max_depth: int, scale_depth: bool
    ) -> tuple[DiffusionModel]:
        """MODEL with tiles of at least tile_size pixels on its levels down to max_depth."""
        from graphengine_nodes.diffusion.unet.attention_tiles import CutIntoTiles, join_tiles  # brings torch

        model = model.clone()
        model.set_model_attn1_patch(CutIntoTiles(tile_size, swap_size, max_depth, scale_depth))
        model.set_model_attn1_output_patch(join_tiles)
        return (model,)


class PatchModelAddDownscale(_UNetNode):
    """A UNet that lays out a large picture at a smaller size, in the first part of the run."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        methods = ("COMBO", {"multiselect": False, "options": _METHODS})
        percent = {"min": 0.0, "max": 1.0, "step": 0.001}
        return {
            "required": {
                "model": ("MODEL", {}),
                "block_number": ("INT", {"default": 3, "min": 1, "max": 32, "step": 1}),
                "downscale_factor": ("FLOAT", {"default": 2.0, "min": 0.1, "max": 9.0, "step": 0.001}),
                "start_percent": ("FLOAT", {"default": 0.0, **percent}),
                "end_percent": ("FLOAT", {"default": 0.35, **percent}),
                "downscale_after_skip": ("BOOLEAN", {"default": True}),
                "downscale_method": methods,
                "upscale_method": methods,
            }
        }

    def patch(
        self,
        model: DiffusionModel,
        block_number: int,
        downscale_factor: float,
        start_percent: float,
        end_percent: float,
        downscale_after_skip: bool,
        downscale_method: str,
        upscale_method: str,
    ) -> tuple[DiffusionModel]:
        """MODEL whose states shrink from an input block on, in that part of the schedule."""
        from graphengine_nodes.diffusion.unet.patches import FittedToSkip, Shrunk  # brings torch

        start, end = (model.sampling.percent_to_sigma(percent) for percent in (start_percent, end_percent))
        shrunk = Shrunk(block_number, downscale_factor, downscale_method, start, end)
        model = model.clone()
        if downscale_after_skip:
            model.set_model_input_block_patch_after_skip(shrunk)
        else:
            model.set_model_input_block_patch(shrunk)
        model.set_model_output_block_patch(FittedToSkip(upscale_method))
        return (model,)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "FreeU": FreeU,
    "FreeU_V2": FreeU_V2,
    "TomePatchModel": TomePatchModel,
    "HyperTile": HyperTile,
    "PatchModelAddDownscale": PatchModelAddDownscale,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "PatchModelAddDownscale": "PatchModelAddDownscale (Kohya Deep Shrink)"
}
