"""Dynamic inputs: which inputs a node has for the values it holds, and the form in which it is given them.

In a document their names are flat, `images.image0`, `mode.strength`. The node is given one value per name that it
declares, so the flat values are put together right before the call:

    {"images.image0": a, "images.image1": b}      →  {"images": {"image0": a, "image1": b}}
    {"mode": "scale", "mode.strength": 0.5}       →  {"mode": {"mode": "scale", "strength": 0.5}}

What input brings along which others is said by `InputSpec.inner`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from graphengine.node.definition import InputSpec, NodeDefinition
from graphengine.node.inputs import AUTOGROW, DYNAMIC_COMBO

_UNKNOWN = object()


def live_inputs(definition: NodeDefinition, values: Mapping[str, object]) -> Mapping[str, InputSpec]:
    """The inputs that a node has for the values it holds, by their flat names.

    `values` are literals and links by flat name. Inputs that grow are there up to their number; a choice brings
    the inputs of that choice, or all of them as optional ones while it is linked and not known yet. Without
    dynamic inputs these are the inputs of the definition.
    """
    if not definition.has_dynamic:
        return definition.inputs
    live: dict[str, InputSpec] = {}
    waiting = list(reversed([*definition.inputs.values()]))
    while waiting:
        spec = waiting.pop()
        if spec.type != AUTOGROW:
            live.setdefault(spec.name, spec)
        if spec.is_dynamic:
            waiting.extend(reversed([*_brought_along(spec, values.get(spec.name))]))
    return live


def _brought_along(spec: InputSpec, value: object) -> Iterable[InputSpec]:
    """The inputs that a dynamic input has for the value it holds; None when it holds none."""
    if spec.type == AUTOGROW:
        return spec.inner.get("", ())
    if value is None:
        return ()
    if spec.type != DYNAMIC_COMBO:
        return spec.inner.get("", ())
    if isinstance(value, str):
        return spec.inner.get(value, ())
    return (replace(inner, required=False) for group in spec.inner.values() for inner in group)


# Any: the values go to a node author's method.
def nested_inputs(
    definition: NodeDefinition, values: Mapping[str, object], *, with_names: bool = False
) -> dict[str, Any]:
    """The values in the form in which the node is given them: those of dynamic inputs as dicts, others as is.

    Inputs that grow give `{name: value}`, empty when there are none; a choice or a slot that holds something gives
    `{its own name: value, other: …}`. A value may also be a list of items, as `INPUT_IS_LIST` nodes get them.
    With `with_names` each value inside of a dict is a pair of it and its flat name, for `check_lazy_status`.
    """
    given: dict[str, Any] = dict(values)
    if not definition.has_dynamic:
        return given
    waiting = [(spec, spec.name, given) for spec in definition.inputs.values() if spec.is_dynamic]
    while waiting:
        spec, name, into = waiting.pop()
        group: dict[str, Any] = {}
        if spec.type != AUTOGROW:
            if spec.name not in values:
                continue
            del given[spec.name]
            group[name] = (values[spec.name], spec.name) if with_names else values[spec.name]
        into[name] = group
        for inner in _brought_along(spec, _choice(values.get(spec.name))):
            short = inner.name.removeprefix(f"{spec.name}.")
            if inner.is_dynamic:
                waiting.append((inner, short, group))
            elif given.pop(inner.name, _UNKNOWN) is not _UNKNOWN:
                value = values[inner.name]
                group[short] = (value, inner.name) if with_names else value
    return given


def _choice(held: object) -> object:
    """The choice that a value says, or that a list of items says first."""
    first = held[0] if isinstance(held, list | tuple) and held else held
    return first if isinstance(first, str) else _UNKNOWN
