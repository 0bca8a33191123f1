"""The changes between two workflows, graph by graph and node by node."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from graphengine.workflow.difference.matching import Pairs, match_nodes
from graphengine.workflow.difference.sheets import Given, Sheet, SheetNode, Source
from graphengine.workflow.difference.values import frozen, same


class _Nothing:
    """Stands for an input that is not there."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()


@dataclass(frozen=True, slots=True)
class InputChange:
    """What an input was given and is given now: a `Source` for a link, a literal, or `NOTHING`."""

    name: str
    old: Given | _Nothing
    new: Given | _Nothing

    @property
    def kind(self) -> Literal["value", "link"]:
        """Whether a link came, went or moved, or a literal changed."""
        return "link" if isinstance(self.old, Source) or isinstance(self.new, Source) else "value"


@dataclass(frozen=True, slots=True)
class NodeChange:
    """What became of a node: `old` is None when it was added, `new` when it was removed."""

    old: SheetNode | None
    new: SheetNode | None
    inputs: tuple[InputChange, ...] = ()

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """What became of it as a whole."""
        return "added" if self.old is None else "removed" if self.new is None else "changed"

    @property
    def node(self) -> SheetNode:
        """The node as it is, or was."""
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def renamed(self) -> tuple[str | None, str | None] | None:
        """The old title and the new one, when they differ."""
        return self._differs("title")

    @property
    def retyped(self) -> tuple[str | None, str | None] | None:
        """The old type and the new one, when they differ."""
        return self._differs("type")

    @property
    def switched(self) -> tuple[str | None, str | None] | None:
        """The old state ("runs", "muted", "bypassed") and the new one, when they differ."""
        return self._differs("state")

    def _differs(self, name: str) -> tuple[str | None, str | None] | None:
        if self.old is None or self.new is None:
            return None
        before, after = getattr(self.old, name), getattr(self.new, name)
        return (before, after) if before != after else None

    def __bool__(self) -> bool:
        """Whether anything differs."""
        whole = self.old is None or self.new is None
        return whole or bool(self.inputs or self.renamed or self.retyped or self.switched)


@dataclass(frozen=True, slots=True)
class GraphChange:
    """What became of a graph; `old` is None when it was added. `drawn` are nodes that are drawn in another way."""

    old: Sheet | None
    new: Sheet | None
    nodes: tuple[NodeChange, ...] = ()
    drawn: tuple[str, ...] = ()
    decoration: bool = False
    pairs: Mapping[str, str] = field(default_factory=dict)

    @property
    def sheet(self) -> Sheet:
        """The graph as it is, or was."""
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def renamed(self) -> bool:
        """Whether it has another name."""
        return self.old is not None and self.new is not None and self.old.name != self.new.name

    def __bool__(self) -> bool:
        """Whether anything differs but how it is drawn."""
        return self.old is None or self.new is None or bool(self.nodes) or self.renamed


@dataclass(frozen=True, slots=True)
class Difference:
    """The changes of two workflows; graphs without any are left out of `changes`."""

    graphs: tuple[GraphChange, ...]

    @property
    def changes(self) -> tuple[GraphChange, ...]:
        """The graphs that say something else."""
        return tuple(graph for graph in self.graphs if graph)

    @property
    def moved(self) -> int:
        """How many nodes are drawn in another way."""
        return sum(len(graph.drawn) for graph in self.graphs)

    @property
    def redecorated(self) -> bool:
        """Whether groups or reroutes differ."""
        return any(graph.decoration for graph in self.graphs)

    def __bool__(self) -> bool:
        """Whether the workflows say something else."""
        return bool(self.changes)


def compare(old: Mapping[str, Sheet], new: Mapping[str, Sheet], *, titles_may_lack: bool = False) -> Difference:
    """The changes between two workflows; with `titles_may_lack` a title counts where both have one."""
    of = _match_graphs(old, new)
    alike = {after: before for after, before in of.items() if after != before}
    if alike:  # the type of an instance is the id of its graph
        new = {key: _retyped(sheet, alike) for key, sheet in new.items()}
    if titles_may_lack:
        old, new = _untitled(old), _untitled(new)
    graphs = [_compare(old[before], new[after]) for after, before in of.items()]
    graphs += [GraphChange(sheet, None) for key, sheet in old.items() if key not in of.values()]
    graphs += [GraphChange(None, sheet) for key, sheet in new.items() if key not in of]
    return Difference(tuple(graphs))


