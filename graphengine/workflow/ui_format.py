"""From the editor's document to what runs.

The editor saves what it draws. Conversion keeps the nodes that run, follows links past those that do not, and
gives widget values their names, which only node definitions know:

* notes, switches, muted (mode 2) and bypassed (mode 4) nodes, reroutes, primitives, setters and getters do not
  run;
* an input takes what its link brings; without one, the value of its widget;
* the input of a muted source is left out, with its widget value: the user took away what fed it;
* what is not understood (subgraphs, group nodes, links made by packs) is a `Problem`, and its node stays in the
  workflow under a type that no definition has, so that it cannot run as something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
from graphengine.workflow.ui_graph import BYPASSED, MUTED, Role, build_ui_graph, role, unsupported
from graphengine.workflow.ui_links import Nothing, Sources, Value
from graphengine.workflow.ui_models import UiDocument, UiNode
from graphengine.workflow.ui_widgets import DefinitionLike, widget_values


@dataclass(frozen=True, slots=True)
class Conversion:
    """A workflow, and what was found on the way; with a problem of severity error it must not run."""

    workflow: Workflow
    problems: tuple[Problem, ...] = ()


def convert_ui(document: UiDocument, definitions: Mapping[str, DefinitionLike]) -> Conversion:
    """The workflow that the editor would send for this document."""
    graph, problems = build_ui_graph(document)
    sources, subgraphs = Sources(graph, problems), _subgraph_types(document)
    nodes: dict[NodeId, WorkflowNode] = {}
    for key, node in graph.nodes.items():
        if role(node) is not Role.RUNS or node.mode in (MUTED, BYPASSED):
            continue
        problem = unsupported(node, subgraphs)
        if problem is not None:
            problems.append(problem)
            values: dict[str, JsonValue] = {}
        else:
            values = widget_values(node, definitions.get(node.type), problems)
        nodes[key] = WorkflowNode(node.type, _inputs(node, values, sources), title=node.title)
    return Conversion(Workflow(nodes, ui=document.to_json()), tuple(dict.fromkeys(problems)))


def _inputs(node: UiNode, values: Mapping[str, JsonValue], sources: Sources) -> dict[str, Link | JsonValue]:
    """Widget values, and over them what links bring."""
    inputs: dict[str, Link | JsonValue] = dict(values)
    for slot in node.inputs or ():
        if slot.link is None:
            continue
        match sources.of(node, slot):
            case Value(value):
                inputs[slot.name] = value
            case Nothing(removed=True):
                inputs.pop(slot.name, None)
            case Nothing():
                pass
            case Link() as link:
                inputs[slot.name] = link
    return inputs


def _subgraph_types(document: UiDocument) -> frozenset[str]:
    if document.definitions is None:
        return frozenset()
    return frozenset(str(subgraph.id) for subgraph in document.definitions.subgraphs or ())
