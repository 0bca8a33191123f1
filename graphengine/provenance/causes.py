"""Why nodes run: the root causes, each once, found by going from a node to what changed before it.

A node is compared with the last run in which it had its outputs. Going back from it, only those sources count
whose keys changed, and not those that are known to have given the same all the same.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import JsonValue

from graphengine.provenance.changes import Change, Comparison
from graphengine.provenance.record import SETTLED, Snapshot
from graphengine.workflow.models import Link, NodeId

CauseKind = Literal[
    "changed", "new", "first run", "unfinished", "failed", "always", "asks", "unkeyed", "file gone", "evicted",
    "not kept", "not stored", "other version", "secret", "unknown",
]  # fmt: skip

#: Parts that many nodes share; a change of one is one cause, whatever nodes it concerns.
_SHARED = ("code", "package:", "device", "deterministic", "float32_precision")


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason for nodes to run.

    `nodes` are those it lies in. For a change, `part` names the part of their keys, `old` and `new` what it was
    and is; of code, `module` is the pack. `at` is when it happened (seconds since 1970), `text` a file or a
    message.
    """

    kind: CauseKind
    nodes: tuple[str, ...] = ()
    part: str = ""
    old: JsonValue = None
    new: JsonValue = None
    module: str = ""
    at: float | None = None
    text: str = ""


#: When and why the outputs kept under a key were removed ("budget", "gc", "damaged", "cleared"), if that is known.
Evicted = Callable[[str], tuple[float, str] | None]


def _unknown(key: str) -> tuple[float, str] | None:
    return None


