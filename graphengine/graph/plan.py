"""In which order the nodes run."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import networkx as nx

from graphengine.graph.graph import Graph
from graphengine.workflow.models import NodeId


@dataclass(frozen=True, slots=True)
class Plan:
    """The nodes that the targets need, each after all it reads, in an order that depends on the graph alone."""

    graph: Graph
    steps: tuple[NodeId, ...]


def make_plan(graph: Graph) -> Plan:
    """Sort the graph; among nodes that are ready the smaller id goes first ("2" before "10")."""
    rank = {node_id: index for index, node_id in enumerate(sorted(graph.nodes, key=_natural))}
    return Plan(graph, tuple(nx.lexicographical_topological_sort(graph.dag, key=rank.__getitem__)))


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keeps Python's cyclic collector from running meanwhile.

    A plan is many small lasting objects and no garbage; with ten thousand nodes the collector would walk through
    them again and again, a third of the whole time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _natural(node_id: NodeId) -> tuple[tuple[int, int, str], ...]:
    """Ids in the order people count: numbers by value, parts of a subgraph path one by one."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in node_id.split(":"))
