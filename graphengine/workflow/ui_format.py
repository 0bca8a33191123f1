"""From the editor's document to what runs.

The editor saves what it draws. Conversion keeps the nodes that run, follows links past those that do not, and
gives widget values their names, which only node definitions know:

* notes, switches, muted (mode 2) and bypassed (mode 4) nodes, reroutes, primitives, setters and getters do not
  run;
* an input takes what its link brings; without one, the value of its widget;
* the input of a muted source is left out, with its widget value: the user took away what fed it;
* subgraphs and group nodes are opened up: node 3 inside of node 12 becomes "12:3";
* what is not understood is a `Problem`, and its node stays in the workflow under a type that no definition has, so
  that it cannot run as something else.

Texts like `%Node.widget%` and `%date:yyyy%` stay as they are: they are resolved when files are written.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
from graphengine.workflow.ui_everywhere import widgets_are_slots, with_broadcasts
from graphengine.workflow.ui_graph import Role, build_ui_graph, role
from graphengine.workflow.ui_links import Nothing, Sources, Value
from graphengine.workflow.ui_models import UiDocument, UiInput
from graphengine.workflow.ui_promoted import WidgetValues
from graphengine.workflow.ui_scopes import Place, Scope, places
from graphengine.workflow.ui_subgraphs import Insides
from graphengine.workflow.widgets import DefinitionLike


@dataclass(frozen=True, slots=True)
class Conversion:
    """A workflow, and what was found on the way; with a problem of severity error it must not run."""

    workflow: Workflow
    problems: tuple[Problem, ...] = ()


def convert_ui(document: UiDocument, definitions: Mapping[str, DefinitionLike]) -> Conversion:
    """The workflow that the editor would send for this document."""
    graph, problems = build_ui_graph(document.nodes, document.links or ())
    slots = widgets_are_slots(document)
    root = Scope(with_broadcasts(graph, document.extra, problems, widgets_are_slots=slots))
    insides = Insides(document, definitions, problems)
    insides.check_size(root)
    nodes, opened = _opened_up(root, insides, problems)
    widgets = WidgetValues(opened, definitions, problems)
    sources = Sources(opened, widgets.promoted, problems)
    converted: dict[NodeId, WorkflowNode] = {}
    for place in nodes:
        problem, values = insides.unopened(place), dict[str, JsonValue]()
        if problem is not None:
            problems.append(problem)
        elif not insides.stands_for_graph(place):
            values = widgets.of(place)
        inputs = _inputs(place, values, sources, definitions.get(place.node.type), problems)
        converted[place.id] = WorkflowNode(place.node.type, inputs, place.node.title, place.origin)
    return Conversion(Workflow(converted, ui=document.to_json()), tuple(dict.fromkeys(problems)))


def _opened_up(
    root: Scope, insides: Insides, problems: list[Problem]
) -> tuple[list[Place], Mapping[NodeId, Scope]]:
    """The nodes that run, and the scope of each instance among them by its id."""
    opened: dict[NodeId, Scope] = {}
    nodes: list[Place] = []
    seen: set[NodeId] = set()
    for place, inside in places(root, insides.open_up):
        if place.id in seen:  # "12:3" may be a node inside of 12, or the id of another
            text, hint = "another node gets the same id", "give one of them a new id in the editor"
            problems.append(place.problem("duplicate_node", text, hint))
        seen.add(place.id)
        if inside is not None:
            opened[place.id] = inside
        elif place.runs and role(place.node) is Role.RUNS:
            nodes.append(place)
    return nodes, opened


def _inputs(
    place: Place,
    values: Mapping[str, JsonValue],
    sources: Sources,
    definition: DefinitionLike | None,
    problems: list[Problem],
) -> dict[str, Link | JsonValue]:
    """Widget values, and over them what links bring."""
    inputs: dict[str, Link | JsonValue] = dict(values)
    for slot in place.node.inputs or ():
        if slot.link is None:
            continue
        match sources.of(place, slot):
            case Value(value):
                inputs[slot.name] = value
            case Nothing(removed=True):
                inputs.pop(slot.name, None)
            case Nothing(closed_by=Place() as bypassed):
                spec = definition.inputs.get(slot.name) if definition is not None else None
                if spec is not None and spec.required and slot.name not in inputs:
                    problems.append(_closed(place, slot, bypassed))
            case Nothing():
                pass
            case Link() as link:
                inputs[slot.name] = link
    return inputs


def _closed(target: Place, slot: UiInput, bypassed: Place) -> Problem:
    return target.problem(
        "bypass_gives_nothing",
        f"input {slot.name!r}: node {bypassed.id} ({bypassed.node.type}) is bypassed and has no input of type "
        f"{str(slot.type)[:80]} to pass on; the input counts as not linked",
        "in the editor, end the bypass, or link the input to another node",
        input_name=slot.name,
        is_error=False,
    )
