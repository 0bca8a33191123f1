"""What a file with an image encoder holds: the names of its tensors, and the sizes of its network.

Known are CLIP's vision towers (ViT-L, ViT-H, ViT-bigG) in the layouts of transformers and of OpenCLIP, and
SigLIP's in that of transformers. Fixed by the families are the number of heads, the activations and how pictures
are scaled.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isqrt

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.weights.keymaps.names import renamed
from graphengine_nodes.diffusion.weights.weights import Place

OPEN_PREFIXES = (
    "embedder.model.visual.",  # SD2.1-unclip
    "conditioner.embedders.0.open_clip.model.visual.",  # Stable Video Diffusion
    "cond_stage_model.model.visual.",  # Zero123
    "visual.",
)
_OPEN_TOP = {
    "conv1": "vision_model.embeddings.patch_embedding",
    "ln_pre": "vision_model.pre_layrnorm",
    "ln_post": "vision_model.post_layernorm",
}
_OPEN_NAMES = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "proj": "visual_projection.weight",
}
_OPEN_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_OPEN_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")
_PARTS = ("vision_model.", "visual_projection.", "multi_modal_projector.")
_UNUSED = re.compile(r"position_ids$|^vision_model\.head\.")
_HEADS, _BASE_WIDTH, _BASE_HEADS = 16, 768, 12
_OPENAI_LAYERS = 24  # the towers up to this depth are OpenAI's, with their quick GELU
_CLIP_MEAN, _CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)
_SIGLIP_SIZES = {(27, 14): 384}  # squares of 14 pixels do not fill 384

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """Sizes of an image encoder, and how pictures are scaled for it.

    siglip: whether its embedding is all of its states. projection: the width of CLIP's embedding, None when it is
    that of the states. projector: the width that LLaVA's projector maps states to.
    """

    siglip: bool
    width: int
    inner_width: int
    layers: int
    heads: int
    patch: int
    image_size: int
    activation: str
    projection: int | None
    transposed: bool
    projector: int | None
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


def open_prefix(names: Collection[str]) -> str | None:
    """What stands before the names of an encoder in the layout of OpenCLIP; None for another layout."""
    for prefix in OPEN_PREFIXES:
        if any(name.startswith(f"{prefix}transformer.resblocks.") for name in names):
            return prefix
    return None


def vision_places(shapes: Shapes) -> dict[str, tuple[Place, ...]]:
    """Where each tensor of a file goes in `VisionTower`; what belongs to no image encoder is left out.

    OpenCLIP keeps queries, keys and values in one tensor, which becomes three parameters.
    """
    prefix = open_prefix(shapes)
    if prefix is None:
        kept = (name for name in shapes if name.startswith(_PARTS) and not _UNUSED.search(name))
        return {name: (Place(name),) for name in kept}
    return {
        name: _open_places(name.removeprefix(prefix), shape)
        for name, shape in shapes.items()
        if name.startswith(prefix)
    }


def _open_places(name: str, shape: tuple[int, ...]) -> tuple[Place, ...]:
    if not (found := _OPEN_BLOCK.fullmatch(name)):
        return (Place(_OPEN_NAMES.get(name) or renamed(name, _OPEN_TOP)),)
    layer, rest = f"vision_model.encoder.layers.{found[1]}", found[2]
    fused = re.fullmatch(r"attn\.in_proj_(weight|bias)", rest)
    if fused is None or not shape or shape[0] % 3:
        return (Place(f"{layer}.{renamed(rest, _OPEN_LAYER)}"),)
    rows = shape[0] // 3
    return tuple(
        Place(f"{layer}.self_attn.{part}_proj.{fused[1]}", slice(number * rows, (number + 1) * rows))
        for number, part in enumerate("qkv")
    )


def vision_config(file: str, shapes: Shapes, *, transposed: bool) -> VisionConfig:
    """Sizes of the image encoder whose parameters, by their names in `VisionTower`, have these shapes.

    transposed: whether its projection is stored as OpenCLIP does.

    Raises:
        ModelError: a tensor is missing, or the shapes fit no encoder that is known.
    """
    patches = _shape(file, shapes, "vision_model.embeddings.patch_embedding.weight", 4)
    positions = _shape(file, shapes, "vision_model.embeddings.position_embedding.weight", 2)[0]
    inner = _shape(file, shapes, "vision_model.encoder.layers.0.mlp.fc1.weight", 2)[0]
    siglip = "vision_model.embeddings.class_embedding" not in shapes
    if not all(patches) or not positions:
        raise _unsupported(file, f"squares of the shape {list(patches)} at {positions} positions")
    width, patch, grid = patches[0], patches[-1], isqrt(positions if siglip else positions - 1)
    heads = _BASE_HEADS if width == _BASE_WIDTH else _HEADS
    layers = len(
        {found[1] for name in shapes if (found := re.match(r"vision_model\.encoder\.layers\.(\d+)\.", name))}
    )
    if grid**2 != (positions if siglip else positions - 1) or not grid or width % heads:
        raise _unsupported(file, f"{positions} positions and the width {width}")
    projection = _size(file, shapes, "visual_projection.weight", 1 if transposed else 0)
    projector = _size(file, shapes, "multi_modal_projector.linear_1.weight", 0)
    activation = "quick_gelu" if layers <= _OPENAI_LAYERS else "gelu"
    return VisionConfig(
        siglip=siglip,
        width=width,
        inner_width=inner,
        layers=layers,
        heads=heads,
        patch=patch,
        image_size=_SIGLIP_SIZES.get((grid, patch), grid * patch) if siglip else grid * patch,
        activation="gelu_pytorch_tanh" if siglip else activation,
        projection=projection,
        transposed=transposed,
        projector=projector,
        mean=_HALF if siglip else _CLIP_MEAN,
        deviation=_HALF if siglip else _CLIP_DEVIATION,
    )


def _shape(file: str, shapes: Shapes, name: str, dimensions: int) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None:
        raise ModelError(
            f"CLIP vision file {file!r} lacks the tensor for {name!r}",
            hint="it is incomplete, or holds another kind of model",
        )
    if len(shape) != dimensions:
        raise _unsupported(file, f"a tensor {name!r} of shape {list(shape)}")
    return shape


def _size(file: str, shapes: Shapes, name: str, dimension: int) -> int | None:
    """One size of a matrix that a file may lack."""
    return _shape(file, shapes, name, 2)[dimension] if name in shapes else None


def _unsupported(file: str, what: str) -> ModelError:
    return ModelError(f"CLIP vision file {file!r} has an unsupported layout: {what}")
