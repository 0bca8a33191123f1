"""The links of a workflow as a networkx graph: what can be said of it before any node type is known."""

from collections.abc import Collection, Iterator

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


def cycles(workflow: Workflow) -> Iterator[list[NodeId]]:
    """One circular path per knot of nodes that feed each other; first and last id are the same."""
    graph = link_graph(workflow)
    for knot in sorted(
        (sorted(part) for part in nx.strongly_connected_components(graph)), key=lambda part: part[0]
    ):
        if len(knot) > 1 or graph.has_edge(knot[0], knot[0]):
            edges = nx.find_cycle(graph.subgraph(knot), knot[0])
            yield [edges[0][0], *(edge[1] for edge in edges)]