@dataclass(slots=True)
class Causes:
    """Finds the causes for nodes of a run, or of one that is planned; `past` are the runs before, newest first."""

    now: Snapshot
    past: Sequence[Snapshot]
    evicted: Evicted = _unknown
    asks: frozenset[str] = frozenset()
    _comparisons: dict[int, Comparison] = field(default_factory=dict)
    _found: dict[tuple[object, ...], tuple[Cause, dict[str, None]]] = field(default_factory=dict)

    def of(self, starts: Iterable[NodeId]) -> list[Cause]:
        """The causes for these nodes, in the order in which they are met."""
        self._found = {}
        seen: set[tuple[NodeId, int]] = set()
        stack = [(node_id, self.baseline(node_id), True) for node_id in reversed(list(starts))]
        while stack:
            node_id, base, is_start = stack.pop()
            if base is None:
                self._never(node_id)
                continue
            if (node_id, base) in seen:
                continue
            seen.add((node_id, base))
            stack.extend((source, base, False) for source in self._look_at(node_id, base, is_start=is_start))
        return [replace(cause, nodes=tuple(nodes)) for cause, nodes in self._found.values()]

    def baseline(self, node_id: NodeId) -> int | None:
        """Which of the past runs is the last in which the node had its outputs, None when there is none."""
        for index, run in enumerate(self.past):
            entry = run.record.nodes.get(node_id)
            if entry is not None and entry.state in SETTLED:
                return index
        return None

    def is_unchanged(self, node_id: NodeId) -> bool:
        """Whether the node's own parts are what they were when it last had its outputs."""
        base = self.baseline(node_id)
        if base is None or node_id in self.now.record.always or node_id in self.now.record.unkeyed:
            return False
        return self.past[base].key(node_id) == self.now.key(node_id) or not self._changes(node_id, base)

    def _changes(self, node_id: NodeId, base: int) -> list[Change]:
        if base not in self._comparisons:
            self._comparisons[base] = Comparison(self.now, self.past[base])
        return self._comparisons[base].changes(node_id)

    def _look_at(self, node_id: NodeId, base: int, *, is_start: bool) -> list[NodeId]:
        """Note the causes in one node; gives the sources to look at."""
        then = self.past[base]
        record = self.now.record
        if node_id in record.always or node_id in record.unkeyed:
            self._note(self._always(node_id) if node_id in record.always else Cause("unkeyed", (node_id,)))
            return []
        if node_id in self.asks:
            self._note(Cause("asks", (node_id,)))
        if is_start:
            self._failed(node_id)
        if then.key(node_id) == self.now.key(node_id):
            if is_start:
                self._lost(node_id, base)
            return []
        if node_id not in then.record.nodes:
            self._note(Cause("new", (node_id,)))
            return []
        changes = self._changes(node_id, base)
        for change in changes:
            self._note_change(node_id, change)
        found = self._changed_sources(node_id, then)
        sources = [source for source, same in found.items() if not same]
        if changes or sources:
            return sources
        if not found:
            self._unexplained(node_id, then)
        return list(found)  # a lazy input may be asked for where it was not, though it gives the same

    def _changed_sources(self, node_id: NodeId, then: Snapshot) -> dict[NodeId, bool]:
        """The nodes read, then and now, whose keys differ, each with whether it is known to give the same."""
        before, found = then.nodes[node_id].inputs, dict[NodeId, bool]()
        for name, link in self.now.nodes[node_id].inputs.items():
            if type(link) is not Link or before.get(name) != link or link.source not in then.record.nodes:
                continue
            if self.now.key(link.source) == then.key(link.source):
                continue
            digest = self.now.digest(link)
            same = digest is not None and digest == then.digest(link)
            found[link.source] = same and found.get(link.source, True)
        return found

    def _note(self, cause: Cause) -> None:
        """Take a cause; those that differ in their nodes alone become one."""
        shared = cause.kind == "first run" or cause.part.startswith(_SHARED)
        place = (
            cause.kind, cause.part, cause.module, repr((cause.old, cause.new)), cause.text, shared or cause.nodes
        )  # fmt: skip
        _, nodes = self._found.setdefault(place, (cause, {}))
        nodes.update(dict.fromkeys(cause.nodes))

    def _note_change(self, node_id: NodeId, change: Change) -> None:
        module = ""
        if change.part.startswith("code"):
            kind = self.now.class_of(node_id)
            module = kind.module if kind is not None else ""
        path = self.now.record.paths.get(node_id, {}).get(change.part.partition(":")[2], "")
        text = path if change.part.startswith(("file:", "path:")) else ""
        self._note(Cause("changed", (node_id,), change.part, change.old, change.new, module, text=text))

    def _always(self, node_id: NodeId) -> Cause:
        why = self.now.record.facts.get(node_id, {}).get("always", "")
        return Cause("always", (node_id,), text=str(why))

    def _failed(self, node_id: NodeId) -> None:
        """Note that the last run ended with this node, although it had its outputs once."""
        last = self.past[0].record
        if last.failure is not None and last.failure.node_id == node_id:
            self._note(Cause("failed", (node_id,), at=last.started, text=last.failure.message))

    def _never(self, node_id: NodeId) -> None:
        """Note why a node is to run that never had its outputs."""
        if node_id in self.now.record.always:
            self._note(self._always(node_id))
            return
        last = next((run.record for run in self.past if node_id in run.record.nodes), None)
        if last is None:
            self._note(Cause("new" if self.past else "first run", (node_id,)))
        elif last.failure is not None and last.failure.node_id == node_id:
            self._note(Cause("failed", (node_id,), at=last.started, text=last.failure.message))
        else:
            self._note(Cause("unfinished", (node_id,), at=last.started))

    def _lost(self, node_id: NodeId, base: int) -> None:
        """Note why outputs are not there although nothing changed."""
        gone = self.now.record.gone.get(node_id)
        key = self.now.record.nodes[node_id].key
        evicted = None if gone is not None else self.evicted(key)
        kind = self.now.class_of(node_id)
        if gone is not None:
            self._note(Cause("file gone", (node_id,), text=gone))
        elif evicted is not None:
            self._note(Cause("evicted", (node_id,), at=evicted[0], text=evicted[1]))
        elif kind is not None and kind.is_recipe:
            return  # loaders run whenever a node that reads them does
        elif kind is not None and not kind.cacheable:
            self._note(Cause("not stored", (node_id,), text="not cacheable"))
        elif not self.past[base].record.nodes[node_id].stored:
            self._note(Cause("not stored", (node_id,)))
        else:
            self._note(Cause("not kept", (node_id,), at=self.past[base].record.started))

    def _unexplained(self, node_id: NodeId, then: Snapshot) -> None:
        """Note what can be said of a key that changed and whose parts did not."""
        record, kind = self.now.record, self.now.class_of(node_id)
        hidden = [name for name in (kind.secrets if kind else ()) if name in self.now.nodes[node_id].inputs]
        if (record.key_format, record.graphengine) != (then.record.key_format, then.record.graphengine):
            self._note(Cause("other version", old=then.record.graphengine, new=record.graphengine))
        elif hidden:
            self._note(Cause("secret", (node_id,), text=", ".join(hidden)))
        elif any(type(value) is Link for value in self.now.nodes[node_id].inputs.values()):
            return  # what it reads gave the same, and another input has a cause of its own
        else:
            self._note(Cause("unknown", (node_id,)))
