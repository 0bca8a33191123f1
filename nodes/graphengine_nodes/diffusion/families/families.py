"""Which model families are known: one entry each, the first that matches the diffusion network of a file loads it.

A new family is a `Family` (family.py) in a module of its own, and an entry in `FAMILIES`; entries that ask for
something special come before those that ask for less.
"""

from __future__ import annotations

from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.text.embeddings import FindFile, no_embedding_files
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.weights import detect
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo

from .dit_families import TRANSFORMER_FAMILIES
from .family import Family
from .sd_families import SD_FAMILIES
from .video_family import VIDEO_FAMILIES

__all__ = ["FAMILIES", "Family", "find_family", "load_checkpoint", "load_clip", "load_model", "network_part"]

FAMILIES: tuple[Family, ...] = (*SD_FAMILIES, *VIDEO_FAMILIES, *TRANSFORMER_FAMILIES)

_NETWORK_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "")


def network_part(checkpoint: Checkpoint) -> dict[str, TensorInfo]:
    """The tensors of a file's diffusion network without the prefix; all tensors of a file that has no prefix."""
    parts = (checkpoint.part(prefix) for prefix in _NETWORK_PREFIXES)
    return next(part for part in parts if part)


def find_family(checkpoint: Checkpoint) -> Family:
    """The family of the diffusion network in a file, be it a whole checkpoint or the network alone.

    Raises:
        ModelError: no family fits; the message says what the file seems to be.
    """
    part = network_part(checkpoint)
    for family in FAMILIES:
        if family.matches(part):
            return family
    known = [family.title for family in FAMILIES]
    raise detect.refusal(checkpoint.path.name, checkpoint.entries, known=known)


def load_model(checkpoint: Checkpoint, device: str) -> DiffusionModel:
    """The MODEL of a file of any known family.

    Raises:
        ModelError: the family is not known, or the network is incomplete.
    """
    return find_family(checkpoint).load_model(checkpoint, network_part(checkpoint), device)


def load_clip(checkpoint: Checkpoint, device: str, files: FindFile = no_embedding_files) -> TextEncoder | None:
    """The CLIP of a whole checkpoint; None when the file holds none. files finds embeddings by name.

    Raises:
        ModelError: the family is not known, or a text tower is incomplete.
    """
    return find_family(checkpoint).load_clip(checkpoint, device, files)


def load_checkpoint(
    checkpoint: Checkpoint, device: str, files: FindFile = no_embedding_files
) -> tuple[DiffusionModel, TextEncoder | None, VAE | None]:
    """MODEL, CLIP and VAE of a whole checkpoint; CLIP and VAE are None when the file holds none.

    Raises:
        ModelError: the family is not known, or a part is incomplete.
    """
    family = find_family(checkpoint)
    model = family.load_model(checkpoint, network_part(checkpoint), device)
    return model, family.load_clip(checkpoint, device, files), family.load_vae(checkpoint, device)
