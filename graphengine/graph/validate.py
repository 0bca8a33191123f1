"""Check a workflow against node definitions: pure, iterative, and reports every problem at once.

Nodes that no target needs are checked as well, but what is wrong with them is a warning: it does not stop a run.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

import networkx as nx

from graphengine.errors import Problem, nearest
from graphengine.graph.check import Definitions, NodeCheck
from graphengine.graph.links import cycles, downstream, needed_nodes, readers
from graphengine.node.folders import Folders
from graphengine.workflow.models import NodeId, Workflow

__all__ = ["Definitions", "lost_targets", "output_nodes", "runnable_targets", "validate"]

# bounds of `lost_targets`: bits held while it works, ids it lists in all, and for each node in any case
_MOST_BITS = 2**30
_MOST_LISTED = 2**22
_ALWAYS_LISTED = 64
_MOST_SUGGESTED = 20  # wrong targets for which the nearest node is looked for


def output_nodes(workflow: Workflow, definitions: Definitions) -> list[NodeId]:
    """The nodes that show or save something: what a run is for unless targets are named."""
    return [
        node_id
        for node_id, node in workflow.nodes.items()
        if (definition := definitions.get(node.class_type)) is not None and definition.is_output
    ]


def validate(
    workflow: Workflow,
    definitions: Definitions,
    folders: Folders,
    targets: Collection[NodeId] | None = None,
) -> list[Problem]:
    """All problems, in node order. Without one of severity "error" the workflow can be planned and run."""
    goals = output_nodes(workflow, definitions) if targets is None else list(targets)
    problems = [*_goals(workflow, goals, named=targets is not None)]
    needed = needed_nodes(workflow, goals)
    check = NodeCheck(workflow, definitions, folders)
    for node_id, node in workflow.nodes.items():
        for problem in check.node(node_id, node):
            problems.append(problem if node_id in needed else replace(problem, severity="warning"))
    problems.extend(_cycles(workflow, needed))
    return [_with_origin(problem, workflow) for problem in problems]


def runnable_targets(
    workflow: Workflow, targets: Collection[NodeId], problems: Iterable[Problem]
) -> tuple[NodeId, ...]:
    """The targets that can run although others cannot: no error is at them or at a node they need."""
    lost = downstream(_broken(problems), readers(workflow))
    return tuple(target for target in dict.fromkeys(targets) if target in workflow.nodes and target not in lost)


def lost_targets(
    workflow: Workflow, targets: Collection[NodeId], problems: Iterable[Problem]
) -> Mapping[NodeId, tuple[NodeId, ...]]:
    """For each node with an error the targets that cannot run for it, itself included, in the order of `targets`.

    All of them, as long as that are no more than some million ids, else each node lists the first ones. In
    documents of more than some ten thousand nodes only the first targets are looked at.
    """
    broken = dict.fromkeys(_broken(problems))
    reading = readers(workflow)
    affected = downstream(broken, reading)
    lost = [target for target in dict.fromkeys(targets) if target in affected]
    own = {target: 1 << index for index, target in enumerate(lost[: _MOST_BITS // max(len(affected), 1)])}
    reached = _reached(affected, reading, own)
    most = max(_MOST_LISTED // max(len(broken), 1), _ALWAYS_LISTED)
    listed = {
        bits: tuple(lost[index] for index in islice(_set_bits(bits), most))
        for bits in {reached[node_id] for node_id in broken}
    }
    return {node_id: listed[reached[node_id]] for node_id in broken}


def _broken(problems: Iterable[Problem]) -> list[NodeId]:
    return [
        NodeId(problem.node_id)
        for problem in problems
        if problem.severity == "error" and problem.node_id is not None
    ]


def _set_bits(bits: int) -> Iterator[int]:
    """The numbers of the bits that are set, the lowest first."""
    text = f"{bits:b}"[::-1]
    at = text.find("1")
    while at >= 0:
        yield at
        at = text.find("1", at + 1)


def _reached(
    affected: Collection[NodeId], reading: Mapping[NodeId, Collection[NodeId]], own: Mapping[NodeId, int]
) -> dict[NodeId, int]:
    """The bits of each node itself and of all that are downstream of it."""
    graph: nx.DiGraph[NodeId] = nx.DiGraph()
    graph.add_nodes_from(affected)
    graph.add_edges_from((node_id, reader) for node_id in affected for reader in reading.get(node_id, ()))
    knots = nx.condensation(graph)  # the nodes of a cycle reach the same
    reached: dict[NodeId, int] = {}
    bits: dict[int, int] = {}
    for knot in reversed(list(nx.topological_sort(knots))):
        members = knots.nodes[knot]["members"]
        found = 0
        for part in (*(own.get(member, 0) for member in members), *(bits[after] for after in knots.succ[knot])):
            found |= part
        bits[knot] = found
        reached.update(dict.fromkeys(members, found))
    return reached


def _with_origin(problem: Problem, workflow: Workflow) -> Problem:
    """The problem in the words of the user, for nodes that stand inside of a subgraph."""
    node = workflow.nodes.get(NodeId(problem.node_id or ""))
    return problem if node is None or node.origin is None else replace(problem, origin=node.origin)


def _goals(workflow: Workflow, goals: Collection[NodeId], *, named: bool) -> Iterator[Problem]:
    if not workflow.nodes:
        yield Problem("no_output_node", "the workflow is empty", hint="save it again from the editor")
    elif not goals:
        yield Problem(
            "no_output_node",
            "no node of the workflow saves or shows anything",
            hint="add a SaveImage or PreviewImage node, or name targets",
        )
    absent = [node_id for node_id in goals if node_id not in workflow.nodes] if named else []
    for index, node_id in enumerate(absent):
        near = nearest(node_id, workflow.nodes) if index < _MOST_SUGGESTED else None
        hint = f"did you mean {near!r}?" if near else None
        yield Problem("missing_node", f"the target {node_id!r} is no node of the workflow", node_id, hint=hint)


def _cycles(workflow: Workflow, needed: Collection[NodeId]) -> Iterator[Problem]:
    for path in cycles(workflow):
        shown = " -> ".join(path if len(path) <= 12 else [*path[:6], "…", *path[-5:]])
        yield Problem(
            "cycle",
            f"the nodes feed each other in a circle: {shown}",
            path[0],
            workflow.nodes[path[0]].class_type,
            hint="remove one of these links",
            severity="error" if path[0] in needed else "warning",
        )
