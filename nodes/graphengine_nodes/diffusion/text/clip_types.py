"""The types of the nodes that load text encoders: one entry each, a function of the files that makes the CLIP."""

from __future__ import annotations

from collections.abc import Mapping

from graphengine.node.api import ModelError

from .clip_files import SD_TYPES, EncoderFiles, LoadEncoder
from .stable_cascade_text import stable_cascade
from .text_encode import TextEncoder
from .text_towers.loading import TRANSFORMER_TYPES

CLIP_TYPES: Mapping[str, LoadEncoder] = {
    **SD_TYPES,
    "stable_cascade": stable_cascade,
    **TRANSFORMER_TYPES,
}
"""By the names that the loaders offer. Families add theirs here."""


def load_encoder(name: str, files: EncoderFiles) -> TextEncoder:
    """The CLIP of one type from the files given.

    Raises:
        ModelError: the type is of a family that is not known, or the files are not those that it needs.
    """
    if name not in CLIP_TYPES:
        raise ModelError(
            f"text encoders of the type {name!r} cannot be loaded yet",
            hint=f"types that can: {', '.join(sorted(CLIP_TYPES))}",
        )
    return CLIP_TYPES[name](files)
