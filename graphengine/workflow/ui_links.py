"""Where a link of the editor really begins, past nodes that do not run.

A link is followed against its direction until it ends at a node that runs (a `Link`), at a value (`Value`), or at
nothing (`Nothing`). Following is a loop over hops. What a link was found to bring is kept, so that every hop is
made once, however many inputs hang on a chain; a hop that comes back to a link already passed is reported.
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
from graphengine.workflow.ui_models import UiInput, UiLink, UiNode


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


@dataclass(frozen=True, slots=True)
class _Onward:
    """What is sought is what feeds this input of a node that does not run; None when it has no such input."""

    node: UiNode
    slot: UiInput | None


class Sources:
    """What feeds the inputs of one graph; what is wrong on the way is added to `problems`, once."""

    def __init__(self, graph: UiGraph, problems: list[Problem]) -> None:
        self._graph = graph
        self._problems = problems
        # by link and wanted type, on which the way through bypassed nodes depends
        self._found: dict[tuple[str, str], Source] = {}

    def of(self, target: UiNode, slot: UiInput) -> Source:
        """What feeds an input slot of a node."""
        at, passed = _Onward(target, slot), dict[tuple[str, str], None]()
        source: Source | _Onward = at
        while isinstance(source, _Onward):
            at = source
            if at.slot is None or at.slot.link is None:
                source = Nothing()
                continue
            key = (str(at.slot.link), str(slot.type))
            if key in self._found:
                source = self._found[key]
            elif key in passed:
                self._problems.append(_circle(target, slot, at.node))
                source = Nothing()
            else:
                passed[key] = None
                source = self._step(at.node, at.slot, slot.type)
        self._found.update(dict.fromkeys(passed, source))
        return source

    def _step(self, target: UiNode, slot: UiInput, wanted: JsonValue) -> Source | _Onward:
        """What stands at the beginning of the link of a slot."""
        link = self._graph.links.get(str(slot.link))
        if link is None:
            self._problems.append(_dangling(target, slot, f"link {slot.link} is not in the document"))
            return Nothing()
        origin = self._graph.nodes.get(NodeId(str(link.origin_id)))
        if origin is None:
            self._problems.append(_dangling(target, slot, f"comes from node {link.origin_id}, which is absent"))
            return Nothing()
        return self._given(origin, link, wanted)

    def _given(self, origin: UiNode, link: UiLink, wanted: JsonValue) -> Source | _Onward:
        """What the node at the beginning of a link gives to an input of type `wanted`."""
        if origin.mode == MUTED:
            return Nothing(removed=True)
        match role(origin):
            case Role.PASSES_ON:
                return _Onward(origin, input_at(origin.inputs, 0))
            case Role.VALUE:
                value = first_value(origin)
                return Nothing() if value is None or origin.mode == BYPASSED else Value(value)
            case Role.GETS:
                return self._set(origin)
            case Role.NOTE:
                return Nothing()
            case Role.RUNS if origin.mode == BYPASSED:
                return _Onward(origin, _passage(origin, link.origin_slot, wanted))
            case Role.RUNS:
                return Link(node_id(origin), link.origin_slot)

    def _set(self, getter: UiNode) -> Source | _Onward:
        """What the setter of the same name is given."""
        setter = self._graph.setters.get(str(first_value(getter)))
        if setter is None:
            self._problems.append(_no_setter(getter))
            return Nothing()
        return _Onward(setter, input_at(setter.inputs, 0))


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


def _circle(target: UiNode, slot: UiInput, through: UiNode) -> Problem:
    return Problem(
        "cycle",
        f"input {slot.name!r}: its link runs in a circle through node {through.id} ({through.type})",
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
