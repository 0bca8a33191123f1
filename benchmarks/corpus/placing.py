"""Puts tiny files where a document's nodes look for those that it names."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path, PurePosixPath

from graphengine.workflow.models import NodeId

from . import additions, checkpoints, encoders
from .documents import NamedFile
from .inputs import write_input
from .shrinking import as_safetensors
from .vaes import VAES

Make = Callable[[Path], object]
_UNSHIPPED = ("llama3", "gemma2", "pile_t5")


class NoMaker(Exception):
    """There is no tiny model of the family that a file name means; the message names both."""


class Shelf:
    """Tiny models that are made once and linked into the folder of each document."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._gligen = False  # whether the document's SD1 is one that GLIGEN fits

    def place(self, named: Sequence[NamedFile], models: Path, inputs: Path) -> dict[tuple[NodeId, str], str]:
        """Make what the documents' nodes name, and say which inputs get another value.

        Raises:
            NoMaker: the file belongs to a family that there is no tiny model of.
        """
        self._gligen = any(file.kind == "gligen" for file in named)
        changed = {}
        for file in named:
            if file.kind == "input":
                write_input(inputs / _relative(re.sub(r" \[\w+\]$", "", file.name)))
                continue
            name = as_safetensors(file.name)
            if file.kind == "embeddings":
                name = f"{file.name}.safetensors"  # a text names it, mostly without its ending
            elif name != file.name:
                changed[file.node, file.input] = name
            self._link(self._made(file), models / file.kind / _relative(name))
        self._link_tokenizers(models / "tokenizers")
        return changed

    def _made(self, file: NamedFile) -> Path:
        """The tiny file for a name, from the shelf when it is there."""
        key, make = self._maker(file)
        path = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
        if not path.exists():
            part = path.with_suffix(".part")
            make(part)
            part.rename(path)
        return path

    def _maker(self, file: NamedFile) -> tuple[str, Make]:
        name = file.name.lower().replace("\\", "/")
        match file.kind:
            case "checkpoints":
                return self._model("checkpoints", checkpoints.CHECKPOINTS, name)
            case "diffusion_models":
                return self._model("diffusion_models", checkpoints.DIFFUSION_MODELS, name)
            case "text_encoders":
                return _first(file.kind, encoders.TEXT_ENCODERS, name)
            case "clip_vision":
                return _first(file.kind, encoders.IMAGE_ENCODERS, name)
            case "vae":
                return _first(file.kind, VAES, name)
            case "controlnet":
                return _first(file.kind, additions.CONTROLS, name)
            case "upscale_models":
                return _first(file.kind, additions.UPSCALERS, name)
            case "loras":
                return self._lora(file)
        made = _BY_KIND.get(file.kind)
        if made is None:
            raise NoMaker(f"nothing tiny can be made for {file.name!r} in the folder {file.kind!r}")
        return file.kind, made

    def _model(self, kind: str, makers: Mapping[str, Make], name: str) -> tuple[str, Make]:
        family = self._family(name)
        make = makers.get(family)
        if make is None:
            raise NoMaker(f"there is no tiny model of the family {family!r} for {name!r} in {kind!r}")
        return f"{kind}/{family}", make

    def _family(self, name: str) -> str:
        found = next((family for pattern, family in checkpoints.FAMILIES if re.search(pattern, name)), "sd1")
        return "sd1_gligen" if found == "sd1" and self._gligen else found

    def _lora(self, file: NamedFile) -> tuple[str, Make]:
        family = self._family(file.model.lower())
        kind = "checkpoints" if family in checkpoints.CHECKPOINTS else "diffusion_models"
        model = self._made(NamedFile(file.node, file.input, kind, file.model))
        return f"loras/{family}", partial(additions.lora, model=model)

    def _link(self, made: Path, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            os.link(made, place)

    def _link_tokenizers(self, folder: Path) -> None:
        """The vocabulary of T5 where those of models belong whose own may not be shipped."""
        made = self.folder / "tokenizer.json"
        if not made.exists():
            packed = files("graphengine_nodes.diffusion").joinpath("data/t5_tokenizer.json.xz").read_bytes()
            made.write_bytes(lzma.decompress(packed))
        for name in _UNSHIPPED:
            self._link(made, folder / name / "tokenizer.json")


_BY_KIND: dict[str, Make] = {
    "style_models": encoders.redux,
    "gligen": additions.gligen,
    "hypernetworks": additions.hypernetwork,
    "embeddings": additions.embedding,
    "model_patches": additions.diffsynth,
}


def _first(kind: str, makers: Sequence[tuple[str, Make]], name: str) -> tuple[str, Make]:
    pattern, make = next(entry for entry in makers if re.search(entry[0], name))
    return f"{kind}/{pattern}", make


def _relative(name: str) -> PurePosixPath:
    """A name below a folder.

    Raises:
        NoMaker: it leads out of its folder.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise NoMaker(f"the file name {name!r} leads out of its folder")
    return path
