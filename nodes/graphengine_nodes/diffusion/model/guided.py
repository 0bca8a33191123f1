"""A MODEL with other guidance; the model that is given stays as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .combining import AfterGuidance, BeforeGuidance, Combine
    from .model import Conditioning, DiffusionModel


def with_combine(
    model: DiffusionModel,
    combine: Combine,
    *,
    always_negative: bool = False,
    conditionings: dict[str, Conditioning] | None = None,
) -> DiffusionModel:
    """The model whose predictions become one in this way, in place of what it or a node pack did before.

    conditionings: further sides, by name, that the function asks.
    """
    model, guidance = model.clone(), model.guidance
    model.model_options.pop("sampler_cfg_function", None)
    changed = replace(
        guidance,
        combine=combine,
        always_negative=always_negative or guidance.always_negative,
        conditionings={**guidance.conditionings, **(conditionings or {})},
    )
    return replace(model, guidance=changed)


def with_after(model: DiffusionModel, change: AfterGuidance, *, always_negative: bool = False) -> DiffusionModel:
    """The model whose guided prediction is changed, after all changes that it has already."""
    guidance = model.guidance
    always = always_negative or guidance.always_negative
    return replace(model, guidance=replace(guidance, after=(*guidance.after, change), always_negative=always))


def with_before(model: DiffusionModel, change: BeforeGuidance) -> DiffusionModel:
    """The model whose predictions are changed before they become one, after all changes that it has already."""
    guidance = model.guidance
    return replace(model, guidance=replace(guidance, before=(*guidance.before, change)))
