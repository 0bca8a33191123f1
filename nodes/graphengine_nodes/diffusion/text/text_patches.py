"""Changes of a text encoder's weights."""

from __future__ import annotations

from collections.abc import Mapping

from graphengine_nodes.diffusion.weights.weights import Change

from .text_encode import TextEncoder


def scaled_attention(clip: TextEncoder, factors: Mapping[str, float]) -> TextEncoder:
    """The CLIP with the projections "q", "k", "v" and "out" of its self-attentions times factors."""
    changed = {}
    for name, component in clip.components().items():
        changes = {
            weight: [_times(factor)]
            for projection, factor in factors.items()
            for weight in component.shapes()
            if factor != 1.0 and f".self_attn.{projection}_proj." in weight
        }
        changed[name] = component.patched(changes)
    return clip.with_components(changed)


def _times(factor: float) -> Change:
    return lambda weight: weight * factor
