"""Models as files: every weight under the name that the family's own files have for it.

A part of a model (network, text tower, VAE) is written as it was read: names, shapes and tensors that the network
has no use for are those of the file it came from, so that whatever reads that file reads this one. Weights keep
their precision until one of them is changed; then all of the part have the precision that it computes in, so that
the file gives the same bits when it is loaded. Tensors are written one by one: a model is never in memory twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.core.output_files import expand_prefix, output_place, write_streamed
from graphengine_nodes.diffusion.dit.loading import weights_of
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.vision.layout import open_prefix
from graphengine_nodes.diffusion.vision.vision import ClipVision
from graphengine_nodes.diffusion.weights.checkpoint import DTYPES, Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Component, Place

_NETWORK = "model.diffusion_model."
_CAMERA = "cc_projection."  # of Zero123
#: What stands before an image encoder, by the family of the model: in Zero123, and in Stable Video Diffusion.
_VISION_PREFIXES = {
    "sd1": "cond_stage_model.model.visual.",
    "svd": "conditioner.embedders.0.open_clip.model.visual.",
}
_VAE_PREFIXES = ("first_stage_model.", "vae.")
_TYPES = {getattr(torch, name): code for code, (_, name) in DTYPES.items()}
_ALIGNMENT = 8
_ZERO_TERMINAL = 1000.0  # a largest sigma above it means zero terminal SNR; that of Stable Diffusion is 14.6


@dataclass(frozen=True, slots=True)
class ToSave:
    """A tensor of a file to come: what its header says, and what gives it."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    get: Callable[[], Tensor]

    @property
    def size(self) -> int:
        """Its bytes."""
        return prod(self.shape) * self.dtype.itemsize


Tensors = Mapping[str, ToSave]


def given(tensor: Tensor) -> ToSave:
    """A tensor that is there already."""
    return ToSave(tensor.dtype, tuple(tensor.shape), lambda: tensor)


def component_tensors(component: Component) -> dict[str, ToSave]:
    """The tensors of a part by their names in its file, without the prefix that they had there.

    Raises:
        GraphEngineError: the component does not tell where its weights came from.
    """
    part, dtype = _part_of(component), component.kept_dtype
    if dtype is None:
        return {name: _raw(component.checkpoint, info) for name, info in part.items()}
    return {
        name: _weight(component, info, component.sources[name], dtype)
        if name in component.sources
        else _raw(component.checkpoint, info)
        for name, info in weights_of(part).items()
    }


def _part_of(component: Component) -> dict[str, TensorInfo]:
    entries = component.checkpoint.entries
    names = list(component.sources)
    for entry in entries if names else ():
        prefix = entry.removesuffix(names[0])
        if entry.endswith(names[0]) and all(prefix + name in entries for name in names):
            return component.checkpoint.part(prefix)
    raise GraphEngineError(
        f"the weights from {component.checkpoint.path.name!r} cannot be saved: their original names are not known"
    )


def _raw(checkpoint: Checkpoint, info: TensorInfo) -> ToSave:
    dtype: torch.dtype = getattr(torch, DTYPES[info.dtype][1])
    return ToSave(dtype, info.shape, lambda: checkpoint.tensor(info))


def _weight(component: Component, info: TensorInfo, places: Iterable[Place], dtype: torch.dtype) -> ToSave:
    ordered = sorted(places, key=lambda place: 0 if place.rows is None else place.rows.start)

    def get() -> Tensor:
        parts = [component.kept(place.name) for place in ordered]
        return (torch.cat(parts) if len(parts) > 1 else parts[0]).reshape(info.shape)

    return ToSave(dtype, info.shape, get)


def model_tensors(model: DiffusionModel) -> dict[str, ToSave]:
    """The network of a MODEL as it stands in a checkpoint, and the marks of what it predicts.

    Raises:
        ModelError: the MODEL has no weights.
        GraphEngineError: it does not tell where they came from.
    """
    tensors = _under(_NETWORK, component_tensors(model.network.component))
    sampling = model.sampling
    if isinstance(sampling, DiscreteSampling) and sampling.prediction == "v":
        tensors["v_pred"] = given(torch.tensor([]))
        if float(sampling.sigmas.max()) > _ZERO_TERMINAL:
            tensors["ztsnr"] = given(torch.tensor([]))
    return tensors


def clip_tensors(clip: TextEncoder, family: str) -> dict[str, ToSave]:
    """The towers of a CLIP as they stand in a checkpoint of the family.

    Raises:
        GraphEngineError: a tower does not tell where its weights came from.
    """
    tensors: dict[str, ToSave] = {}
    for tower, component in clip.components().items():
        own = component_tensors(component)
        tensors |= _under(_tower_prefix(family, tower, own), own)
    return tensors


def _tower_prefix(family: str, tower: str, names: Iterable[str]) -> str:
    """What stands before the names of a tower in checkpoints of the family."""
    layout = "model." if any(name.startswith("transformer.resblocks.") for name in names) else "transformer."
    match family, tower:
        case (("sd1" | "sd2"), _):
            return f"cond_stage_model.{layout}"
        case "sdxl", "l":
            return f"conditioner.embedders.0.{layout}"
        case "sdxl", _:
            return "conditioner.embedders.1.model."
        case "sdxl_refiner", _:
            return "conditioner.embedders.0.model."
    return f"text_encoders.{_file_name(tower)}.transformer."


