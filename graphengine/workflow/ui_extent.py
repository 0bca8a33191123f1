"""How large a document gets when its subgraphs are opened up; counted before anything is.

A document of a few kilobytes can define subgraphs that double with each level, or put a node of thousands of
inputs into a subgraph of thousands of instances. So what one instance brings is counted definition by definition,
and what would get too large is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from graphengine.workflow.ui_graph import UiGraph, node_id, runs
from graphengine.workflow.ui_models import UiNode

#: Most nodes, values (with slots) and letters (of ids, names and texts) that instances may bring, and most levels.
MAX_NODES, MAX_VALUES, MAX_LETTERS, MAX_DEPTH = 50_000, 500_000, 32 * 1024**2, 30


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is in a graph with all that is inside of it; `levels` counts the graphs within each other."""

    nodes: int = 0
    values: int = 0
    letters: int = 0
    levels: int = 0

    @property
    def share(self) -> float:
        """How much of the limits it takes; above 1 it is too large."""
        return max(
            self.nodes / MAX_NODES,
            self.values / MAX_VALUES,
            self.letters / MAX_LETTERS,
            self.levels / MAX_DEPTH,
        )

    def __str__(self) -> str:
        size = f"{_shown(self.nodes)} nodes in {_shown(self.levels)} level{'s' if self.levels != 1 else ''}"
        if self.values > MAX_VALUES:
            size += f" with {_shown(self.values)} slots and values"
        return size + (f" and {_shown(self.letters)} letters" if self.letters > MAX_LETTERS else "")


#: The limits in words.
LIMITS = f"{MAX_NODES:,} nodes in {MAX_DEPTH} levels, {MAX_VALUES:,} slots and values and {MAX_LETTERS:,} letters"


def extent_of(graph: UiGraph, inside: Mapping[str, Extent]) -> Extent:
    """What one instance of a graph brings, when the extents of the types inside of it are known."""
    own = [_weight(node) for node in graph.nodes.values()]
    inner = extent_of_instances(graph.nodes.values(), inside)
    return Extent(
        inner.nodes + len(own),
        inner.values + len(graph.inputs) + sum(values for values, _ in own),
        inner.letters + sum(letters for _, letters in own),
        inner.levels + 1,
    )


def extent_of_instances(nodes: Iterable[UiNode], inside: Mapping[str, Extent]) -> Extent:
    """What the instances among some nodes bring; the ids of nodes inside begin with that of the instance."""
    count = values = letters = levels = 0
    for node in nodes:
        extent = inside.get(node.type)
        if extent is not None and runs(node):
            count += extent.nodes
            values += extent.values
            letters += extent.letters + extent.nodes * (len(node_id(node)) + 1)
            levels = max(levels, extent.levels)
    return Extent(count, values, letters, levels)


def weight_of(value: JsonValue) -> tuple[int, int]:
    """How many values a JSON value holds, itself counted, and how many letters."""
    values = letters = 0
    waiting: list[JsonValue] = [value]
    while waiting:
        each = waiting.pop()
        values += 1
        if isinstance(each, str):
            letters += len(each)
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, dict):
            letters += sum(map(len, each))
            waiting.extend(each.values())
    return values, letters


def _weight(node: UiNode) -> tuple[int, int]:
    """Values and letters of one node, as far as each instance has its own."""
    values, letters = weight_of(node.widgets_values)
    if isinstance(node.properties, dict) and "proxyWidgets" in node.properties:
        values += weight_of(node.properties["proxyWidgets"])[0]
    slots = node.inputs or ()
    names = sum(len(slot.name) for slot in slots)
    return values + len(slots), letters + names + len(node_id(node)) + len(node.type) + len(node.title or "")


def _shown(count: int) -> str:
    return f"{count:,}" if count < 10**12 else "more than a million million"
