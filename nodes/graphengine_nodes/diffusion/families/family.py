"""What a model family is for the loaders: how it is recognised, and how its MODEL, CLIP and VAE are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.text.embeddings import FindFile
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo

Part = Mapping[str, TensorInfo]
"""The tensors of one network of a file, named without the prefix that they have there."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family of models; `FAMILIES` in families.py lists all.

    title: what messages call a file of it, such as "an SDXL model". matches: whether the tensors of a diffusion
    network are of this family, by names and shapes alone. load_model: the MODEL of (file, tensors of the
    network, device). load_clip: the CLIP in a whole checkpoint, None when it holds none; the last argument finds
    textual inversion embeddings. load_vae: the VAE in it, or None. Loaders raise `ModelError`.
    """

    name: str
    title: str
    matches: Callable[[Part], bool]
    load_model: Callable[[Checkpoint, Part, str], DiffusionModel]
    load_clip: Callable[[Checkpoint, str, FindFile], TextEncoder | None]
    load_vae: Callable[[Checkpoint, str], VAE | None]
