"""Circles of links, which two edits can close together though neither does alone."""

from collections.abc import Iterator

from graphengine.errors import Problem
from graphengine.workflow.models import Link, NodeId, Workflow


def circle_problems(workflow: Workflow) -> list[Problem]:
    """A problem for one node of each circle of links that is found."""
    finished: set[NodeId] = set()
    found: list[Problem] = []
    for start in workflow.nodes:
        path: list[tuple[NodeId, Iterator[NodeId]]] = (
            [(start, _sources(workflow, start))] if start not in finished else []
        )
        entered = {start}
        while path:
            node_id, sources = path[-1]
            source = next(sources, None)
            if source is None:
                path.pop()
                entered.discard(node_id)
                finished.add(node_id)
            elif source in entered:
                found.append(_circle(workflow, node_id, source))
            elif source not in finished:
                entered.add(source)
                path.append((source, _sources(workflow, source)))
    return found


def _sources(workflow: Workflow, node_id: NodeId) -> Iterator[NodeId]:
    inputs = workflow.nodes[node_id].inputs.values()
    return iter([each.source for each in inputs if isinstance(each, Link) and each.source in workflow.nodes])


def _circle(workflow: Workflow, node_id: NodeId, source: NodeId) -> Problem:
    return Problem(
        "cycle",
        f"its link from node {source} closes a circle",
        node_id=node_id,
        class_type=workflow.nodes[node_id].class_type,
        hint="take one of the links of the circle away",
    )
