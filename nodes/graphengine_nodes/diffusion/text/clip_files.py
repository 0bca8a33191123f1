"""Text encoders of files of their own: which tower a file holds, and the CLIP values of Stable Diffusion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.weights import detect
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint
from graphengine_nodes.diffusion.weights.keymaps import clip_places

from .embeddings import FindFile, no_embedding_files
from .text_encode import TextEncoder
from .text_towers.vocabularies import FindTokenizer, no_tokenizer
from .towers import SD1_L, SD2_H, SDXL_G, SDXL_L, ClipKind, ClipTower, clip_tower, join_sdxl

_LAYERS_OF_H, _LAYERS_OF_G = 23, 31  # as many at least: CLIP-L has 12, CLIP-H 24, CLIP-G 32


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """The files that a loader was given, in its order, where to compute, and how other files are found."""

    checkpoints: tuple[Checkpoint, ...]
    device: str
    embeddings: FindFile = no_embedding_files
    tokenizers: FindTokenizer = no_tokenizer

    def tower(self, checkpoint: Checkpoint, kind: ClipKind) -> ClipTower:
        """The CLIP tower in one of the files.

        Raises:
            ModelError: it is incomplete.
        """
        return clip_tower(checkpoint, checkpoint.entries, kind, self.device, self.embeddings)


LoadEncoder = Callable[[EncoderFiles], TextEncoder]
"""Makes the CLIP of one type; raises `ModelError` when the files are not those that it needs."""


@dataclass(frozen=True, slots=True)
class ClipSize:
    """Which CLIP tower a file holds, "l", "h" or "g", and how wide it is."""

    tower: str
    width: int


def clip_size(checkpoint: Checkpoint) -> ClipSize | None:
    """The CLIP tower of a file, in the layout of transformers or of OpenCLIP; None when it is something else."""
    shapes = {name: info.shape for name, info in checkpoint.entries.items()}
    placed = {places[0].name: shapes[name] for name, places in clip_places(shapes).items()}
    embedding = placed.get("text_model.embeddings.token_embedding.weight")
    if embedding is None or len(embedding) != 2 or "text_model.embeddings.position_embedding.weight" not in placed:
        return None
    layers = detect.clip_layers(placed)
    tower = "g" if layers >= _LAYERS_OF_G else "h" if layers >= _LAYERS_OF_H else "l"
    return ClipSize(tower, embedding[1])


def required_size(checkpoint: Checkpoint) -> ClipSize:
    """The CLIP tower of a file.

    Raises:
        ModelError: it holds none.
    """
    size = clip_size(checkpoint)
    if size is None:
        raise detect.refusal(checkpoint.path.name, checkpoint.entries, "a CLIP text encoder")
    return size


def stable_diffusion(files: EncoderFiles) -> TextEncoder:
    """The CLIP of SD1.x (CLIP-L), SD2.x (CLIP-H) or of SDXL's refiner (CLIP-G) in one file; SDXL's in two.

    Raises:
        ModelError: the files hold something else.
    """
    if len(files.checkpoints) == 2:
        return sdxl(files)
    (checkpoint,) = _given(files, 1)
    tower = required_size(checkpoint).tower
    return TextEncoder({tower: files.tower(checkpoint, _ALONE[tower])})


def sdxl(files: EncoderFiles) -> TextEncoder:
    """The CLIP of SDXL: CLIP-L and CLIP-G, in either order. Of two that look alike the wider one is CLIP-G.

    Raises:
        ModelError: the files hold something else.
    """
    given = sorted(_given(files, 2), key=lambda checkpoint: _rank(required_size(checkpoint)))
    small, large = given
    return TextEncoder({"g": files.tower(large, SDXL_G), "l": files.tower(small, SDXL_L)}, join_sdxl)


_ALONE: Mapping[str, ClipKind] = {"l": SD1_L, "h": SD2_H, "g": SDXL_G}

SD_TYPES: Mapping[str, LoadEncoder] = {"stable_diffusion": stable_diffusion, "sdxl": sdxl}
"""The types of the CLIP loaders that are Stable Diffusion's."""


def _rank(size: ClipSize) -> tuple[int, int]:
    return "lhg".index(size.tower), size.width


def _given(files: EncoderFiles, number: int) -> Sequence[Checkpoint]:
    if len(files.checkpoints) != number:
        names = ", ".join(repr(checkpoint.path.name) for checkpoint in files.checkpoints)
        raise ModelError(
            f"this type of CLIP is made of {number} file{'s' if number > 1 else ''}, not of {names}",
            hint="use CLIPLoader for one file and DualCLIPLoader for two",
        )
    return files.checkpoints