def _file_name(tower: str) -> str:
    return f"clip_{tower}" if len(tower) == 1 else tower


def vae_tensors(vae: VAE) -> dict[str, ToSave]:
    """The tensors of a VAE as its file has them, without a prefix.

    Raises:
        GraphEngineError: the VAE does not tell where its weights came from.
    """
    stage = vae.decoder
    if not isinstance(stage, Component):
        raise GraphEngineError("this VAE cannot be saved: it does not tell where its weights came from")
    checkpoint = stage.checkpoint
    parts = (checkpoint.part(prefix) for prefix in (*_VAE_PREFIXES, ""))
    part = next(part for part in parts if part)
    return {name: _raw(checkpoint, info) for name, info in part.items()}


def checkpoint_tensors(model: DiffusionModel, clip: TextEncoder | None, vae: VAE | None) -> dict[str, ToSave]:
    """All parts of a checkpoint; a CLIP or VAE that is None is left out.

    Raises:
        ModelError: the MODEL has no weights.
        GraphEngineError: a part does not tell where its weights came from.
    """
    tensors = model_tensors(model)
    if clip is not None:
        tensors |= clip_tensors(clip, model.network.family)
    if vae is not None:
        tensors |= _under(_VAE_PREFIXES[0], vae_tensors(vae))
    return tensors


def image_only_tensors(model: DiffusionModel, vision: ClipVision | None, vae: VAE | None) -> dict[str, ToSave]:
    """All parts of a checkpoint whose model is told pictures; a CLIP_VISION or VAE that is None is left out.

    Raises:
        ModelError: the MODEL has no weights.
        GraphEngineError: a part does not tell where its weights came from, or the image encoder has another layout
            than such checkpoints have.
    """
    tensors = checkpoint_tensors(model, None, vae)
    camera = model.network.component.checkpoint
    tensors |= {name: _raw(camera, info) for name, info in camera.entries.items() if name.startswith(_CAMERA)}
    if vision is None:
        return tensors
    own = list(vision.component.sources)
    prefix = open_prefix(own)
    if prefix is None:
        raise GraphEngineError(
            "the image encoder cannot be saved with the model: it has the layout of transformers",
            hint="use the image encoder of an image-only checkpoint, or one in the layout of OpenCLIP",
        )
    checkpoint = vision.component.checkpoint
    to = _VISION_PREFIXES.get(model.network.family, _VISION_PREFIXES["svd"])
    return tensors | {to + name.removeprefix(prefix): _raw(checkpoint, checkpoint.entries[name]) for name in own}


def tower_files(clip: TextEncoder) -> dict[str, dict[str, ToSave]]:
    """The towers of a CLIP, each as a file of its own, by what such a file is called: "clip_l", "t5xxl".

    Raises:
        GraphEngineError: a tower does not tell where its weights came from.
    """
    return {_file_name(tower): component_tensors(part) for tower, part in clip.components().items()}


def _under(prefix: str, tensors: Tensors) -> dict[str, ToSave]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


# Any: documents of the editor, as the engine hands them to nodes.
def save_tensors(
    tensors: Tensors,
    root: Path,
    prefix: str,
    *,
    ending: str = "",
    prompt: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    check: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """Write a file `prefix[_ending]_00001_.safetensors` below root, whole or not at all.

    Gives `{"filename", "subfolder"}`. prompt and the documents of extra stand in the metadata of the file. check
    is called before each tensor and may raise.

    Raises:
        FileRefused: the prefix leads out of the folder.
        GraphEngineError: the file cannot be written.
    """
    expanded = expand_prefix(prefix, datetime.now(), prompt=prompt)
    place = output_place(root, f"{expanded}_{ending}" if ending else expanded)
    documents = {**({} if prompt is None else {"prompt": prompt}), **(extra or {})}
    metadata = {name: json.dumps(document) for name, document in documents.items()}
    name = write_streamed(place, ".safetensors", lambda file: write_safetensors(file, tensors, metadata, check))
    return {"filename": name, "subfolder": place.subfolder}


@torch.no_grad()
def write_safetensors(
    file: BinaryIO, tensors: Tensors, metadata: Mapping[str, str], check: Callable[[], None] = lambda: None
) -> None:
    """Write tensors in the safetensors format (https://github.com/huggingface/safetensors), one after the other.

    Wider types come first, so that every tensor is aligned. check is called before each tensor and may raise.

    Raises:
        OSError: the file cannot be written.
    """
    ordered = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in ordered:
        tensor = tensors[name]
        start, end = end, end + tensor.size
        header[name] = {"dtype": _TYPES[tensor.dtype], "shape": tensor.shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in ordered:
        check()
        if tensors[name].size:
            file.write(tensors[name].get().contiguous().reshape(-1).view(torch.uint8).numpy().data)
