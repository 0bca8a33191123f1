"""Nodes that set all properties of conditionings at once, alone or in pairs of positive and negative.

Thin classes over `conditioning`. In ComfyUI they also attach hooks, changes of the model that belong to one
conditioning; those are not built, and a hook that is connected is an error. Definitions are read without running
anything, so this module imports no torch; the functions it calls are imported where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import GraphEngineError

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form, and hooks may be any value of a pack.

Range = tuple[float, float]

_CONDITIONING = ("CONDITIONING",)
_STRENGTH = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01})
_HOOKS = ("HOOKS",)


def _inputs(*conditionings: str) -> dict[str, Any]:
    return {
        "required": {
            **dict.fromkeys(conditionings, _CONDITIONING),
            "strength": _STRENGTH,
            "set_cond_area": (["default", "mask bounds"],),
        },
        "optional": {"mask": ("MASK",), "hooks": _HOOKS, "timesteps": ("TIMESTEPS_RANGE",)},
    }


def _refuse(hooks: Any) -> None:
    if hooks is not None:
        raise GraphEngineError(
            "hooks of conditionings are not supported",
            hint="disconnect the input 'hooks'; a LoRA for the whole model is loaded with the node LoraLoader",
        )


class ConditioningSetProperties:
    """Mask, strength and range of a conditioning."""

    CATEGORY = "advanced/hooks/cond single"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "set_properties"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return _inputs("cond_NEW")

    def set_properties(
        self,
        cond_NEW: Conditioning,
        strength: float,
        set_cond_area: str,
        mask: Tensor | None = None,
        hooks: Any = None,
        timesteps: Range | None = None,
    ) -> tuple[Conditioning]:
        """The conditioning with its properties."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_properties  # brings torch

        _refuse(hooks)
        return (with_properties(cond_NEW, strength, set_cond_area, mask, timesteps),)


class ConditioningSetPropertiesAndCombine:
    """Mask, strength and range of a conditioning, which is then combined with another."""

    CATEGORY = "advanced/hooks/cond single"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "set_properties"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return _inputs("cond", "cond_NEW")

    def set_properties(
        self,
        cond: Conditioning,
        cond_NEW: Conditioning,
        strength: float,
        set_cond_area: str,
        mask: Tensor | None = None,
        hooks: Any = None,
        timesteps: Range | None = None,
    ) -> tuple[Conditioning]:
        """The entries of `cond`, then those of the other with their properties."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_properties  # brings torch

        _refuse(hooks)
        return ([*cond, *with_properties(cond_NEW, strength, set_cond_area, mask, timesteps)],)


class ConditioningSetDefaultCombine:
    """A conditioning for whatever another leaves uncovered."""

    CATEGORY = "advanced/hooks/cond single"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "set_default_and_combine"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"cond": _CONDITIONING, "cond_DEFAULT": _CONDITIONING},
            "optional": {"hooks": _HOOKS},
        }

    def set_default_and_combine(
        self, cond: Conditioning, cond_DEFAULT: Conditioning, hooks: Any = None
    ) -> tuple[Conditioning]:
        """The entries of `cond`, then those of the other as defaults."""
        from graphengine_nodes.diffusion.conditioning.conditioning import as_default  # brings torch

        _refuse(hooks)
        return ([*cond, *as_default(cond_DEFAULT)],)


class PairConditioningSetProperties:
    """Mask, strength and range of two conditionings."""

    CATEGORY = "advanced/hooks/cond pair"
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")
    FUNCTION = "set_properties"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return _inputs("positive_NEW", "negative_NEW")

    def set_properties(
        self,
        positive_NEW: Conditioning,
        negative_NEW: Conditioning,
        strength: float,
        set_cond_area: str,
        mask: Tensor | None = None,
        hooks: Any = None,
        timesteps: Range | None = None,
    ) -> tuple[Conditioning, Conditioning]:
        """Both conditionings with their properties."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_properties  # brings torch

        _refuse(hooks)
        return (
            with_properties(positive_NEW, strength, set_cond_area, mask, timesteps),
            with_properties(negative_NEW, strength, set_cond_area, mask, timesteps),
        )


