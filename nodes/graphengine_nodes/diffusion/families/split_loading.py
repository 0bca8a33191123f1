"""Diffusion models and text encoders from files of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from graphengine.node.api import NodeContext
from graphengine_nodes.diffusion.dit.families import find_architecture, load_transformer
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.text.clip_files import EncoderFiles
from graphengine_nodes.diffusion.text.clip_types import load_encoder
from graphengine_nodes.diffusion.text.embeddings import embedding_files
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.text.text_towers.vocabularies import tokenizer_files
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, open_checkpoint

from .families import load_model, network_part

WEIGHT_DTYPES: Mapping[str, torch.dtype | None] = {
    "default": None,
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e4m3fn_fast": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}
"""What weights are rounded to. ComfyUI's "fast" multiplies in 8 bits besides, on cards that can; here it is
the same as without."""


def load_diffusion_model(checkpoint: Checkpoint, weight_dtype: str, device: str) -> DiffusionModel:
    """The MODEL of a file of any known family, its weights rounded to one of `WEIGHT_DTYPES`.

    Raises:
        ModelError: the family is not known, or the network is incomplete.
        ValueError: there is no such dtype.
    """
    if weight_dtype not in WEIGHT_DTYPES:
        raise ValueError(f"weight_dtype is {weight_dtype!r}; known: {', '.join(WEIGHT_DTYPES)}")
    rounded = WEIGHT_DTYPES[weight_dtype]
    part = network_part(checkpoint)
    architecture = find_architecture(part)
    if architecture is not None:
        return load_transformer(architecture, checkpoint, part, device, rounded)
    model = load_model(checkpoint, device)
    if rounded is None:
        return model

    def round_weight(weight: Tensor) -> Tensor:
        return weight.to(rounded).to(torch.float32)

    return model.patched({name: [round_weight] for name in model.network.component.shapes()})


def load_text_encoders(kind: str, names: Sequence[str], context: NodeContext) -> TextEncoder:
    """The CLIP of a type from files in the folder of text encoders.

    Raises:
        ModelError: the files are not those that the type needs.
    """
    folders = context.folders
    checkpoints = tuple(open_checkpoint(folders.path("text_encoders", name)) for name in names)
    files = EncoderFiles(checkpoints, context.device, embedding_files(folders), tokenizer_files(folders))
    return load_encoder(kind, files)
