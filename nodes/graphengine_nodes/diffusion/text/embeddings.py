"""Textual inversion embeddings: the files that `embedding:name` in a prompt stands for.

A file holds vectors for one text tower, under any name, or for several, under the names of the towers: `clip_l`,
`clip_g`, `clip_h`. Vectors that do not fit the tower are left out with a warning, as ComfyUI does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from graphengine.node.api import Folders
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo, open_checkpoint

from .prompt import FindEmbedding

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

FindFile = Callable[[str], Path | None]
"""The file of an embedding by its name in a prompt."""

_SUFFIXES = ("", ".safetensors", ".sft", ".pt", ".bin")
_TRAINED = "string_to_param."  # the table of the vectors in files of the first trainers


def embedding_files(folders: Folders) -> FindFile:
    """Looks names up in the folder "embeddings", with and without the ending of the file."""

    def find(name: str) -> Path | None:
        found = (folders.find("embeddings", name + suffix) for suffix in _SUFFIXES)
        return next((path for path in found if path is not None), None) if name else None

    return find


def no_embedding_files(name: str) -> Path | None:
    """Where there is no folder: no name has a file."""
    return None


def embedding_finder(files: FindFile, key: str, width: int) -> FindEmbedding:
    """The vectors of embeddings for one tower: key is its name in files ("clip_l"), width that of its states.

    The function that is given raises ModelError for a file that cannot be read.
    """

    def find(name: str) -> list[Tensor] | None:
        path = files(name)
        return None if path is None else _vectors(open_checkpoint(path), name, key, width)

    return find


def _vectors(checkpoint: Checkpoint, name: str, key: str, width: int) -> list[Tensor]:
    """Vectors (D,) in float32; none when they are not for this tower."""
    entries = checkpoint.entries
    trained = (info for found, info in entries.items() if found.startswith(_TRAINED))
    info = entries.get(key) or next(trained, None) or next(iter(entries.values()))
    if not _fits(info, width):
        logger.warning(
            "embedding %r has vectors of shape %s, but the text tower %s takes %d numbers per token; "
            "it is left out of the prompt",
            name,
            list(info.shape),
            key,
            width,
        )
        return []
    return list(checkpoint.tensor(info).float().clone().reshape(-1, width))


def _fits(info: TensorInfo, width: int) -> bool:
    return len(info.shape) in (1, 2) and info.shape[-1] == width