class PairConditioningSetPropertiesAndCombine:
    """Mask, strength and range of two conditionings, which are then combined with two others."""

    CATEGORY = "advanced/hooks/cond pair"
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")
    FUNCTION = "set_properties"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return _inputs("positive", "negative", "positive_NEW", "negative_NEW")

    def set_properties(
        self,
        positive: Conditioning,
        negative: Conditioning,
        positive_NEW: Conditioning,
        negative_NEW: Conditioning,
        strength: float,
        set_cond_area: str,
        mask: Tensor | None = None,
        hooks: Any = None,
        timesteps: Range | None = None,
    ) -> tuple[Conditioning, Conditioning]:
        """The entries of the first two, each followed by those of the others with their properties."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_properties  # brings torch

        _refuse(hooks)
        return (
            [*positive, *with_properties(positive_NEW, strength, set_cond_area, mask, timesteps)],
            [*negative, *with_properties(negative_NEW, strength, set_cond_area, mask, timesteps)],
        )


class PairConditioningCombine:
    """Two conditionings side by side, for positive and negative."""

    CATEGORY = "advanced/hooks/cond pair"
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")
    FUNCTION = "combine"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        names = ("positive_A", "negative_A", "positive_B", "negative_B")
        return {"required": dict.fromkeys(names, _CONDITIONING)}

    def combine(
        self,
        positive_A: Conditioning,
        negative_A: Conditioning,
        positive_B: Conditioning,
        negative_B: Conditioning,
    ) -> tuple[Conditioning, Conditioning]:
        """The entries of A, then those of B."""
        return [*positive_A, *positive_B], [*negative_A, *negative_B]


class PairConditioningSetDefaultCombine:
    """Two conditionings for whatever two others leave uncovered."""

    CATEGORY = "advanced/hooks/cond pair"
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")
    FUNCTION = "set_default_and_combine"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        names = ("positive", "negative", "positive_DEFAULT", "negative_DEFAULT")
        return {"required": dict.fromkeys(names, _CONDITIONING), "optional": {"hooks": _HOOKS}}

    def set_default_and_combine(
        self,
        positive: Conditioning,
        negative: Conditioning,
        positive_DEFAULT: Conditioning,
        negative_DEFAULT: Conditioning,
        hooks: Any = None,
    ) -> tuple[Conditioning, Conditioning]:
        """The entries of the first two, each followed by those of the others as defaults."""
        from graphengine_nodes.diffusion.conditioning.conditioning import as_default  # brings torch

        _refuse(hooks)
        return [*positive, *as_default(positive_DEFAULT)], [*negative, *as_default(negative_DEFAULT)]


class ConditioningTimestepsRange:
    """A part of the sampling, and what is before and after it."""

    CATEGORY = "advanced/hooks"
    RETURN_TYPES = ("TIMESTEPS_RANGE", "TIMESTEPS_RANGE", "TIMESTEPS_RANGE")
    RETURN_NAMES = ("TIMESTEPS_RANGE", "BEFORE_RANGE", "AFTER_RANGE")
    FUNCTION = "create_range"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        share = {"min": 0.0, "max": 1.0, "step": 0.001}
        return {
            "required": {
                "start_percent": ("FLOAT", {"default": 0.0, **share}),
                "end_percent": ("FLOAT", {"default": 1.0, **share}),
            }
        }

    def create_range(self, start_percent: float, end_percent: float) -> tuple[Range, Range, Range]:
        """(start, end), (0, start) and (end, 1)."""
        return (start_percent, end_percent), (0.0, start_percent), (end_percent, 1.0)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ConditioningSetProperties": ConditioningSetProperties,
    "ConditioningSetPropertiesAndCombine": ConditioningSetPropertiesAndCombine,
    "ConditioningSetDefaultCombine": ConditioningSetDefaultCombine,
    "PairConditioningSetProperties": PairConditioningSetProperties,
    "PairConditioningSetPropertiesAndCombine": PairConditioningSetPropertiesAndCombine,
    "PairConditioningCombine": PairConditioningCombine,
    "PairConditioningSetDefaultCombine": PairConditioningSetDefaultCombine,
    "ConditioningTimestepsRange": ConditioningTimestepsRange,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ConditioningSetProperties": "Cond Set Props",
    "ConditioningSetPropertiesAndCombine": "Cond Set Props Combine",
    "ConditioningSetDefaultCombine": "Cond Set Default Combine",
    "PairConditioningSetProperties": "Cond Pair Set Props",
    "PairConditioningSetPropertiesAndCombine": "Cond Pair Set Props Combine",
    "PairConditioningCombine": "Cond Pair Combine",
    "PairConditioningSetDefaultCombine": "Cond Pair Set Default Combine",
    "ConditioningTimestepsRange": "Timesteps Range",
}
