"""LoRAs and their kin applied to a MODEL and a CLIP.

Only weights that a file changes get a second copy, and it is made when the model is first used. Names that fit no
weight are told in one warning and left out, as ComfyUI does; a file of which no name fits, or whose shapes do not
fit, belongs to another model, which is an error.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from torch import Tensor

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint
from graphengine_nodes.diffusion.weights.weights import Change, Component

from .formats import Adapter, AdapterFile, read_adapters
from .names import Places, WeightNames, is_text_stem, model_stem, text_stem

logger = logging.getLogger(__name__)

_NAMED = 4  # how many names a warning lists
#: Which share of the weights may have another shape: the first layer of an inpainting model has.
_TOLERATED = 0.05
#: What only stems of one family have, written with underscores → what it is called. The first match counts.
_FAMILIES: tuple[tuple[str, str], ...] = (
    (r"individual_token_refiner", "HunyuanVideo"),
    (r"distilled_guidance_layer", "Chroma"),
    (r"double_blocks_\d|single_blocks_\d|single_transformer_blocks_\d", "Flux"),
    (r"joint_blocks_\d", "SD3"),
    (r"transformer_blocks_\d+_(img|txt)_(mlp|mod)", "Qwen-Image"),
    (r"transformer_blocks_\d+_attn_add_[qkv]_proj", "SD3"),
    (r"blocks_\d+_(self|cross)_attn_", "Wan"),
)
#: Width of the text states → the UNet that takes them.
_UNETS = {768: "SD1.x", 1024: "SD2.x", 2048: "SDXL", 1280: "the SDXL refiner"}


def load_lora(path: Path) -> AdapterFile:
    """The adapters of a safetensors file.

    Raises:
        ModelError: the file is missing, damaged, or its tensors do not fit each other.
    """
    checkpoint = open_checkpoint(path)
    return read_adapters(path.name, {name: checkpoint.tensor(info) for name, info in checkpoint.entries.items()})


@dataclass(frozen=True, slots=True)
class Patch:
    """One adapter as a change of one weight."""

    adapter: Adapter
    strength: float
    rows: slice | None

    def __call__(self, weight: Tensor) -> Tensor:
        """The changed weight, float32."""
        return self.adapter.changed(weight, self.strength, self.rows)


def apply_lora(
    file: AdapterFile,
    model: DiffusionModel | None,
    clip: TextEncoder | None,
    strength_model: float,
    strength_clip: float,
) -> tuple[DiffusionModel | None, TextEncoder | None]:
    """MODEL and CLIP with the changes of the file; a strength of 0 leaves them as they are.

    Raises:
        ModelError: nothing in the file fits, or it changes weights of other shapes.
    """
    if strength_model == strength_clip == 0:
        return model, clip
    fit = _Fit(file)
    if model is not None:
        component = model.network.component
        changes = fit.changes(component, fit.model_stems(), strength_model)
        model = model.patched(changes) if strength_model and changes else model
    if clip is not None:
        clip = _patched_clip(fit, clip, strength_clip)
    _report(fit, model, clip)
    return model, clip


def _patched_clip(fit: _Fit, clip: TextEncoder, strength: float) -> TextEncoder:
    components = {}
    stems = fit.text_stems(clip.towers)
    for tower, component in clip.components().items():
        changes = fit.changes(component, stems.get(tower, ()), strength)
        if strength and changes:
            components[tower] = component.patched(changes)
    return clip.with_components(components) if components else clip


class _Fit:
    """How the names of a file fit the weights of models, and which of them did."""

    def __init__(self, file: AdapterFile) -> None:
        self.file = file
        self.used: set[str] = set()
        self.misfits: dict[str, str] = {}

    def model_stems(self) -> Iterable[tuple[str, str]]:
        """Pairs (stem, stem without prefix) for the diffusion model."""
        return ((stem, model_stem(stem)) for stem in self.file.adapters if not is_text_stem(stem))

    def text_stems(self, towers: Iterable[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Pairs (stem, stem without prefix) by tower."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for stem in self.file.adapters:
            match = text_stem(stem, towers)
            if match is not None:
                found[match[0]].append((stem, match[1]))
        return found

    def changes(
        self, component: Component, stems: Iterable[tuple[str, str]], strength: float
    ) -> dict[str, list[Change]]:
        """The changes of a component's weights, by parameter; notes in `used` and `misfits` what came of stems."""
        names = WeightNames(component)
        changes: dict[str, list[Change]] = defaultdict(list)
        for stem, plain in stems:
            for adapter in self.file.adapters[stem]:
                places = names.find(plain, adapter.target)
                misfit = None if places is None else _misfit(stem, adapter, places, names)
                if misfit is not None:
                    self.misfits[stem] = misfit
                if places is None or misfit is not None:
                    continue
                self.used.add(stem)
                for place in places:
                    rows = place.rows if len(places) > 1 else None
                    changes[place.name].append(Patch(adapter, strength, rows))
        return changes


