"""Conditionings with a CONTROL_NET and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from graphengine_nodes.diffusion.conditioning.conditioning import with_options
from graphengine_nodes.diffusion.model.model import Conditioning, ControlSource
from graphengine_nodes.image.scaling import resize

from .control import Control, applied, with_setting
from .kinds import UNION_TYPES

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder
    from graphengine_nodes.diffusion.vae.autoencoder import VAE


def controlled(
    sides: Sequence[Conditioning],
    control: Control,
    picture: Tensor,
    strength: float,
    percent_range: tuple[float, float] = (0.0, 1.0),
    *,
    vae: VAE | None = None,
    extra_concat: Sequence[Tensor] = (),
    for_all_sides: bool = False,
) -> list[Conditioning]:
    """The conditionings with the control added to those that they have; unchanged at strength 0.

    picture: IMAGE (N, H, W, C) in 0..1. Entries that have the same control before share the new one, so that they
    are sampled together. for_all_sides: the other sides of the run borrow it.
    """
    if strength == 0:
        return list(sides)
    made: dict[int, Control] = {}

    def added(previous: ControlSource | None) -> Control:
        if id(previous) not in made:
            made[id(previous)] = applied(
                control, picture, strength, percent_range, vae=vae, previous=previous, extra_concat=extra_concat
            )
        return made[id(previous)]

    return [
        [
            (
                states,
                {**options, "control": added(options.get("control")), "control_apply_to_uncond": for_all_sides},
            )
            for states, options in side
        ]
        for side in sides
    ]


def masked_picture(picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The picture IMAGE (N, H, W, C), black where the MASK (N, H, W) is 1, and what is kept, (N, 1, H, W)."""
    kept = 1.0 - mask.reshape(-1, 1, *mask.shape[-2:])
    height, width = picture.shape[1:3]
    shown = resize(kept, width, height, "bilinear", "center").round().movedim(1, -1)
    return picture * shown, kept


def of_kind(control: Control, kind: str) -> Control:
    """A union control that is told the kind of its picture, one of `UNION_TYPES`; "auto" tells it nothing."""
    return with_setting(control, "control_type", [UNION_TYPES[kind]] if kind in UNION_TYPES else [])


def with_text_for_control(clip: TextEncoder, conditioning: Conditioning, text: str) -> Conditioning:
    """The conditioning whose ControlNets read this text in place of its own."""
    encoded = clip.encode(text)
    return with_options(
        conditioning, cross_attn_controlnet=encoded.states, pooled_output_controlnet=encoded.pooled
    )
