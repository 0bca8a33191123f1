"""Changes of weights as node packs hand them over: by ComfyUI's names, with two strengths.

A patch is one of:

- (difference,) or ("diff", (difference,)): strength times the difference is added
- (None,): nothing is added, so that only strength_model counts
- ("set", (weight,)): the weight itself
- ("lora", (up, down, alpha or None, middle or None, …)): the low-rank difference of Hu et al. (2021)
- what `key_patches` gives for a weight of another model: that weight is added
- an `Adapter` of a LoRA file

The result is strength_model times the weight, plus strength times what the patch adds. Names are those of the
file, after "diffusion_model."; one that became part of several parameters is split as the file's tensor was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.weights.weights import Change, Component, Place

from . import lora_formulas

PREFIX = "diffusion_model."

# Any throughout: a patch is one of several tuples, made by packs.


@dataclass(frozen=True, slots=True, eq=False)
class FileWeight:
    """A tensor of a model's file with all changes made to it, computed when it is asked for."""

    component: Component
    places: Sequence[Place]

    def __call__(self) -> Tensor:
        """The tensor, float32 on the CPU."""
        return torch.cat([self.component.weight(place.name) for place in self.places])


def key_patches(component: Component, prefix: str | None = None) -> dict[str, list[FileWeight]]:
    """The weights whose names begin with prefix, by ComfyUI's names, in the form that `changes` takes."""
    named = {f"{PREFIX}{name}": places for name, places in component.sources.items()}
    return {
        name: [FileWeight(component, places)]
        for name, places in named.items()
        if prefix is None or name.startswith(prefix)
    }


def changes(
    component: Component, patches: Mapping[Any, Any], strength: float = 1.0, strength_model: float = 1.0
) -> tuple[dict[str, list[Change]], list[Any]]:
    """The changes by parameter name, and the keys that name a weight of the component.

    A key is a name, or (name, (dimension, start, length)) for a part of the weight.

    Raises:
        ValueError: a patch has a form that is not known here.
    """
    made: dict[str, list[Change]] = {}
    applied = []
    for key, patch in patches.items():
        name, part = (key, None) if isinstance(key, str) else (key[0], key[1])
        places = component.sources.get(name.removeprefix(PREFIX))
        if places is None:
            continue
        applied.append(key)
        addition = _addition(name, patch)
        for place in places:
            common = _common(place.rows, part)
            if common is not None:
                change = _Patched(addition, strength, strength_model, *common)
                made.setdefault(place.name, []).append(change)
    return made, applied


Part = tuple[int, int, int]
"""Dimension, start and length of what a patch is for."""


def _common(rows: slice | None, part: Part | None) -> tuple[slice | None, Part | None] | None:
    """Rows of the patch, and part of the parameter, where a patch and a parameter meet; None if nowhere.

    rows: those of the file's tensor that the parameter is. part: that of the file's tensor the patch is for.
    """
    if rows is None or part is None or part[0] != 0:
        return rows, part
    start, end = max(rows.start, part[1]), min(rows.stop, part[1] + part[2])
    if start >= end:
        return None
    return slice(start - part[1], end - part[1]), (0, start - rows.start, end - start)


def patched_weight(name: str, weight: Tensor, patches: Sequence[Sequence[Any]]) -> Tensor:
    """The weight after patches, each (strength, patch, strength_model, part, function) as ComfyUI keeps them.

    part: dimension, start and length of what is changed, or None for all.

    Raises:
        ValueError: a patch has a form that is not known, or comes with a function.
    """
    for strength, patch, strength_model, part, *function in patches:
        if function and function[0] is not None:
            raise ValueError(f"weight {name!r} is given a patch with a function, which is not called here")
        weight = _Patched(_addition(name, patch), strength, strength_model, None, part)(weight)
    return weight


Addition = Callable[[Tensor, float, slice | None], Tensor]
"""(weight, strength, rows of the file's tensor that it is) → the weight with the addition."""


@dataclass(frozen=True, slots=True, eq=False)
class _Patched:
    addition: Addition
    strength: float
    strength_model: float
    rows: slice | None
    part: Part | None

    def __call__(self, weight: Tensor) -> Tensor:
        if self.part is None:
            return self.addition(weight * self.strength_model, self.strength, self.rows)
        changed = weight.clone()
        narrowed = changed.narrow(*self.part)
        narrowed.copy_(self.addition(narrowed * self.strength_model, self.strength, self.rows))
        return changed


def _addition(name: str, patch: Any) -> Addition:
    """What a patch does to a weight of this name."""
    if hasattr(patch, "changed"):
        changed: Addition = patch.changed
        return changed
    if isinstance(patch, list) and len(patch) == 1 and isinstance(patch[0], FileWeight):
        return _added(patch[0])
    match patch:
        case (None,):
            return lambda weight, strength, rows: weight
        case (Tensor() as difference,) | ("diff", (Tensor() as difference, *_)):
            return _added(lambda: difference)
        case ("set", (Tensor() as value, *_)):
            return lambda weight, strength, rows: _rows(value, rows).reshape(weight.shape).to(weight)
        case ("lora", (Tensor() as up, Tensor() as down, alpha, middle, *rest)) if not any(
            isinstance(part, Tensor) for part in rest
        ):
            scale = 1.0 if alpha is None else float(alpha) / len(down)
            return _added(lambda: lora_formulas.low_rank(up.float(), down.float(), middle) * scale)
    kind = patch[0] if isinstance(patch, tuple) and patch and isinstance(patch[0], str) else type(patch).__name__
    raise ValueError(
        f"weight {name!r} is given a patch of kind {kind!r}, which graphengine cannot apply; "
        "it takes differences, 'set' and 'lora' without further tensors, and weights of other models"
    )


def _added(difference: Callable[[], Tensor]) -> Addition:
    def added(weight: Tensor, strength: float, rows: slice | None) -> Tensor:
        if strength == 0:
            return weight
        whole = difference().to(weight.device, torch.float32)
        return weight + strength * _rows(whole, rows).reshape(weight.shape)

    return added


def _rows(tensor: Tensor, rows: slice | None) -> Tensor:
    return tensor if rows is None else tensor[rows]
