"""CLIP_VISION values from files."""

from __future__ import annotations

import torch
from torch import nn

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.text.towers import split_rows
from graphengine_nodes.diffusion.weights.build import assign_weights
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint
from graphengine_nodes.diffusion.weights.weights import Component

from .layout import VisionConfig, open_prefix, vision_config, vision_places
from .vision import ClipVision, VisionTower

_CASCADE = "clip_l_vision."


def load_vision(checkpoint: Checkpoint, device: str) -> ClipVision:
    """The image encoder of a file of its own, or of a checkpoint that has one.

    Raises:
        ModelError: the file holds none, or an incomplete one.
    """
    file, entries = checkpoint.path.name, checkpoint.part(_CASCADE) or checkpoint.entries
    shapes = {name: info.shape for name, info in entries.items()}
    places = vision_places(shapes)
    if not places:
        raise ModelError(
            f"file {file!r} holds no image encoder",
            hint="CLIP's vision towers (ViT-L, ViT-H, ViT-bigG) and SigLIP's are supported",
        )
    split = split_rows(entries, places)
    transposed = open_prefix(shapes) is not None
    config = vision_config(file, {name: info.shape for name, info in split.items()}, transposed=transposed)
    names = {name: name for name in split}
    module = assign_weights("an image encoder", checkpoint, split, names, lambda: vision_module(config))
    # ComfyUI keeps image encoders in float16 and computes in float32
    component = Component(module, checkpoint, device=device, stored=torch.float16, sources=places)
    return ClipVision(component, config, file)


def load_vision_of_checkpoint(checkpoint: Checkpoint, device: str) -> ClipVision | None:
    """The image encoder of a whole checkpoint; None when the file holds none.

    Raises:
        ModelError: the encoder is incomplete.
    """
    own = open_prefix(checkpoint.entries) is not None or bool(checkpoint.part(_CASCADE))
    return load_vision(checkpoint, device) if own else None


def vision_module(config: VisionConfig) -> nn.Module:
    """The network of these sizes, on the meta device."""
    with torch.device("meta"):
        return VisionTower(config)
