"""In which order the nodes run.

Among the nodes that are ready, those that show or save something go first, and those that are coroutines, since
they can wait while others work. Then come the nodes that such an output reads, then those that these read: what is
nearly done is finished, shown and forgotten before the next branch begins. Beyond that the smaller id decides.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from graphengine.graph.graph import Graph
from graphengine.workflow.models import NodeId

_FAR = 3  # links to an output, beyond which they are not counted


@dataclass(frozen=True, slots=True)
class Plan:
    """The nodes that the targets need, each after all it reads, in an order that depends on the graph alone."""

    graph: Graph
    steps: tuple[NodeId, ...]


def make_plan(graph: Graph) -> Plan:
    """Sort the graph; among nodes that are ready the one nearest to an output goes first, then the smaller id."""
    distance = _distances(graph)
    order = sorted(graph.nodes, key=lambda node_id: (distance.get(node_id, _FAR), _natural(node_id)))
    return Plan(graph, tuple(_sorted(graph, order)))


def _distances(graph: Graph) -> Mapping[NodeId, int]:
    """Links from each node to the nearest output, 0 for outputs and coroutines; far nodes are left out."""
    definitions = graph.definitions
    nearest = [node_id for node_id in graph.nodes if definitions[node_id].is_output]
    distance = dict.fromkeys(nearest, 0)
    for step in range(1, _FAR):
        sources = (source for node_id in nearest for source in graph.dag.predecessors(node_id))
        nearest = list(dict.fromkeys(source for source in sources if source not in distance))
        distance.update(dict.fromkeys(nearest, step))
    distance.update((node_id, 0) for node_id in graph.nodes if definitions[node_id].is_async)
    return distance


def _sorted(graph: Graph, order: Sequence[NodeId]) -> Iterator[NodeId]:
    """Each node after all it reads; of several that are ready, the first of `order`."""
    rank = {node_id: index for index, node_id in enumerate(order)}
    waiting_for = dict(graph.dag.in_degree)
    ready = [rank[node_id] for node_id, count in waiting_for.items() if not count]
    heapify(ready)
    while ready:
        node_id = order[heappop(ready)]
        yield node_id
        for reader in graph.dag.successors(node_id):
            waiting_for[reader] -= 1
            if not waiting_for[reader]:
                heappush(ready, rank[reader])


def _natural(node_id: NodeId) -> tuple[tuple[int, int, str], ...]:
    """Ids in the order people count: numbers by value, parts of a subgraph path one by one."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in node_id.split(":"))
