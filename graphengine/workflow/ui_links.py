"""Where a link of the editor really begins, past nodes that do not run.

A link is followed against its direction until it ends at a node that runs (a `Link`), at a value (`Value`), or at
nothing (`Nothing`). Following is a loop over hops; a hop that comes back to a link already passed is reported.
"""

from dataclasses import dataclass

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.models import Link, NodeId
from graphengine.workflow.ui_graph import (
    BYPASSED,
    MUTED,
    Role,
    UiGraph,
    first_value,
    input_at,
    node_id,
    role,
    types_fit,
)
from graphengine.workflow.ui_models import UiId, UiInput, UiLink, UiNode


@dataclass(frozen=True, slots=True)
class Value:
    """The input is given a literal."""

    value: JsonValue


@dataclass(frozen=True, slots=True)
class Nothing:
    """The input is given nothing by its link.

    `removed` when the source is a node the user has muted: then the input's own widget does not count either.
    """

    removed: bool = False


Source = Link | Value | Nothing


def find_source(graph: UiGraph, target: UiNode, slot: UiInput, problems: list[Problem]) -> Source:
    """What feeds a linked input slot of a node; what is wrong on the way is added to `problems`."""
    link_id, passed = slot.link, set[UiId]()
    while link_id is not None:
        link = graph.links.get(str(link_id))
        if link is None:
            problems.append(_dangling(target, slot, f"link {link_id} is not in the document"))
            return Nothing()
        origin = graph.nodes.get(NodeId(str(link.origin_id)))
        if origin is None:
            problems.append(_dangling(target, slot, f"comes from node {link.origin_id}, which is absent"))
            return Nothing()
        if link_id in passed:
            problems.append(_circle(target, slot, origin))
            return Nothing()
        passed.add(link_id)
        step = _step(graph, origin, link, slot)
        if isinstance(step, Problem):
            problems.append(step)
            return Nothing()
        if not isinstance(step, _Onward):
            return step
        link_id = step.link
    return Nothing()


@dataclass(frozen=True, slots=True)
class _Onward:
    """The node passes on what this link brings; None when nothing is linked."""

    link: UiId | None


def _step(graph: UiGraph, origin: UiNode, link: UiLink, slot: UiInput) -> Source | _Onward | Problem:
    """What the node at the beginning of a link gives."""
    if origin.mode == MUTED:
        return Nothing(removed=True)
    match role(origin):
        case Role.PASSES_ON:
            return _first_link(origin)
        case Role.VALUE:
            return Value(first_value(origin)) if origin.widgets_values and origin.mode != BYPASSED else Nothing()
        case Role.GETS:
            setter = graph.setters.get(str(first_value(origin)))
            return _first_link(setter) if setter is not None else _no_setter(origin)
        case Role.NOTE:
            return Nothing()
        case Role.RUNS if origin.mode == BYPASSED:
            passage = _passage(origin, link.origin_slot, slot.type)
            return _Onward(passage.link) if passage is not None else Nothing()
        case Role.RUNS:
            return Link(node_id(origin), link.origin_slot)


def _passage(node: UiNode, output: int, wanted: JsonValue) -> UiInput | None:
    """The input that a bypassed node passes on to an output.

    The input of the same number if its type fits both ends, else the first of exactly the wanted type, else the
    first that fits.
    """
    outputs = node.outputs or []
    given = outputs[output].type if 0 <= output < len(outputs) else "*"
    across = input_at(node.inputs, output)
    if across is not None and types_fit(across.type, given) and types_fit(across.type, wanted):
        return across
    inputs = node.inputs or []
    exact = (candidate for candidate in inputs if candidate.type == wanted)
    fitting = (candidate for candidate in inputs if types_fit(candidate.type, wanted))
    return next(exact, None) or next(fitting, None)


def _first_link(node: UiNode) -> _Onward:
    first = input_at(node.inputs, 0)
    return _Onward(first.link if first is not None else None)


def _dangling(target: UiNode, slot: UiInput, what: str) -> Problem:
    return Problem(
        "dangling_link",
        f"input {slot.name!r}: {what}; the input counts as not linked",
        node_id=node_id(target),
        class_type=target.type,
        input_name=slot.name,
        hint="draw the link again in the editor, or save the workflow again",
        severity="warning",
    )


def _circle(target: UiNode, slot: UiInput, origin: UiNode) -> Problem:
    return Problem(
        "cycle",
        f"input {slot.name!r}: its link runs in a circle through node {origin.id} ({origin.type})",
        node_id=node_id(target),
        class_type=target.type,
        input_name=slot.name,
        hint="remove one link of the circle",
    )


def _no_setter(getter: UiNode) -> Problem:
    return Problem(
        "missing_setter",
        f"no SetNode sets {first_value(getter)!r}",
        node_id=node_id(getter),
        class_type=getter.type,
        hint="add a SetNode of that name, or link the inputs directly",
    )
