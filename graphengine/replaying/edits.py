"""The semantic difference of two workflows as edits that can be applied one by one.

An edit sets one input, or takes a node's other type. A node that was added comes along with the link that leads
to it, with all that it reads; one that was removed stays, as nothing asks for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from graphengine.errors import node_label
from graphengine.workflow.difference.changes import NOTHING, NodeChange, compare
from graphengine.workflow.difference.sheets import Source, sheets_of_workflow
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode


@dataclass(frozen=True, slots=True)
class Edit:
    """One difference: `inputs` are the new values by name, None for an input that is gone.

    `class_type` is the node's new type where that changed. `told` is the edit in words.
    """

    node: NodeId
    told: str
    inputs: Mapping[str, Link | JsonValue] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    class_type: str | None = None


@dataclass(frozen=True, slots=True)
class Edits:
    """The edits that lead from one workflow to the other; `added` are the nodes that only the other has."""

    old: Workflow
    all: tuple[Edit, ...]
    added: Mapping[NodeId, WorkflowNode]
    #: Ids in the old workflow by ids in the new one.
    ids: Mapping[str, NodeId]

    def applied(self, edits: Iterable[Edit]) -> Workflow:
        """The old workflow with these edits."""
        nodes = dict(self.old.nodes)
        for edit in edits:
            node = nodes[edit.node]
            inputs = {name: value for name, value in node.inputs.items() if name not in edit.gone}
            nodes[edit.node] = replace(
                node, inputs={**inputs, **edit.inputs}, class_type=edit.class_type or node.class_type
            )
        waiting = [source for node in nodes.values() for source in _sources(node)]
        while waiting:
            source = waiting.pop()
            if source not in nodes and source in self.added:
                nodes[source] = self.added[source]
                waiting.extend(_sources(self.added[source]))
        return Workflow(nodes)


def edits_between(old: Workflow, new: Workflow) -> Edits:
    """What must be edited in the old workflow to get what the new one computes."""
    graphs = compare(sheets_of_workflow(old), sheets_of_workflow(new)).graphs
    graph = graphs[0]
    ids = {after: NodeId(before) for after, before in graph.pairs.items()}
    for key in new.nodes:
        if key not in ids:
            ids[key] = _free(key, old, ids)
    added = {
        ids[key]: replace(node, inputs={name: _led(value, ids) for name, value in node.inputs.items()})
        for key, node in new.nodes.items()
        if key not in graph.pairs
    }
    edits = [edit for change in graph.nodes for edit in _edits_of(change, new, ids)]
    return Edits(old, tuple(edits), added, ids)


def _free(key: NodeId, old: Workflow, ids: Mapping[str, NodeId]) -> NodeId:
    """An id for an added node; its own one may be that of another node in the old workflow."""
    name = key
    while name in old.nodes or name in ids.values():
        name = NodeId(f"{name}'")
    return name


def _edits_of(change: NodeChange, new: Workflow, ids: Mapping[str, NodeId]) -> Iterator[Edit]:
    if change.old is None or change.new is None:
        return
    node, after = NodeId(change.old.id), new.nodes[NodeId(change.new.id)]
    label = node_label(node, change.old.type)
    given = {each.name: _led(after.inputs[each.name], ids) for each in change.inputs if each.new is not NOTHING}
    gone = tuple(each.name for each in change.inputs if each.new is NOTHING)
    if change.retyped:
        yield Edit(node, f"{label}: is a {after.class_type}", given, gone, after.class_type)
        return
    for each in change.inputs:
        told = f"{label}: {each.name}: {_words(each.old, {})} → {_words(each.new, ids)}"
        if each.new is NOTHING:
            yield Edit(node, told, gone=(each.name,))
        else:
            yield Edit(node, told, {each.name: given[each.name]})


def _led(value: Link | JsonValue, ids: Mapping[str, NodeId]) -> Link | JsonValue:
    """The value, a link with the id that its node has in the old workflow."""
    return Link(ids.get(value.source, value.source), value.output) if isinstance(value, Link) else value


def _sources(node: WorkflowNode) -> Iterator[NodeId]:
    return (value.source for value in node.inputs.values() if isinstance(value, Link))


def _words(value: object, ids: Mapping[str, NodeId]) -> str:
    """A value in words; `ids` are those of the old workflow, in which all is told."""
    if value is NOTHING:
        return "nothing"
    if isinstance(value, Source):
        return f"node {ids.get(value.node, value.node)}, output {value.output}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
