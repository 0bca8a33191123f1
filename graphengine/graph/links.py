"""The links of a workflow as a networkx graph: what can be said of it before any node type is known."""

from collections.abc import Collection, Iterable, Iterator, Mapping

import networkx as nx

from graphengine.workflow.models import Link, NodeId, Workflow


def link_graph(workflow: Workflow) -> "nx.DiGraph[NodeId]":
    """An edge from each node to each node that reads it. Links to absent nodes are left out."""
    graph: nx.DiGraph[NodeId] = nx.DiGraph()
    graph.add_nodes_from(workflow.nodes)
    graph.add_edges_from(
        (value.source, node_id)
        for node_id, node in workflow.nodes.items()
        for value in node.inputs.values()
        if type(value) is Link and value.source in workflow.nodes
    )
    return graph


def needed_nodes(workflow: Workflow, targets: Collection[NodeId]) -> set[NodeId]:
    """The targets and everything upstream of them."""
    needed: set[NodeId] = set()
    waiting = [target for target in targets if target in workflow.nodes]
    while waiting:
        node_id = waiting.pop()
        if node_id in needed:
            continue
        needed.add(node_id)
        for value in workflow.nodes[node_id].inputs.values():
            if type(value) is Link and value.source in workflow.nodes and value.source not in needed:
                waiting.append(value.source)
    return needed


def readers(workflow: Workflow) -> dict[NodeId, list[NodeId]]:
    """The nodes that read each node, once per link. Links to absent nodes are left out."""
    reading: dict[NodeId, list[NodeId]] = {}
    nodes = workflow.nodes
    for node_id, node in nodes.items():
        for value in node.inputs.values():
            if type(value) is Link and value.source in nodes:
                reading.setdefault(value.source, []).append(node_id)
    return reading


def downstream(sources: Iterable[NodeId], reading: Mapping[NodeId, Collection[NodeId]]) -> set[NodeId]:
    """The nodes and all that read them, also by way of others."""
    found: set[NodeId] = set()
    waiting = list(sources)
    while waiting:
        node_id = waiting.pop()
        if node_id not in found:
            found.add(node_id)
            waiting.extend(reading.get(node_id, ()))
    return found


def cycles(workflow: Workflow) -> Iterator[list[NodeId]]:
    """One circular path per knot of nodes that feed each other; first and last id are the same."""
    tangled = _tangled(workflow)
    if not tangled:
        return
    graph = link_graph(Workflow({node_id: workflow.nodes[node_id] for node_id in tangled}))
    knots = [sorted(part) for part in nx.strongly_connected_components(graph)]
    for knot in sorted(knots, key=lambda part: part[0]):
        if len(knot) > 1 or graph.has_edge(knot[0], knot[0]):
            edges = nx.find_cycle(graph.subgraph(knot), knot[0])
            yield [edges[0][0], *(edge[1] for edge in edges)]


def _tangled(workflow: Workflow) -> set[NodeId]:
    """The nodes that are in a cycle or downstream of one: what remains when nodes whose sources are gone leave.

    Nearly every workflow has none; finding that out costs counters and no graph.
    """
    reading = readers(workflow)
    waiting_for = dict.fromkeys(workflow.nodes, 0)
    for group in reading.values():
        for reader in group:
            waiting_for[reader] += 1
    ready = [node_id for node_id, count in waiting_for.items() if not count]
    while ready:
        node_id = ready.pop()
        del waiting_for[node_id]
        for reader in reading.get(node_id, ()):
            waiting_for[reader] -= 1
            if not waiting_for[reader]:
                ready.append(reader)
    return set(waiting_for)
