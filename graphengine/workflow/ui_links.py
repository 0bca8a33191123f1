"""Where a link of the editor really begins, past nodes that do not run and into and out of subgraphs.

A link is followed against its direction until it ends at a node that runs (a `Link`), at a value (`Value`), or at
nothing (`Nothing`). Following is a loop over hops. Only a bypassed node asks which type is wanted. So what a link
was found to bring, up to the next bypassed node, is kept for all types, and what a bypassed node passes on is kept
for each type. Every hop is made once, however many inputs hang on a chain; a hop that comes back to a link already
passed is reported.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.models import Link, NodeId
from graphengine.workflow.ui_extent import weight_of
from graphengine.workflow.ui_graph import (
    BYPASSED,
    INPUTS_ID,
    MUTED,
    Role,
    first_value,
    input_at,
    role,
)
from graphengine.workflow.ui_models import UiInput, UiLink, UiNode
from graphengine.workflow.ui_scopes import Place, Scope
from graphengine.workflow.ui_types import SlotType, SlotTypes, TypedInputs

#: Most times that a bypassed node is passed, counted once for each of its outputs and each type that is wanted.
MAX_PASSED = 100_000
#: Most letters of values that are given through links: one long text may be linked to thousands of inputs.
MAX_GIVEN = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Value:
    """The input is given a literal; `size` is about how many letters it takes to write it."""

    value: JsonValue
    size: int = 0


@dataclass(frozen=True, slots=True)
class Nothing:
    """The input is given nothing by its link.

    `removed` when the source is a node the user has muted: then the input's own widget does not count either.
    `closed_by` is the bypassed node that has no input of the wanted type to pass on.
    """

    removed: bool = False
    closed_by: Place | None = None


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


@dataclass(frozen=True, slots=True)
class _Across:
    """What is sought is what a bypassed node passes on to this output, which depends on the wanted type."""

    place: Place
    output: int


class Sources:
    """What feeds the inputs of a document; what is wrong on the way is added to `problems`, once.

    `opened` are the scopes of instances by their id, `promoted` the values that instances give their inside.
    """

    def __init__(self, opened: Mapping[NodeId, Scope], promoted: Promoted, problems: list[Problem]) -> None:
        self._opened = opened
        self._promoted = promoted
        self._problems = problems
        self._types = SlotTypes()
        # by scope and link, as far as it does not depend on the type
        self._found: dict[tuple[str, str], Source | _Across] = {}
        # by bypassed node, its output, and wanted type
        self._passed: dict[tuple[NodeId, int, str], Source] = {}
        self._inputs: dict[NodeId, TypedInputs] = {}
        self._slots: dict[NodeId, Mapping[str, UiInput]] = {}
        self._values: dict[tuple[NodeId, str | None], Value | Nothing] = {}
        self._left_to_pass = MAX_PASSED
        self._left_to_give = MAX_GIVEN
        self._told: set[str] = set()

    def of(self, target: Place, slot: UiInput) -> Source:
        """What feeds an input slot of a node."""
        if slot.link is not None and str(slot.link) not in target.scope.graph.links:
            self._problems.append(_dangling(target, slot, f"link {slot.link} is not in the document"))
            return Nothing()
        wanted = self._types.read(slot.type)
        passed = dict[tuple[NodeId, int, str], None]()
        found = self._follow(_Onward(target, slot), target, slot)
        while isinstance(found, _Across):
            key = (found.place.id, found.output, wanted.name)
            if key in self._passed:
                found = self._passed[key]
            elif key in passed:
                self._problems.append(_circle(target, slot, found.place))
                found = Nothing()
            elif self._left_to_pass == 0:
                found = self._gives_up(_too_often_passed(target, slot))
            else:
                passed[key] = None
                self._left_to_pass -= 1
                passage = self._passage(found.place, found.output, wanted)
                if passage is None:
                    found = Nothing(closed_by=found.place)
                else:
                    found = self._follow(_Onward(found.place, passage), target, slot)
        self._passed.update(dict.fromkeys(passed, found))
        return self._counted(found, target, slot) if isinstance(found, Value) else found

    def _counted(self, value: Value, target: Place, slot: UiInput) -> Value | Nothing:
        """The value, unless too much was given already."""
        self._left_to_give -= value.size
        if self._left_to_give >= 0:
            return value
        return self._gives_up(_too_much_given(target, slot))

    def _gives_up(self, problem: Problem) -> Nothing:
        """What every input is given beyond a limit; the first of them is told."""
        if problem.code not in self._told:
            self._told.add(problem.code)
            self._problems.append(problem)
        return Nothing()

    def _follow(self, at: _Onward | _Inward, target: Place, slot: UiInput) -> Source | _Across:
        """What is found from here on, up to the next bypassed node."""
        passed = dict[tuple[str, str], None]()
        while True:
            key = _key(at)
            if key is None:
                found: Source | _Onward | _Inward | _Across = Nothing()
            elif key in self._found:
                found = self._found[key]
            elif key in passed:
                through = at.place if isinstance(at, _Onward) else at.scope.instance or target
                self._problems.append(_circle(target, slot, through))
                found = Nothing()
            else:
                passed[key] = None
                found = self._step(at)
            if not isinstance(found, _Onward | _Inward):
                self._found.update(dict.fromkeys(passed, found))
                return found
            at = found

    def _step(self, at: _Onward | _Inward) -> Source | _Onward | _Inward | _Across:
        """What stands at the beginning of a link."""
        if isinstance(at, _Inward):
            return self._begins(at.scope, at.link) or Nothing()
        target, slot = at.place, at.slot
        if slot is None or slot.link is None:
            return Nothing()
        link = target.scope.graph.links.get(str(slot.link))
        if link is None:
            self._problems.append(_dangling(target, slot, f"link {slot.link} is not in the document"))
            return Nothing()
        source = self._begins(target.scope, link)
        if source is None:
            self._problems.append(_dangling(target, slot, f"comes from node {link.origin_id}, which is absent"))
        return source or Nothing()

    def _begins(self, scope: Scope, link: UiLink) -> Source | _Onward | _Inward | _Across | None:
        """What a link of a scope brings, None when the node it comes from is absent."""
        if str(link.origin_id) == INPUTS_ID and scope.instance is not None:
            return self._enters(scope, scope.instance, link.origin_slot)
        origin = scope.node(str(link.origin_id))
        return None if origin is None else self._given(origin, link)

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
        return self._value(instance, name)

    def _given(self, origin: Place, link: UiLink) -> Source | _Onward | _Inward | _Across:
        """What the node at the beginning of a link gives."""
        node = origin.node
        if node.mode == MUTED:
            return Nothing(removed=True)
        match role(node):
            case Role.PASSES_ON:
                return _Onward(origin, input_at(node.inputs, 0))
            case Role.VALUE:
                return self._valued(origin)
            case Role.GETS:
                return self._set(origin)
            case Role.NOTE:
                return Nothing()
            case Role.RUNS if node.mode == BYPASSED:
                return _Across(origin, link.origin_slot)
            case Role.RUNS:
                return self._comes_out(origin, link.origin_slot)

    def _valued(self, origin: Place) -> Source | _Onward:
        """The value of a primitive; that of one in a group node may be kept by the group."""
        kept = input_at(origin.node.inputs, 0)
        if kept is not None and kept.link is not None:
            return _Onward(origin, kept)
        return Nothing() if origin.node.mode == BYPASSED else self._value(origin, None)

    def _value(self, place: Place, name: str | None) -> Value | Nothing:
        """What an instance gives to its input of that name, or without a name a primitive."""
        key = (place.id, name)
        if key not in self._values:
            value = self._promoted(place, name) if name is not None else first_value(place.node)
            values, letters = weight_of(value)
            self._values[key] = Nothing() if value is None else Value(value, values + letters)
        return self._values[key]

    def _comes_out(self, origin: Place, output: int) -> Source | _Inward:
        """What the output of a node that runs is: itself, or what feeds that output inside of an instance."""
        scope = self._opened.get(origin.id)
        if scope is None:
            return Link(origin.id, output)
        link = scope.graph.given.get(_same_output(origin.node, output, scope))
        return Nothing() if link is None else _Inward(scope, link)

    def _passage(self, bypassed: Place, output: int, wanted: SlotType) -> UiInput | None:
        """The input that a bypassed node passes on to an output.

        The input of the same number if its type fits both ends, else the first of exactly the wanted type, else
        the first that fits.
        """
        node = bypassed.node
        outputs = node.outputs or []
        given = self._types.read(outputs[output].type if 0 <= output < len(outputs) else "*")
        across = input_at(node.inputs, output)
        if across is not None:
            type_ = self._types.read(across.type)
            if type_.fits(given) and type_.fits(wanted):
                return across
        if bypassed.id not in self._inputs:
            self._inputs[bypassed.id] = TypedInputs(node.inputs or (), self._types)
        return self._inputs[bypassed.id].first_fitting(wanted)

    def _set(self, getter: Place) -> Source | _Onward:
        """What the setter of the same name is given: in the same graph, else in one around it."""
        name = first_value(getter.node)
        scope: Scope | None = getter.scope
        while scope is not None:
            setter = scope.graph.setters.get(name) if isinstance(name, str) else None
            if setter is not None:
                return _Onward(Place(setter, scope), input_at(setter.inputs, 0))
            scope = scope.instance.scope if scope.instance is not None else None
        self._problems.append(_no_setter(getter))
        return Nothing()


def _key(at: _Onward | _Inward) -> tuple[str, str] | None:
    """What names a hop, None for an input that no link ends at."""
    if isinstance(at, _Inward):
        return (at.scope.prefix, str(at.link.id))
    if at.slot is None or at.slot.link is None:
        return None
    return (at.place.scope.prefix, str(at.slot.link))


def _same_output(instance: UiNode, index: int, scope: Scope) -> int:
    """The number that an output of an instance has inside; they go by name, and by number without one."""
    outputs = instance.outputs or []
    name = outputs[index].name if 0 <= index < len(outputs) else ""
    numbers = scope.graph.outputs.get(name, ())
    return numbers[0] if len(numbers) == 1 else index


def _dangling(target: Place, slot: UiInput, what: str) -> Problem:
    return target.problem(
        "dangling_link",
        f"input {slot.name!r}: {what}; the input counts as not linked",
        "draw the link again in the editor, or save the workflow again",
        input_name=slot.name,
        is_error=False,
    )


def _circle(target: Place, slot: UiInput, through: Place) -> Problem:
    return target.problem(
        "cycle",
        f"input {slot.name!r}: its link runs in a circle through node {through.id} ({through.node.type})",
        "remove one link of the circle",
        input_name=slot.name,
    )


def _too_often_passed(target: Place, slot: UiInput) -> Problem:
    return target.problem(
        "bypass_too_large",
        f"input {slot.name!r}: bypassed nodes are passed more than {MAX_PASSED:,} times; this link is not "
        "followed, nor are others after it",
        "delete the bypassed nodes in the editor, or link past them",
        input_name=slot.name,
    )


def _too_much_given(target: Place, slot: UiInput) -> Problem:
    return target.problem(
        "value_too_large",
        f"input {slot.name!r}: with this value links give more than {MAX_GIVEN:,} letters; it is left out, as are "
        "others after it",
        "link shorter values, or to fewer inputs",
        input_name=slot.name,
    )


def _no_setter(getter: Place) -> Problem:
    name = first_value(getter.node)
    return getter.problem(
        "missing_setter",
        f"no SetNode sets {name[:80]!r}" if isinstance(name, str) else "it names no SetNode",
        "add a SetNode of that name, or link the inputs directly",
    )
