"""Nodes that combine conditionings and say where, when and how strongly they count.

Thin classes over `conditioning`. Definitions are read without running anything, so this module imports no torch;
the functions it calls are imported where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_CONDITIONING = ("CONDITIONING",)
_STRENGTH = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01})
_SHARE = {"min": 0, "max": 1.0, "step": 0.01}
_WHOLE = ("FLOAT", {"default": 1.0, **_SHARE})
_START = ("FLOAT", {"default": 0, **_SHARE})


class ConditioningCombine:
    """Two conditionings side by side: their predictions are averaged."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "combine"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"conditioning_1": _CONDITIONING, "conditioning_2": _CONDITIONING}}

    def combine(self, conditioning_1: Conditioning, conditioning_2: Conditioning) -> tuple[Conditioning]:
        """The entries of both."""
        return ([*conditioning_1, *conditioning_2],)


class ConditioningConcat:
    """One conditioning whose tokens follow those of another, as in one long prompt."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "concat"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"conditioning_to": _CONDITIONING, "conditioning_from": _CONDITIONING}}

    def concat(self, conditioning_to: Conditioning, conditioning_from: Conditioning) -> tuple[Conditioning]:
        """`conditioning_to` with the tokens of the other appended."""
        from graphengine_nodes.diffusion.conditioning.conditioning import concatenate  # brings torch

        return (concatenate(conditioning_to, conditioning_from),)


class ConditioningAverage:
    """A conditioning between two."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "addWeighted"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        strength = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01})
        return {
            "required": {
                "conditioning_to": _CONDITIONING,
                "conditioning_from": _CONDITIONING,
                "conditioning_to_strength": strength,
            }
        }

    def addWeighted(
        self, conditioning_to: Conditioning, conditioning_from: Conditioning, conditioning_to_strength: float
    ) -> tuple[Conditioning]:
        """strength * to + (1 - strength) * from."""
        from graphengine_nodes.diffusion.conditioning.conditioning import average  # brings torch

        return (average(conditioning_to, conditioning_from, conditioning_to_strength),)


class ConditioningSetArea:
    """A conditioning for a rectangle of the picture, in pixels."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        size = ("INT", {"default": 64, "min": 64, "max": 16384, "step": 8})
        place = ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8})
        return {
            "required": {
                "conditioning": _CONDITIONING,
                "width": size,
                "height": size,
                "x": place,
                "y": place,
                "strength": _STRENGTH,
            }
        }

    def append(
        self, conditioning: Conditioning, width: int, height: int, x: int, y: int, strength: float
    ) -> tuple[Conditioning]:
        """The conditioning with its area."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_area  # brings torch

        return (with_area(conditioning, width, height, x, y, strength),)


class ConditioningSetAreaPercentage:
    """A conditioning for a rectangle of the picture, in parts of its sides."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "conditioning": _CONDITIONING,
                "width": _WHOLE,
                "height": _WHOLE,
                "x": _START,
                "y": _START,
                "strength": _STRENGTH,
            }
        }

    def append(
        self, conditioning: Conditioning, width: float, height: float, x: float, y: float, strength: float
    ) -> tuple[Conditioning]:
        """The conditioning with its area."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_relative_area  # brings torch

        return (with_relative_area(conditioning, (height, width), (y, x), strength),)


class ConditioningSetAreaPercentageVideo:
    """A conditioning for a part of a video, in parts of its length and sides."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "conditioning": _CONDITIONING,
                "width": _WHOLE,
                "height": _WHOLE,
                "temporal": _WHOLE,
                "x": _START,
                "y": _START,
                "z": _START,
                "strength": _STRENGTH,
            }
        }

    def append(
        self,
        conditioning: Conditioning,
        width: float,
        height: float,
        temporal: float,
        x: float,
        y: float,
        z: float,
        strength: float,
    ) -> tuple[Conditioning]:
        """The conditioning with its area."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_relative_area  # brings torch

        return (with_relative_area(conditioning, (temporal, height, width), (z, y, x), strength),)


class ConditioningSetAreaStrength:
    """How much a conditioning counts where several overlap."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"conditioning": _CONDITIONING, "strength": _STRENGTH}}

    def append(self, conditioning: Conditioning, strength: float) -> tuple[Conditioning]:
        """The conditioning with its strength."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_options  # brings torch

        return (with_options(conditioning, strength=strength),)


class ConditioningSetMask:
    """A conditioning for the part of the picture that a mask shows."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "conditioning": _CONDITIONING,
                "mask": ("MASK",),
                "strength": _STRENGTH,
                "set_cond_area": (["default", "mask bounds"],),
            }
        }

    def append(
        self, conditioning: Conditioning, mask: Tensor, set_cond_area: str, strength: float
    ) -> tuple[Conditioning]:
        """The conditioning with its mask."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_mask  # brings torch

        return (with_mask(conditioning, mask, strength, set_cond_area),)


class ConditioningSetTimestepRange:
    """A conditioning for a part of the sampling: 0 is its noisy start, 1 its end."""

    CATEGORY = "advanced/conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "set_range"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        share = {"min": 0.0, "max": 1.0, "step": 0.001}
        return {
            "required": {
                "conditioning": _CONDITIONING,
                "start": ("FLOAT", {"default": 0.0, **share}),
                "end": ("FLOAT", {"default": 1.0, **share}),
            }
        }

    def set_range(self, conditioning: Conditioning, start: float, end: float) -> tuple[Conditioning]:
        """The conditioning with its range."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_range  # brings torch

        return (with_range(conditioning, start, end),)


class ConditioningZeroOut:
    """A conditioning of zeros, shaped like another."""

    CATEGORY = "advanced/conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "zero_out"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"conditioning": _CONDITIONING}}

    def zero_out(self, conditioning: Conditioning) -> tuple[Conditioning]:
        """The conditioning with its states and pooled states 0."""
        from graphengine_nodes.diffusion.conditioning.conditioning import zeroed  # brings torch

        return (zeroed(conditioning),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ConditioningCombine": ConditioningCombine,
    "ConditioningConcat": ConditioningConcat,
    "ConditioningAverage": ConditioningAverage,
    "ConditioningSetArea": ConditioningSetArea,
    "ConditioningSetAreaPercentage": ConditioningSetAreaPercentage,
    "ConditioningSetAreaPercentageVideo": ConditioningSetAreaPercentageVideo,
    "ConditioningSetAreaStrength": ConditioningSetAreaStrength,
    "ConditioningSetMask": ConditioningSetMask,
    "ConditioningSetTimestepRange": ConditioningSetTimestepRange,
    "ConditioningZeroOut": ConditioningZeroOut,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ConditioningCombine": "Conditioning (Combine)",
    "ConditioningConcat": "Conditioning (Concat)",
    "ConditioningAverage": "ConditioningAverage",
    "ConditioningSetArea": "Conditioning (Set Area)",
    "ConditioningSetAreaPercentage": "Conditioning (Set Area with Percentage)",
    "ConditioningSetAreaPercentageVideo": "ConditioningSetAreaPercentageVideo",
    "ConditioningSetAreaStrength": "ConditioningSetAreaStrength",
    "ConditioningSetMask": "Conditioning (Set Mask)",
    "ConditioningSetTimestepRange": "ConditioningSetTimestepRange",
    "ConditioningZeroOut": "ConditioningZeroOut",
}
