"""The difference of two models written down as a LoRA file.

The nearest matrix of rank r is that of the r largest singular values (Eckart and Young, 1936). As in the
extraction script of kohya's sd-scripts (Apache-2.0), the first factor holds the singular values, and both factors
are cut at the 99 % quantile of their numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy
import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.lora_keys import tower_prefix
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.model.weight_patches import PREFIX
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.weights.weights import Component

from .saving import ToSave, given

Kind = Literal["standard", "full_diff"]

_QUANTILE = 0.99


def extracted_lora(
    model: DiffusionModel | None,
    clip: TextEncoder | None,
    kind: Kind,
    rank: int,
    *,
    biases: bool,
    check: Callable[[], None] = lambda: None,
) -> dict[str, ToSave]:
    """The tensors of a LoRA file that adds the weights of MODEL and CLIP, two differences; see `extracted`."""
    parts = {} if model is None else {PREFIX: model.network.component}
    if clip is not None:
        parts |= {f"text_encoders.{tower_prefix(name)}": part for name, part in clip.components().items()}
    tensors: dict[str, ToSave] = {}
    for prefix, component in parts.items():
        tensors |= extracted(component, prefix, kind, rank, biases=biases, check=check)
    return tensors


def extracted(
    difference: Component,
    prefix: str,
    kind: Kind,
    rank: int,
    *,
    biases: bool,
    check: Callable[[], None] = lambda: None,
) -> dict[str, ToSave]:
    """The tensors of a LoRA file that adds the weights of a component, float16; names begin with the prefix.

    kind: "standard" writes two factors of at most the rank for each matrix, "full_diff" all numbers. Weights with
    one dimension are written with the biases, as they are. check is called before each weight and may raise.
    """
    tensors: dict[str, ToSave] = {}
    shapes = difference.shapes()
    for name, places in difference.sources.items():
        check()
        roles = _roles(name, len(shapes[places[0].name]), kind, biases=biases)
        if roles:
            weight = torch.cat([difference.weight(place.name) for place in places])
            values = factors(weight, rank) if len(roles) > 1 else (weight,)
            stem = prefix + name.rpartition(".")[0]
            named = zip(roles, values, strict=True)
            tensors |= {f"{stem}.{role}": given(value.to(torch.float16)) for role, value in named}
    return tensors


def _roles(name: str, dimensions: int, kind: Kind, *, biases: bool) -> tuple[str, ...]:
    """The endings that the file has for a weight; none for what is left out."""
    match name.rpartition(".")[2]:
        case "bias":
            return ("diff_b",) if biases else ()
        case "weight" if kind == "full_diff":
            return ("diff",)
        case "weight" if dimensions < 2:
            return ("diff",) if biases else ()
        case "weight":
            return ("lora_up.weight", "lora_down.weight")
    return ()


def factors(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """up (out, r, …) and down (r, in, …) whose product is nearest to the weight (out, in, …), but for the cut.

    r is the rank, or the smaller side of the weight where that is less.
    """
    out, into, *kernel = weight.shape
    rank = min(rank, out, into)
    u, s, v = torch.linalg.svd(weight.float().flatten(1), full_matrices=False)
    up, down = u[:, :rank] * s[:rank], v[:rank]
    limit = float(numpy.quantile(torch.cat([up.flatten(), down.flatten()]).numpy(), _QUANTILE))
    up, down = up.clamp(-limit, limit), down.clamp(-limit, limit)
    return up.reshape(out, rank, *[1] * len(kernel)), down.reshape(rank, into, *kernel)
