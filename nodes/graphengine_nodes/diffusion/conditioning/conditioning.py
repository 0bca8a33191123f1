"""CONDITIONING values: combined, averaged, given areas, masks, ranges and more options.

Options have ComfyUI's names. What they do while sampling: `regions` reads "area", "strength", "mask",
"mask_strength", "set_area_to_bounds", "start_percent", "end_percent" and "default"; the networks read the others.
A conditioning that is changed is a new one; its tensors are shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.diffusion.model.model import Conditioning

# Any throughout: the options of a conditioning are whatever nodes put there.


def with_options(conditioning: Conditioning, **options: Any) -> Conditioning:
    """The conditioning with these options in every entry."""
    return [(context, {**old, **options}) for context, old in conditioning]


def with_appended(conditioning: Conditioning, name: str, values: list[Any]) -> Conditioning:
    """The conditioning with more values at the end of the list that the option holds in every entry."""
    return [(context, {**old, name: [*(old.get(name) or ()), *values]}) for context, old in conditioning]


def concatenate(to: Conditioning, other: Conditioning) -> Conditioning:
    """`to` with the tokens of the first entry of the other appended in every entry: (B, T + T', D).

    Raises:
        GraphEngineError: the states have different widths, or the other has no entry.
    """
    tail = _first(other)[0]
    return [(torch.cat([context, _alike(tail, context)], dim=1), dict(options)) for context, options in to]


def average(to: Conditioning, other: Conditioning, strength: float) -> Conditioning:
    """strength * to + (1 - strength) * other, of states and pooled states; of the other, the first entry counts.

    The other's states are cut to the tokens of `to`, or go on with zeros. Where only one side has a pooled state,
    it stays as it is.

    Raises:
        GraphEngineError: the states have different widths, or the other has no entry.
    """
    states, other_options = _first(other)
    other_pooled = other_options.get("pooled_output")
    result: Conditioning = []
    for context, options in to:
        tokens = context.shape[1]
        base = _alike(states, context)[:, :tokens]
        base = torch.nn.functional.pad(base, (0, 0, 0, tokens - base.shape[1]))
        changed = dict(options)
        pooled = options.get("pooled_output", other_pooled)
        if pooled is not None and other_pooled is not None:
            pooled = pooled * strength + _alike(other_pooled, pooled) * (1 - strength)
        if pooled is not None:
            changed["pooled_output"] = pooled
        result.append((context * strength + base * (1 - strength), changed))
    return result


def _first(conditioning: Conditioning) -> tuple[Tensor, Mapping[str, Any]]:
    if not conditioning:
        raise GraphEngineError("conditioning_from is empty", hint="connect an encoded prompt to it")
    context, options, *_ = conditioning[0]
    return context, options


def _alike(states: Tensor, wanted: Tensor) -> Tensor:
    """The states, when their width is that of the wanted ones."""
    if states.shape[-1] != wanted.shape[-1]:
        raise GraphEngineError(
            f"the conditionings have states of width {wanted.shape[-1]} and {states.shape[-1]}",
            hint="encode both prompts with the text encoder of one model",
        )
    return states.to(wanted)


def zeroed(conditioning: Conditioning) -> Conditioning:
    """The conditioning with zeros for its states, its pooled states and its lyrics."""
    return [
        (torch.zeros_like(context), {**options, **_zeros(options, ("pooled_output", "conditioning_lyrics"))})
        for context, options in conditioning
    ]


def _zeros(options: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Tensor]:
    given = {name: options.get(name) for name in names}
    return {name: torch.zeros_like(value) for name, value in given.items() if value is not None}


def with_area(
    conditioning: Conditioning, width: int, height: int, x: int, y: int, strength: float
) -> Conditioning:
    """For a rectangle of the picture, in pixels; cells of the latent are 8 pixels wide, as ComfyUI counts them."""
    area = (height // 8, width // 8, y // 8, x // 8)
    return with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False)


def with_relative_area(
    conditioning: Conditioning, size: tuple[float, ...], corner: tuple[float, ...], strength: float
) -> Conditioning:
    """For a part of the latent, 0..1: sizes and first corner, (height, width) and (y, x), time first if given."""
    area = ("percentage", *size, *corner)
    return with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False)


def with_mask(conditioning: Conditioning, mask: Tensor, strength: float, bounds: str = "default") -> Conditioning:
    """For where the MASK (H, W) or (B, H, W) is not 0, times its values and the strength.

    bounds: "default" shows the network the whole latent, "mask bounds" the rectangle around the mask.

    Raises:
        GraphEngineError: the mask is none, or empty.
    """
    if mask.ndim < 2 or not mask.numel():
        raise GraphEngineError(f"a mask has the shape (B, H, W), not {list(mask.shape)}")
    mask = mask[None] if mask.ndim == 2 else mask
    return with_options(conditioning, mask=mask, set_area_to_bounds=bounds != "default", mask_strength=strength)


def with_range(conditioning: Conditioning, start: float, end: float) -> Conditioning:
    """For a part of the sampling: 0 is its start, where noise is highest, 1 its end."""
    return with_options(conditioning, start_percent=start, end_percent=end)


def with_properties(
    conditioning: Conditioning,
    strength: float,
    bounds: str,
    mask: Tensor | None = None,
    timesteps: tuple[float, float] | None = None,
) -> Conditioning:
    """With a mask of that strength and a range where they are given; without a mask the strength does nothing."""
    if mask is not None:
        conditioning = with_mask(conditioning, mask, strength, bounds)
    return conditioning if timesteps is None else with_range(conditioning, *timesteps)


def as_default(conditioning: Conditioning) -> Conditioning:
    """For whatever the other entries leave uncovered."""
    return with_options(conditioning, default=True)