def _misfit(stem: str, adapter: Adapter, places: Places, names: WeightNames) -> str | None:
    """Why an adapter cannot change the weight at these places; None when it can."""
    shapes = [names.shapes[place.name] for place in places]
    outputs = sum(shape[0] if shape else 1 for shape in shapes)
    each = prod(shapes[0][1:])
    if adapter.size[0] != outputs or adapter.size[1] not in (None, each):
        given = " x ".join(str(size) for size in adapter.size if size is not None)
        return (
            f"{stem!r} changes a weight of {given} numbers, the model's {places[0].name!r} has {outputs} x {each}"
        )
    if len(places) > 1 and not adapter.by_rows:
        return f"{stem!r} changes a weight as a whole, which the model holds in {len(places)} parts"
    return None


def _report(fit: _Fit, model: DiffusionModel | None, clip: TextEncoder | None) -> None:
    """Warn of names that fitted nothing.

    Raises:
        ModelError: none did, or too many weights have other shapes.
    """
    file = fit.file
    if len(fit.misfits) > _TOLERATED * len(fit.used):
        raise ModelError(
            f"LoRA file {file.file!r} does not fit the model in {len(fit.misfits)} of "
            f"{len(fit.misfits) + len(fit.used)} weights: {next(iter(fit.misfits.values()))}",
            hint=_belongs(file),
        )
    wanted = [stem for stem in file.adapters if (clip if is_text_stem(stem) else model) is not None]
    left = [*(fit.misfits.get(stem, stem) for stem in wanted if stem not in fit.used), *file.unknown]
    if not fit.used:
        given = "the CLIP" if model is None else f"the model, which is of the family {model.network.family!r}"
        raise ModelError(
            f"LoRA file {file.file!r} belongs to another model: "
            f"none of its {len(left)} changes fits {given}{_first(left)}",
            hint=_belongs(file),
        )
    if left:
        logger.warning(
            "LoRA file %r: %d of its %d changes fit the model; left out are %d%s",
            *(file.file, len(fit.used), len(fit.used) + len(left), len(left), _first(left)),
        )


def _first(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = ", …" if len(names) > _NAMED else ""
    return f" ({', '.join(names[:_NAMED])}{more})"


def _belongs(file: AdapterFile) -> str:
    family = family_of(file)
    if family is None:
        return "use a LoRA that was made for this model"
    return f"the file seems to be for {family}; load it with such a model"


def family_of(file: AdapterFile) -> str | None:
    """The family that the names and sizes in a file point to, for messages; None when they do not tell."""
    flat = {stem.replace(".", "_"): adapters for stem, adapters in file.adapters.items()}
    for pattern, family in _FAMILIES:
        if any(re.search(pattern, stem) for stem in flat):
            return family
    for stem, adapters in flat.items():
        if stem.endswith("attn2_to_k"):
            for adapter in adapters:
                return _UNETS.get(adapter.size[1] or 0)
    return None
