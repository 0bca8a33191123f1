"""The nodes that scale the projections of a UNet's attention layers. The model that comes in is left as it is.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from functools import partial
from operator import mul
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine_nodes.diffusion.model.model import DiffusionModel
    from graphengine_nodes.diffusion.weights.weights import Change, Component

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


def scaled_weights(component: Component, factors: Mapping[str, float]) -> dict[str, list[Change]]:
    """The changes that multiply the weights and biases of layers whose names end so, such as "attn1.to_q"."""
    changes: dict[str, list[Change]] = {}
    for name in component.shapes():
        layer = name.rpartition(".")[0]
        found = [factor for end, factor in factors.items() if layer.endswith(f".{end}")]
        if found and found[0] != 1:
            changes[name] = [partial(mul, found[0])]
    return changes


def _factors(*names: str) -> dict[str, Any]:
    return {name: ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01}) for name in names}


class _MultiplyNode:
    CATEGORY = "_for_testing/attention_experiments"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    RESOURCES = ()
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model": ("MODEL", {}), **_factors("q", "k", "v", "out")}}


def _multiplied(model: DiffusionModel, attention: str, q: float, k: float, v: float, out: float) -> DiffusionModel:
    factors = {"to_q": q, "to_k": k, "to_v": v, "to_out.0": out}
    named = {f"{attention}.{end}": factor for end, factor in factors.items()}
    return model.patched(scaled_weights(model.network.component, named))


class UNetSelfAttentionMultiply(_MultiplyNode):
    """A UNet whose attention to itself has other weights."""

    def patch(self, model: DiffusionModel, q: float, k: float, v: float, out: float) -> tuple[DiffusionModel]:
        """MODEL with the queries, keys, values and outputs of attn1 times these."""
        return (_multiplied(model, "attn1", q, k, v, out),)


class UNetCrossAttentionMultiply(_MultiplyNode):
    """A UNet whose attention to the text has other weights."""

    def patch(self, model: DiffusionModel, q: float, k: float, v: float, out: float) -> tuple[DiffusionModel]:
        """MODEL with the queries, keys, values and outputs of attn2 times these."""
        return (_multiplied(model, "attn2", q, k, v, out),)


class UNetTemporalAttentionMultiply(_MultiplyNode):
    """A UNet whose attention within frames, and between them where it has such, has other outputs."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        names = ("self_structural", "self_temporal", "cross_structural", "cross_temporal")
        return {"required": {"model": ("MODEL", {}), **_factors(*names)}}

    def patch(
        self,
        model: DiffusionModel,
        self_structural: float,
        self_temporal: float,
        cross_structural: float,
        cross_temporal: float,
    ) -> tuple[DiffusionModel]:
        """MODEL with the outputs of attn1 and attn2 times these; no UNet here attends between frames."""
        factors = {"attn1.to_out.0": self_structural, "attn2.to_out.0": cross_structural}
        return (model.patched(scaled_weights(model.network.component, factors)),)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "UNetSelfAttentionMultiply": UNetSelfAttentionMultiply,
    "UNetCrossAttentionMultiply": UNetCrossAttentionMultiply,
    "UNetTemporalAttentionMultiply": UNetTemporalAttentionMultiply,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
