"""The nodes that change how a MODEL's positive and negative prediction become one.

The model that comes in is left as it is. Definitions are read without running anything, so this module imports no
torch; the functions it calls are imported where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine_nodes.diffusion.model.guided import with_after, with_before, with_combine

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import DiffusionModel

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class _GuidanceNode:
    CATEGORY = "advanced/guidance"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    RESOURCES = ()


class RescaleCFG(_GuidanceNode):
    """Guidance without too strong contrasts: its velocity keeps the deviation of the positive one."""

    CATEGORY = "advanced/model"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        multiplier = ("FLOAT", {"default": 0.7, "min": 0.0, "max": 1.0, "step": 0.01})
        return {"required": {"model": ("MODEL",), "multiplier": multiplier}}

    def patch(self, model: DiffusionModel, multiplier: float) -> tuple[DiffusionModel]:
        """MODEL with that guidance."""
        from graphengine_nodes.diffusion.model.combining import Rescaled  # brings torch

        return (with_combine(model, Rescaled(multiplier)),)


class VideoLinearCFGGuidance(_GuidanceNode):
    """Guidance that grows over the frames of a video."""

    CATEGORY = "sampling/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        min_cfg = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.5, "round": 0.01})
        return {"required": {"model": ("MODEL",), "min_cfg": min_cfg}}

    def patch(self, model: DiffusionModel, min_cfg: float) -> tuple[DiffusionModel]:
        """MODEL whose first frame is guided by min_cfg, the last by cfg."""
        from graphengine_nodes.diffusion.model.combining import LinearFrames  # brings torch

        return (with_combine(model, LinearFrames(min_cfg), always_negative=min_cfg != 1.0),)


class VideoTriangleCFGGuidance(_GuidanceNode):
    """Guidance that is strongest for the middle frame of a video."""

    CATEGORY = "sampling/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        min_cfg = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.5, "round": 0.01})
        return {"required": {"model": ("MODEL",), "min_cfg": min_cfg}}

    def patch(self, model: DiffusionModel, min_cfg: float) -> tuple[DiffusionModel]:
        """MODEL whose first and last frame are guided by min_cfg, the middle by cfg."""
        from graphengine_nodes.diffusion.model.combining import TriangleFrames  # brings torch

        return (with_combine(model, TriangleFrames(min_cfg), always_negative=min_cfg != 1.0),)


class CFGNorm(_GuidanceNode):
    """Guidance whose result is nowhere longer than the positive prediction."""

    RETURN_NAMES = ("patched_model",)
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        strength = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.01})
        return {"required": {"model": ("MODEL", {}), "strength": strength}}

    def patch(self, model: DiffusionModel, strength: float) -> tuple[DiffusionModel]:
        """MODEL with that guidance."""
        from graphengine_nodes.diffusion.model.combining import LimitedNorm  # brings torch

        return (with_after(model, LimitedNorm(strength)),)


class CFGZeroStar(_GuidanceNode):
    """Guidance from the negative prediction scaled to be nearest to the positive one."""

    RETURN_NAMES = ("patched_model",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model": ("MODEL", {})}}

    def patch(self, model: DiffusionModel) -> tuple[DiffusionModel]:
        """MODEL with that guidance."""
        from graphengine_nodes.diffusion.model.combining import zero_star  # brings torch

        return (with_after(model, zero_star),)


class TCFG(_GuidanceNode):
    """Guidance from the part of the negative prediction that lies along the main direction of both."""

    RETURN_NAMES = ("patched_model",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model": ("MODEL", {})}}

    def patch(self, model: DiffusionModel) -> tuple[DiffusionModel]:
        """MODEL with that guidance."""
        from graphengine_nodes.diffusion.model.combining import tangential  # brings torch

        return (with_before(model, tangential),)


class LatentApplyOperationCFG(_GuidanceNode):
    """Guidance along a direction that an operation on latents has changed."""

    CATEGORY = "latent/advanced/operations"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model": ("MODEL", {}), "operation": ("LATENT_OPERATION", {})}}

    def patch(self, model: DiffusionModel, operation: Callable[..., Tensor]) -> tuple[DiffusionModel]:
        """MODEL with that guidance."""
        from graphengine_nodes.diffusion.model.combining import OnDifference  # brings torch

        return (with_before(model, OnDifference(operation)),)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "RescaleCFG": RescaleCFG,
    "VideoLinearCFGGuidance": VideoLinearCFGGuidance,
    "VideoTriangleCFGGuidance": VideoTriangleCFGGuidance,
    "CFGNorm": CFGNorm,
    "CFGZeroStar": CFGZeroStar,
    "TCFG": TCFG,
    "LatentApplyOperationCFG": LatentApplyOperationCFG,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {"TCFG": "Tangential Damping CFG"}
