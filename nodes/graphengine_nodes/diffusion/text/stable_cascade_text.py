"""The CLIP of Stable Cascade: CLIP-G, of which the last layer's states are taken without the final norm."""

from __future__ import annotations

from dataclasses import replace

from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo

from .clip_files import EncoderFiles, required_size
from .embeddings import FindFile
from .prompt import CLIP_L
from .text_encode import TextEncoder
from .towers import SDXL_G, clip_tower

CASCADE_G = replace(SDXL_G, layer=-1, form=CLIP_L, masked=True)
"""Padded with the end token, whose states see none of the padding."""

_PREFIXES = (
    "text_encoder.clip_g.transformer.",
    "text_encoder.clip_g.",
    "text_encoder.transformer.",
    "text_encoder.",
)


def load_cascade_clip(checkpoint: Checkpoint, device: str, files: FindFile) -> TextEncoder | None:
    """The CLIP in a checkpoint of stage C; None when it holds none, as those of stage B.

    Raises:
        ModelError: the tower is incomplete.
    """
    part = _part(checkpoint)
    return TextEncoder({"g": clip_tower(checkpoint, part, CASCADE_G, device, files)}) if part else None


def _part(checkpoint: Checkpoint) -> dict[str, TensorInfo]:
    for prefix in _PREFIXES:
        part = checkpoint.part(prefix)
        if part:
            beside = checkpoint.part(prefix.removesuffix("transformer."))
            projection = {name: info for name, info in beside.items() if name == "text_projection.weight"}
            return part | projection
    return {}


def stable_cascade(files: EncoderFiles) -> TextEncoder:
    """The CLIP of Stable Cascade from a file of its own, CLIP-G.

    Raises:
        ModelError: the file holds something else.
    """
    checkpoint = files.checkpoints[0]
    required_size(checkpoint)
    return TextEncoder({"g": files.tower(checkpoint, CASCADE_G)})