def _untitled(sheets: Mapping[str, Sheet]) -> dict[str, Sheet]:
    return {
        key: replace(sheet, nodes={id_: replace(node, title=None) for id_, node in sheet.nodes.items()})
        for key, sheet in sheets.items()
    }


def _match_graphs(old: Mapping[str, Sheet], new: Mapping[str, Sheet]) -> dict[str, str]:
    """Keys of the old graphs by those of the new: by key, then by name, then where one of a kind is left."""
    found = {key: key for key in new if key in old}
    for by_name in (True, False):
        left = {key: sheet for key, sheet in old.items() if key not in found.values()}
        for key, sheet in new.items():
            alike = [
                other
                for other, each in left.items()
                if each.kind == sheet.kind and (not by_name or each.name == sheet.name)
            ]
            if key not in found and len(alike) == 1:
                found[key] = alike[0]
                del left[alike[0]]
    return found


def _retyped(sheet: Sheet, types: Mapping[str, str]) -> Sheet:
    nodes = {
        key: replace(node, type=types[node.type]) if node.type in types else node
        for key, node in sheet.nodes.items()
    }
    return replace(sheet, nodes=nodes)


def _compare(old: Sheet, new: Sheet) -> GraphChange:
    pairs = match_nodes(old.nodes, new.nodes, lambda pairs: _cost(old, new, pairs))
    changes = tuple(_node_changes(old, new, pairs))
    drawn = tuple(
        key
        for key, before in pairs.items()
        if old.nodes[before].place and new.nodes[key].place
        and frozen(old.nodes[before].place) != frozen(new.nodes[key].place)
    )  # fmt: skip
    decoration = old.decoration is not None and new.decoration is not None
    differs = decoration and frozen(old.decoration) != frozen(new.decoration)
    return GraphChange(old, new, changes, drawn, differs, pairs)


def _cost(old: Sheet, new: Sheet, pairs: Pairs) -> int:
    """How much differs: a node that came or went counts as much as all its inputs."""
    return sum(
        3 + len(change.node.inputs)
        if change.kind != "changed"
        else len(change.inputs) + 2 * bool(change.retyped) + bool(change.renamed) + bool(change.switched)
        for change in _node_changes(old, new, pairs)
    )


def _node_changes(old: Sheet, new: Sheet, pairs: Pairs) -> Iterator[NodeChange]:
    """Nodes that differ, in the order of the new graph, then those that are gone."""
    for key, node in new.nodes.items():
        before = pairs.get(key)
        if before is None:
            yield NodeChange(None, node)
            continue
        earlier = old.nodes[before]
        change = NodeChange(earlier, node, tuple(_input_changes(earlier, node, pairs)))
        if change:
            yield change
    kept = set(pairs.values())
    yield from (NodeChange(node, None) for key, node in old.nodes.items() if key not in kept)


def _input_changes(old: SheetNode, new: SheetNode, pairs: Pairs) -> Iterator[InputChange]:
    for name in {**old.inputs, **new.inputs}:
        before, after = old.inputs.get(name, NOTHING), new.inputs.get(name, NOTHING)
        if isinstance(before, Source) and isinstance(after, Source):
            if not _same_source(before, after, pairs):
                yield InputChange(name, before, after)
        elif before is NOTHING or after is NOTHING or isinstance(before, Source) or isinstance(after, Source):
            if before is not after:
                yield InputChange(name, before, after)
        elif not same(before, after):
            yield InputChange(name, before, after)


def _same_source(before: Source, after: Source, pairs: Pairs) -> bool:
    if before.output != after.output:
        return False
    if after.node in pairs:
        return pairs[after.node] == before.node
    return before.node == after.node and before.node not in pairs.values()  # both lead nowhere
