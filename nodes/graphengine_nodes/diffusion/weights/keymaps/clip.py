"""Names of CLIP's text tower: transformers and OpenCLIP → `ClipText`, which has those of transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from graphengine_nodes.diffusion.weights.weights import Place

from .names import renamed, used

_OPEN_TOP = {
    "token_embedding": "text_model.embeddings.token_embedding",
    "ln_final": "text_model.final_layer_norm",
}
_OPEN_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_OPEN_NAMES = {"positional_embedding": "text_model.embeddings.position_embedding.weight"}
_PICTURES = re.compile(r"vision_model\.|visual_projection\.|visual\.")
_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")

Shapes = Mapping[str, tuple[int, ...]]


def is_open_clip(shapes: Shapes) -> bool:
    """Whether the names are those of OpenCLIP."""
    return any(name.startswith("transformer.resblocks.") for name in shapes)


def clip_places(shapes: Shapes) -> dict[str, tuple[Place, ...]]:
    """Where each tensor of a text tower goes: with or without `text_model.` before the names, or from OpenCLIP.

    OpenCLIP keeps queries, keys and values in one tensor, which becomes three parameters. Its projection is the
    transposed one; `ClipText` is built for either. Tensors of CLIP's image tower, which whole models hold too, are
    left out; unknown names stay as they are.
    """
    named = _open_places if is_open_clip(shapes) else _plain_places
    kept = [*used(shapes), *(name for name in shapes if re.fullmatch(r"text_projection(\.weight)?", name))]
    return {name: named(name, shapes[name]) for name in kept if not _PICTURES.match(name)}


def _plain_places(name: str, shape: tuple[int, ...]) -> tuple[Place, ...]:
    if name.startswith("text_projection"):
        return (Place("text_projection.weight"),)
    return (Place("text_model." + name.removeprefix("text_model.")),)


def _open_places(name: str, shape: tuple[int, ...]) -> tuple[Place, ...]:
    if name.startswith("text_projection"):
        return (Place("text_projection.weight"),)
    if not (found := _BLOCK.fullmatch(name)):
        return (Place(_OPEN_NAMES.get(name) or renamed(name, _OPEN_TOP)),)
    layer, rest = f"text_model.encoder.layers.{found[1]}", found[2]
    if not (fused := re.fullmatch(r"attn\.in_proj_(weight|bias)", rest)):
        return (Place(f"{layer}.{renamed(rest, _OPEN_LAYER)}"),)
    rows = shape[0] // 3 if shape else 0
    return tuple(
        Place(f"{layer}.self_attn.{part}_proj.{fused[1]}", slice(number * rows, (number + 1) * rows))
        for number, part in enumerate("qkv")
    )
