"""The three-way merge of nodes that were taken apart: what one side changed is taken, what both did conflicts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphengine.workflow.canonical import id_order
from graphengine.workflow.difference.values import same
from graphengine.workflow.merging.parts import DRAWN, GraphParts, NodeParts, renamed, source_of


class _Absent:
    """Stands for a part that is not there."""


_ABSENT = _Absent()

#: The part of a conflict about a whole node: one side deleted it, the other edited or needs it.
WHOLE = "node"


@dataclass(frozen=True, slots=True)
class Conflict:
    """What both sides changed; the document has the value of `ours`, or for a whole node the edited one.

    `name` is how people call the part: the name of an input. `base`, `ours` and `theirs` lack what is not there.
    """

    graph: str
    node: str
    part: str
    name: str
    values: Mapping[str, Any]
    why: str

    def to_json(self) -> dict[str, Any]:
        """The conflict as a document keeps it."""
        about = {"graph": self.graph, "node": self.node, "part": self.part, "input": self.name, "why": self.why}
        return {**about, **self.values}


@dataclass(slots=True)
class Merging:
    """Three versions of one graph, and what comes out.

    `unsettled` are the nodes and parts about which the base itself has conflicts: it says nothing of them. Such a
    base is what git makes of several common ancestors.
    """

    graph: str
    base: GraphParts
    ours: GraphParts
    theirs: GraphParts
    unsettled: frozenset[tuple[str, str]] = frozenset()
    merged: GraphParts = field(default_factory=GraphParts)
    conflicts: list[Conflict] = field(default_factory=list)

    def run(self) -> None:
        """Fill `merged` and `conflicts`."""
        self.theirs = renamed(self.theirs, self._free_ids())
        for key in dict.fromkeys((*self.ours.nodes, *self.theirs.nodes)):
            node = self._merged_node(key)
            if node is not None:
                self._keep(key, node)
        self._bring_back_sources()

    def _keep(self, key: str, node: NodeParts) -> None:
        self.merged.nodes[key] = node
        own = (
            self.ours.ids if key in self.ours.ids else self.theirs.ids if key in self.theirs.ids else self.base.ids
        )
        self.merged.ids[key] = own[key]

    def _free_ids(self) -> dict[str, Any]:
        """New ids for nodes of theirs whose ids ours gave to other new nodes."""
        taken = [key for key in self.theirs.nodes if key not in self.base.nodes and key in self.ours.nodes]
        clashing = [key for key in taken if not same(self.theirs.nodes[key], self.ours.nodes[key])]
        everything = {*self.base.nodes, *self.ours.nodes, *self.theirs.nodes}
        following = 1 + max((id_order(key)[1] for key in everything), default=0)
        ids: dict[str, Any] = {}
        for number, key in enumerate(clashing, following):
            ids[key] = number if isinstance(self.theirs.ids[key], int) else str(number)
        return ids

    def _merged_node(self, key: str) -> NodeParts | None:
        base, ours, theirs = (each.nodes.get(key) for each in (self.base, self.ours, self.theirs))
        if base is None or (ours is not None and theirs is not None):
            if ours is None or theirs is None:
                return ours if ours is not None else theirs
            return self._merged_parts(key, base if base is not None else {}, ours, theirs)
        left, gone_from = (theirs, "ours") if ours is None else (ours, "theirs")
        is_open = any(node == key for node, _ in self.unsettled)
        if left is None or not (is_open or _is_edited(base, left)):
            return None
        self._add_whole(key, gone_from, "edited")
        return left

    def _add_whole(self, key: str, gone_from: str, why: str) -> None:
        other = "theirs" if gone_from == "ours" else "ours"
        values = {gone_from: "deleted", other: why}
        text = f"deleted by {gone_from}, {why} by {other}"
        self.conflicts.append(Conflict(self.graph, key, WHOLE, WHOLE, values, text))

    def _merged_parts(self, key: str, base: NodeParts, ours: NodeParts, theirs: NodeParts) -> NodeParts:
        base, ours, theirs = _aligned(base, ours, theirs)
        made: NodeParts = {}
        for part in dict.fromkeys((*ours, *theirs)):
            before, mine, other = (each.get(part, _ABSENT) for each in (base, ours, theirs))
            if (key, part) in self.unsettled:
                before = _ABSENT
            if _same(mine, other) or _same(other, before):
                chosen = mine
            elif _same(mine, before):
                chosen = other
            else:
                chosen = mine
                if part not in DRAWN:
                    self._add(key, part, before, mine, other)
            if chosen is not _ABSENT:
                made[part] = chosen
        return _joined(made)

    def _add(self, key: str, part: str, before: Any, mine: Any, other: Any) -> None:
        values = {
            name: value
            for name, value in (("base", before), ("ours", mine), ("theirs", other))
            if value is not _ABSENT
        }
        kind = "two links" if part.startswith("link:") else "two values"
        self.conflicts.append(Conflict(self.graph, key, part, part_name(part), values, f"{kind} for one input"))

    def _bring_back_sources(self) -> None:
        """Bring back nodes that one side deleted and the other links to."""
        waiting = list(self.merged.nodes)
        while waiting:
            key = waiting.pop()
            for source in set(_sources(self.merged.nodes[key])):
                if source in self.merged.nodes or source not in self.base.nodes:
                    continue
                gone_from = "ours" if source not in self.ours.nodes else "theirs"
                kept = self.theirs if gone_from == "ours" else self.ours
                self._keep(source, kept.nodes.get(source, self.base.nodes[source]))
                self._add_whole(source, gone_from, "linked")
                waiting.append(source)


def part_name(part: str) -> str:
    """How people call a part: the name of its input, or `widget 1`."""
    kind, _, name = part.partition(":")
    match kind:
        case "widget":
            return f"widget {int(name) + 1}"
        case "slot" | "link" | "output":
            return name.rpartition("#")[0]
        case _:
            return name or kind


def _sources(node: NodeParts) -> Iterator[str]:
    return (source for part, value in node.items() if (source := source_of(part, value)) is not None)


def _same(one: Any, other: Any) -> bool:
    if one is _ABSENT or other is _ABSENT:
        return one is other
    return same(one, other)


def _is_edited(base: NodeParts, other: NodeParts) -> bool:
    """Whether a side changed a node beyond how it is drawn."""
    return any(
        not _same(base.get(part, _ABSENT), other.get(part, _ABSENT))
        for part in {**base, **other}
        if part not in DRAWN
    )


def _aligned(*nodes: NodeParts) -> tuple[NodeParts, NodeParts, NodeParts]:
    """The nodes with their values one by one, if all have as many."""
    lists = [node["widgets"] for node in nodes if "widgets" in node]
    if len({len(values) for values in lists}) == 1 and len(lists) >= 2:
        base, ours, theirs = map(_spread, nodes)
        return base, ours, theirs
    base, ours, theirs = nodes
    return base, ours, theirs


def _spread(node: NodeParts) -> NodeParts:
    made: NodeParts = {}
    for part, value in node.items():
        if part == "widgets" and value:
            made.update({f"widget:{at}": each for at, each in enumerate(value)})
        else:
            made[part] = value
    return made


def _joined(node: NodeParts) -> NodeParts:
    """The node with its values as one list again."""
    values = {int(part[len("widget:") :]): value for part, value in node.items() if part.startswith("widget:")}
    made = {part: value for part, value in node.items() if not part.startswith("widget:")}
    if values:
        made["widgets"] = [values[at] for at in sorted(values)]
    return made
