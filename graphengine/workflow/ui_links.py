"""Where a link of the editor really begins, past nodes that do not run and into and out of subgraphs.

A link is followed against its direction until it ends at a node that runs (a `Link`), at a value (`Value`), or at
nothing (`Nothing`). Following is a loop over hops. What a link was found to bring is kept, so that every hop is
made once, however many inputs hang on a chain; a hop that comes back to a link already passed is reported.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.models import Link, NodeId
from graphengine.workflow.ui_graph import (
    BYPASSED,
    INPUTS_ID,
    MUTED,
    Role,
    first_value,
    input_at,
    role,
    types_fit,
)
from graphengine.workflow.ui_models import UiInput, UiLink, UiNode
from graphengine.workflow.ui_scopes import Place, Scope


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
#: The value that an instance gives to the input of that name, in place of a link.
Promoted = Callable[[Place, str], JsonValue]


@dataclass(frozen=True, slots=True)
class _Onward:
    """What is sought is what feeds this input of a node that does not run; None when it has no such input."""

    place: Place
    slot: UiInput | None


@dataclass(frozen=True, slots=True)
class _Inward:
    """What is sought is what this link of a graph brings."""

    scope: Scope
    link: UiLink


class Sources:
    """What feeds the inputs of a document; what is wrong on the way is added to `problems`, once.

    `opened` are the scopes of instances by their id, `promoted` the values that instances give their inside.
    """

    def __init__(self, opened: Mapping[NodeId, Scope], promoted: Promoted, problems: list[Problem]) -> None:
        self._opened = opened
        self._promoted = promoted
        self._problems = problems
        # by scope, link and wanted type, on which the way through bypassed nodes depends
        self._found: dict[tuple[str, str, str], Source] = {}
        self._slots: dict[NodeId, Mapping[str, UiInput]] = {}
        self._fitting: dict[tuple[NodeId, str], UiInput | None] = {}

    def of(self, target: Place, slot: UiInput) -> Source:
        """What feeds an input slot of a node."""
        at: _Onward | _Inward = _Onward(target, slot)
        passed = dict[tuple[str, str, str], None]()
        while True:
            key = _key(at, slot.type)
            if key is None:
                source: Source | _Onward | _Inward = Nothing()
            elif key in self._found:
                source = self._found[key]
            elif key in passed:
                self._problems.append(_circle(target, slot, at))
                source = Nothing()
            else:
                passed[key] = None
                source = self._step(at, slot.type)
            if not isinstance(source, _Onward | _Inward):
                self._found.update(dict.fromkeys(passed, source))
                return source
            at = source

    def _step(self, at: _Onward | _Inward, wanted: JsonValue) -> Source | _Onward | _Inward:
        """What stands at the beginning of a link."""
        if isinstance(at, _Inward):
            return self._begins(at.scope, at.link, wanted) or Nothing()
        target, slot = at.place, at.slot
        if slot is None or slot.link is None:
            return Nothing()
        link = target.scope.graph.links.get(str(slot.link))
        if link is None:
            self._problems.append(_dangling(target, slot, f"link {slot.link} is not in the document"))
            return Nothing()
        source = self._begins(target.scope, link, wanted)
        if source is None:
            self._problems.append(_dangling(target, slot, f"comes from node {link.origin_id}, which is absent"))
        return source or Nothing()

    def _begins(self, scope: Scope, link: UiLink, wanted: JsonValue) -> Source | _Onward | _Inward | None:
        """What a link of a scope brings, None when the node it comes from is absent."""
        if str(link.origin_id) == INPUTS_ID and scope.instance is not None:
            return self._enters(scope, scope.instance, link.origin_slot)
        origin = scope.node(str(link.origin_id))
        return None if origin is None else self._given(origin, link, wanted)

    def _enters(self, scope: Scope, instance: Place, index: int) -> Source | _Onward | None:
        """What comes into a scope by its input of that number."""
        if not 0 <= index < len(scope.graph.inputs):
            return None
        name = scope.graph.inputs[index]
        if instance.id not in self._slots:
            self._slots[instance.id] = {each.name: each for each in reversed(instance.node.inputs or [])}
        slot = self._slots[instance.id].get(name)
        if slot is not None and slot.link is not None:
            return _Onward(instance, slot)
        value = self._promoted(instance, name)
        return Nothing() if value is None else Value(value)

    def _given(self, origin: Place, link: UiLink, wanted: JsonValue) -> Source | _Onward | _Inward:
        """What the node at the beginning of a link gives to an input of type `wanted`."""
        node = origin.node
        if node.mode == MUTED:
            return Nothing(removed=True)
        match role(node):
            case Role.PASSES_ON:
                return _Onward(origin, input_at(node.inputs, 0))
            case Role.VALUE:
                return _valued(origin)
            case Role.GETS:
                return self._set(origin)
            case Role.NOTE:
                return Nothing()
            case Role.RUNS if node.mode == BYPASSED:
                return _Onward(origin, self._passage(origin, link.origin_slot, wanted))
            case Role.RUNS:
                return self._comes_out(origin, link.origin_slot)

    def _comes_out(self, origin: Place, output: int) -> Source | _Inward:
        """What the output of a node that runs is: itself, or what feeds that output inside of an instance."""
        scope = self._opened.get(origin.id)
        if scope is None:
            return Link(origin.id, output)
        link = scope.graph.given.get(_same_output(origin.node, output, scope))
        return Nothing() if link is None else _Inward(scope, link)

    def _passage(self, bypassed: Place, output: int, wanted: JsonValue) -> UiInput | None:
        """The input that a bypassed node passes on to an output.

        The input of the same number if its type fits both ends, else the first of exactly the wanted type, else
        the first that fits.
        """
        node = bypassed.node
        outputs = node.outputs or []
        given = outputs[output].type if 0 <= output < len(outputs) else "*"
        across = input_at(node.inputs, output)
        if across is not None and types_fit(across.type, given) and types_fit(across.type, wanted):
            return across
        key = (bypassed.id, str(wanted))
        if key not in self._fitting:
            self._fitting[key] = _first_fitting(node.inputs or (), wanted)
        return self._fitting[key]

    def _set(self, getter: Place) -> Source | _Onward:
        """What the setter of the same name is given: in the same graph, else in one around it."""
        name = str(first_value(getter.node))
        scope: Scope | None = getter.scope
        while scope is not None:
            setter = scope.graph.setters.get(name)
            if setter is not None:
                return _Onward(Place(setter, scope), input_at(setter.inputs, 0))
            scope = scope.instance.scope if scope.instance is not None else None
        self._problems.append(_no_setter(getter))
        return Nothing()


def _key(at: _Onward | _Inward, wanted: JsonValue) -> tuple[str, str, str] | None:
    """What names a hop, None for an input that no link ends at."""
    if isinstance(at, _Inward):
        return (at.scope.prefix, str(at.link.id), str(wanted))
    if at.slot is None or at.slot.link is None:
        return None
    return (at.place.scope.prefix, str(at.slot.link), str(wanted))


def _valued(origin: Place) -> Source | _Onward:
    """The value of a primitive; that of one in a group node may be kept by the group."""
    kept = input_at(origin.node.inputs, 0)
    if kept is not None and kept.link is not None:
        return _Onward(origin, kept)
    value = first_value(origin.node)
    return Nothing() if value is None or origin.node.mode == BYPASSED else Value(value)


def _same_output(instance: UiNode, index: int, scope: Scope) -> int:
    """The number that an output of an instance has inside; they go by name, and by number without one."""
    outputs = instance.outputs or []
    name = outputs[index].name if 0 <= index < len(outputs) else ""
    numbers = scope.graph.outputs.get(name, ())
    return numbers[0] if len(numbers) == 1 else index


def _first_fitting(inputs: Sequence[UiInput], wanted: JsonValue) -> UiInput | None:
    """The first input of exactly the wanted type, else the first that fits."""
    exact = (candidate for candidate in inputs if candidate.type == wanted)
    fitting = (candidate for candidate in inputs if types_fit(candidate.type, wanted))
    return next(exact, None) or next(fitting, None)


def _dangling(target: Place, slot: UiInput, what: str) -> Problem:
    return target.problem(
        "dangling_link",
        f"input {slot.name!r}: {what}; the input counts as not linked",
        "draw the link again in the editor, or save the workflow again",
        input_name=slot.name,
        is_error=False,
    )


def _circle(target: Place, slot: UiInput, at: _Onward | _Inward) -> Problem:
    through = at.place if isinstance(at, _Onward) else at.scope.instance or target
    return target.problem(
        "cycle",
        f"input {slot.name!r}: its link runs in a circle through node {through.id} ({through.node.type})",
        "remove one link of the circle",
        input_name=slot.name,
    )


def _no_setter(getter: Place) -> Problem:
    return getter.problem(
        "missing_setter",
        f"no SetNode sets {first_value(getter.node)!r}",
        "add a SetNode of that name, or link the inputs directly",
    )
