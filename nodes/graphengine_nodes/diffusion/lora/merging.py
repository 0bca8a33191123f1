"""Two models of one kind mixed weight by weight; the first one gives everything that is no weight.

A weight is computed when the merged model is first used. Ratios of 0 and 1 give the weights of one of the models
as they are. Weights that only one of the models has, or that differ in shape (the first layer of an inpainting
model), stay those of the first, which one warning tells, as ComfyUI does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.weights.weights import Component

logger = logging.getLogger(__name__)

Factors = tuple[float, float]
"""What the weights of the first and of the second model are multiplied by before they are added."""

_NAMED = 4


@dataclass(frozen=True, slots=True)
class Mixed:
    """A change of a weight: first * a + b * second, with the second from another component."""

    other: Component
    name: str
    factors: Factors

    def __call__(self, weight: Tensor) -> Tensor:
        """The mixed weight, float32."""
        second = self.other.weight(self.name)
        a, b = self.factors
        if a == 0:
            return second if b == 1 else second * b
        return (weight if a == 1 else weight * a) + second * b


def interpolation(ratio: float) -> Factors:
    """ratio of the first model, the rest of the second."""
    return ratio, 1.0 - ratio


def difference(multiplier: float) -> Factors:
    """(first - second) * multiplier."""
    return multiplier, -multiplier


SUM: Factors = (1.0, 1.0)
"""first + second: a model and a difference of two others."""


def merged_models(
    first: DiffusionModel, second: DiffusionModel, factors: Factors | Callable[[str], Factors]
) -> DiffusionModel:
    """The first MODEL with mixed weights; factors for all, or by the name of a weight in the model's own files.

    Raises:
        ModelError: the models are of two families.
    """
    families = first.network.family, second.network.family
    if families[0] != families[1]:
        raise ModelError(
            f"a model of the family {families[0]!r} and one of the family {families[1]!r} cannot be merged",
            hint="merge models that are made from the same one",
        )
    component = mixed(first.network.component, second.network.component, factors)
    return replace(first.clone(), network=first.network.with_component(component))


def merged_clips(first: TextEncoder, second: TextEncoder, factors: Factors) -> TextEncoder:
    """The first CLIP with mixed weights in the towers that both have.

    Raises:
        ModelError: they have no tower in common.
    """
    mine, other = first.components(), second.components()
    common = [tower for tower in mine if tower in other]
    if not common:
        raise ModelError(
            f"a CLIP with the towers {', '.join(mine)} and one with {', '.join(other)} cannot be merged",
            hint="merge text encoders of the same kind of model",
        )
    return first.with_components({tower: mixed(mine[tower], other[tower], factors) for tower in common})


def mixed(first: Component, second: Component, factors: Factors | Callable[[str], Factors]) -> Component:
    """The first component with mixed weights.

    Raises:
        ModelError: no weight has the same name and shape in both.
    """
    shapes, others = first.shapes(), second.shapes()
    fitting = [name for name, shape in shapes.items() if others.get(name) == shape]
    if not fitting:
        raise ModelError(
            "the models cannot be merged: no weight has the same name and shape in both",
            hint="merge models that are made from the same one",
        )
    _warn_of([name for name in shapes if others.get(name) != shapes[name]])
    originals = original_names(first)
    changes = {}
    for name in fitting:
        pair = factors(originals.get(name, name)) if callable(factors) else factors
        if pair != (1.0, 0.0):
            changes[name] = [Mixed(second, name, pair)]
    return first.patched(changes) if changes else first


def _warn_of(names: list[str]) -> None:
    if names:
        more = ", …" if len(names) > _NAMED else ""
        logger.warning(
            "%d weights differ in shape between the models and are not merged: %s%s",
            *(len(names), ", ".join(names[:_NAMED]), more),
        )


def original_names(component: Component) -> dict[str, str]:
    """The name that each parameter has in the model's own files; for a part of a tensor, the name of the whole."""
    return {place.name: name for name, places in component.sources.items() for place in places}


def by_block(ratios: Mapping[str, float], default: float) -> Callable[[str], Factors]:
    """Factors by name: those of the longest beginning that ratios has for it, of the default for other names."""
    longest_first = sorted(ratios, key=len, reverse=True)

    def factors(name: str) -> Factors:
        beginning = next((beginning for beginning in longest_first if name.startswith(beginning)), None)
        return interpolation(default if beginning is None else ratios[beginning])

    return factors
