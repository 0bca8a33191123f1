"""The nodes for guidance away from a prediction of the same network with a part disturbed.

The model that comes in is left as it is; each of them asks it once more per step. Definitions are read without
running anything, so this module imports no torch; the functions it calls are imported where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine_nodes.diffusion.model.guided import with_after

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import DiffusionModel
    from graphengine_nodes.diffusion.sampling.guidance_away import SkippedLayers

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class _GuidanceNode:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    RESOURCES = ()


class PerturbedAttentionGuidance(_GuidanceNode):
    """Guidance away from a prediction in which tokens of the middle block attend to themselves only."""

    CATEGORY = "model_patches/unet"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        scale = ("FLOAT", {"default": 3.0, "min": 0.0, "max": 100.0, "step": 0.01, "round": 0.01})
        return {"required": {"model": ("MODEL", {}), "scale": scale}}

    def patch(self, model: DiffusionModel, scale: float) -> tuple[DiffusionModel]:
        """MODEL with that guidance."""
        from graphengine_nodes.diffusion.sampling.guidance_away import PerturbedAttention  # brings torch

        return (with_after(model, PerturbedAttention(scale)),)


class SelfAttentionGuidance(_GuidanceNode):
    """Guidance away from a prediction whose most attended places are blurred."""

    CATEGORY = "_for_testing"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "scale": ("FLOAT", {"default": 0.5, "min": -2.0, "max": 5.0, "step": 0.01}),
                "blur_sigma": ("FLOAT", {"default": 2.0, "min": 0.0, "max": 10.0, "step": 0.1}),
            }
        }

    def patch(self, model: DiffusionModel, scale: float, blur_sigma: float) -> tuple[DiffusionModel]:
        """MODEL with that guidance; blur_sigma in cells of the latent."""
        from graphengine_nodes.diffusion.sampling.guidance_away import (
            SelfAttentionGuidance as Guidance,
        )  # brings torch
        from graphengine_nodes.diffusion.sampling.guidance_away import attend_and_record

        model = model.clone()
        model.set_model_attn1_replace(attend_and_record, "middle", 0, 0)
        return (with_after(model, Guidance(scale, blur_sigma), always_negative=True),)


def _layers(default: str = "7, 8, 9") -> tuple[str, dict[str, Any]]:
    return ("STRING", {"default": default, "multiline": False})


def _percents(start: float, end: float) -> dict[str, Any]:
    limits = {"min": 0.0, "max": 1.0, "step": 0.001}
    return {
        "start_percent": ("FLOAT", {"default": start, **limits}),
        "end_percent": ("FLOAT", {"default": end, **limits}),
    }


def _skipped(model: DiffusionModel, double: str, single: str, start: float, end: float) -> SkippedLayers:
    from graphengine_nodes.diffusion.sampling.guidance_away import SkippedLayers, layer_numbers  # brings torch

    to_sigma = model.sampling.percent_to_sigma
    return SkippedLayers(layer_numbers(double), layer_numbers(single), to_sigma(start), to_sigma(end))


class _SkipLayerNode(_GuidanceNode):
    CATEGORY = "advanced/guidance"
    EXPERIMENTAL = True


class SkipLayerGuidanceSD3(_SkipLayerNode):
    """Guidance away from a prediction of SD3 without some of its blocks."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        scale = ("FLOAT", {"default": 3.0, "min": 0.0, "max": 10.0, "step": 0.1})
        return {"required": {"model": ("MODEL", {}), "layers": _layers(), "scale": scale, **_percents(0.01, 0.15)}}

    def patch(
        self, model: DiffusionModel, layers: str, scale: float, start_percent: float, end_percent: float
    ) -> tuple[DiffusionModel]:
        """MODEL with that guidance in a part of the schedule."""
        from graphengine_nodes.diffusion.sampling.guidance_away import SkipLayerGuidance  # brings torch

        skipped = _skipped(model, layers, "", start_percent, end_percent)
        return (with_after(model, SkipLayerGuidance(skipped, scale)),)


class SkipLayerGuidanceDiT(_SkipLayerNode):
    """Guidance away from a prediction of a transformer without some of its blocks."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "double_layers": _layers(),
                "single_layers": _layers(),
                "scale": ("FLOAT", {"default": 3.0, "min": 0.0, "max": 10.0, "step": 0.1}),
                **_percents(0.01, 0.15),
                "rescaling_scale": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 10.0, "step": 0.01}),
            }
        }

    def patch(
        self,
        model: DiffusionModel,
        double_layers: str,
        single_layers: str,
        scale: float,
        start_percent: float,
        end_percent: float,
        rescaling_scale: float = 0.0,
    ) -> tuple[DiffusionModel]:
        """MODEL with that guidance in a part of the schedule."""
        from graphengine_nodes.diffusion.sampling.guidance_away import SkipLayerGuidance  # brings torch

        skipped = _skipped(model, double_layers, single_layers, start_percent, end_percent)
        return (with_after(model, SkipLayerGuidance(skipped, scale, rescaling_scale)),)


class SkipLayerGuidanceDiTSimple(_SkipLayerNode):
    """Plain guidance whose negative prediction is made without some blocks of the transformer."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "double_layers": _layers(),
                "single_layers": _layers(),
                **_percents(0.0, 1.0),
            }
        }

    def patch(
        self,
        model: DiffusionModel,
        double_layers: str,
        single_layers: str,
        start_percent: float,
        end_percent: float,
    ) -> tuple[DiffusionModel]:
        """MODEL whose negative side is asked so in a part of the schedule."""
        from graphengine_nodes.diffusion.sampling.guidance_away import SkipLayersForNegative  # brings torch

        skipped = _skipped(model, double_layers, single_layers, start_percent, end_percent)
        model = model.clone()
        model.set_model_sampler_calc_cond_batch_function(SkipLayersForNegative(skipped))
        return (model,)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "PerturbedAttentionGuidance": PerturbedAttentionGuidance,
    "SelfAttentionGuidance": SelfAttentionGuidance,
    "SkipLayerGuidanceSD3": SkipLayerGuidanceSD3,
    "SkipLayerGuidanceDiT": SkipLayerGuidanceDiT,
    "SkipLayerGuidanceDiTSimple": SkipLayerGuidanceDiTSimple,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {"SelfAttentionGuidance": "Self-Attention Guidance"}
