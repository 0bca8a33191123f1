"""Prompts that differ from tower to tower, and those with a text of the family around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from graphengine.node.api import GraphEngineError
from graphengine_nodes.diffusion.text.prompt import WeightedToken
from graphengine_nodes.diffusion.text.text_encode import Encoded, TextEncoder

from .joins import join_sd3
from .t5 import T5Tower

LUMINA2_SYSTEMS: Mapping[str, str] = {
    "superior": "You are an assistant designed to generate superior images with the superior degree of image-text "
    "alignment based on textual prompts or user prompts.",
    "alignment": "You are an assistant designed to generate high-quality images with the highest degree of "
    "image-text alignment based on textual prompts.",
}
"""What Lumina 2 was trained to read before a prompt."""

_BESIDE = ("l", "g")  # towers whose states stand side by side, so that they need as many chunks

Chunks = list[list[WeightedToken]]


def encode_each(clip: TextEncoder, texts: Mapping[str, str]) -> Encoded:
    """What the towers make of a text each, by the names of their tokens.

    Raises:
        GraphEngineError: the CLIP has a tower without a text.
    """
    return clip.encode_tokens(_tokens(clip, texts))


def encode_sd3(clip: TextEncoder, texts: Mapping[str, str], *, empty_is_nothing: bool) -> Encoded:
    """What SD3's towers make of a text each.

    empty_is_nothing: an empty text has no tokens. Beside the states of the other CLIP tower there are zeros then,
    and no states of T5.

    Raises:
        GraphEngineError: the CLIP has a tower without a text.
    """
    tokens = _tokens(clip, texts)
    encoded = {name: clip.towers[name].encode(chunks) for name, chunks in tokens.items()}
    if not empty_is_nothing:
        return join_sd3(encoded)
    emptied = {name: part if texts[name] else _zero(part) for name, part in encoded.items()}
    whole = join_sd3(emptied)
    any_clip = any(texts[name] for name in encoded if name in _BESIDE)
    kept = {name: part for name, part in emptied.items() if texts[name] or (name in _BESIDE and any_clip)}
    return replace(join_sd3(kept, whole.states.shape[-1]), pooled=whole.pooled)


def _zero(encoded: Encoded) -> Encoded:
    pooled = None if encoded.pooled is None else torch.zeros_like(encoded.pooled)
    return replace(encoded, states=torch.zeros_like(encoded.states), pooled=pooled)


def _tokens(clip: TextEncoder, texts: Mapping[str, str]) -> dict[str, Chunks]:
    missing = [name for name in clip.towers if name not in texts]
    if missing:
        raise GraphEngineError(
            f"the CLIP has the text towers {_listed(clip.towers)}; there is no prompt for {missing[0]!r}",
            hint=f"this node is for a CLIP with {_listed(texts)}; use CLIPTextEncode for others",
        )
    tokens = {name: tower.tokens(texts[name]) for name, tower in clip.towers.items()}
    longest = max((len(tokens[name]) for name in _BESIDE if name in tokens), default=0)
    for name in _BESIDE:
        while name in tokens and len(tokens[name]) < longest:
            tokens[name] = [*tokens[name], *clip.towers[name].tokens("")]
    return tokens


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(repr(name) for name in names) or "no tower"


def with_t5_lengths(clip: TextEncoder, padding: int, length: int) -> TextEncoder:
    """The CLIP whose T5 towers add so many tokens of padding at least, and fill texts up to a length."""
    towers = {
        name: tower.with_lengths(padding, length) if isinstance(tower, T5Tower) else tower
        for name, tower in clip.towers.items()
    }
    return replace(clip, towers=towers)
