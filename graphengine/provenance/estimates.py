"""How long nodes will take and how large their outputs are, from what past runs took."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from graphengine.provenance.changes import same_value
from graphengine.provenance.record import NodeEntry, Snapshot
from graphengine.workflow.models import Link, NodeId, WorkflowNode

#: Inputs whose values do not count when runs are compared: they change the picture and not the work.
_IDLE = frozenset({"seed", "noise_seed", "control_after_generate", "filename_prefix"})
_MOST = 50  # runs of one class that are looked at


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a node will take: seconds and bytes of its outputs (None when not known), and how many runs say so.

    `is_alike` tells whether these had the same values; otherwise they were runs of the same class. `peak` is the
    most memory that one of them took while it ran, in bytes, `device_peak` that of CUDA devices.
    """

    seconds: float | None = None
    bytes: int | None = None
    runs: int = 0
    is_alike: bool = False
    peak: int | None = None
    device_peak: int | None = None


@dataclass(slots=True)
class Estimates:
    """Estimates from runs of this workflow, newest first, and of others for classes that it never ran."""

    now: Snapshot
    past: Sequence[Snapshot]
    others: Iterable[Snapshot] = ()
    _of_class: dict[str, list[tuple[WorkflowNode, NodeEntry]]] = field(default_factory=dict)
    _by_class: dict[str, Estimate] = field(default_factory=dict)
    _is_indexed: bool = False

    def of(self, node_id: NodeId) -> Estimate:
        """What a node will take: by its own runs with the same values, runs alike, then all runs of its class."""
        node = self.now.nodes[node_id]
        own = [
            entry
            for run in self.past
            if (entry := run.record.nodes.get(node_id)) is not None
            and entry.seconds is not None
            and _is_alike(node, run.nodes[node_id])
        ]
        if own:
            return _summary(own, is_alike=True)
        runs = self._runs_of(node.class_type)
        alike = [entry for other, entry in runs if _is_alike(node, other)]
        if alike:
            return _summary(alike, is_alike=True)
        if node.class_type not in self._by_class:
            self._by_class[node.class_type] = _summary([entry for _, entry in runs], is_alike=False)
        return self._by_class[node.class_type]

    def _runs_of(self, class_type: str) -> list[tuple[WorkflowNode, NodeEntry]]:
        if not self._is_indexed:
            self._is_indexed = True
            self._index(self.past)
            classes = {node.class_type for node in self.now.nodes.values()}
            if classes - self._of_class.keys():
                self._index(self.others, classes - self._of_class.keys())
        return self._of_class.get(class_type, [])

    def _index(self, runs: Iterable[Snapshot], classes: Iterable[str] | None = None) -> None:
        wanted = None if classes is None else set(classes)
        for run in runs:
            for node_id, entry in run.record.nodes.items():
                node = run.nodes.get(NodeId(node_id))
                if entry.seconds is None or node is None or not (wanted is None or node.class_type in wanted):
                    continue
                known = self._of_class.setdefault(node.class_type, [])
                if len(known) < _MOST:
                    known.append((node, entry))


def _is_alike(one: WorkflowNode, other: WorkflowNode) -> bool:
    """Whether two nodes of a class are given the same values, as far as these make work."""
    if one.class_type != other.class_type:
        return False
    for name, value in one.inputs.items():
        before = other.inputs.get(name)
        if name in _IDLE or (type(value) is Link and type(before) is Link):
            continue
        if type(value) is Link or not same_value(value, before):
            return False
    return True


def _summary(entries: Sequence[NodeEntry], *, is_alike: bool) -> Estimate:
    seconds = [entry.seconds for entry in entries if entry.seconds is not None]
    sizes = [entry.bytes for entry in entries if entry.bytes is not None]
    return Estimate(
        median(seconds) if seconds else None,
        round(median(sizes)) if sizes else None,
        len(entries),
        is_alike,
        max((entry.peak for entry in entries if entry.peak is not None), default=None),
        max((entry.device_peak for entry in entries if entry.device_peak is not None), default=None),
    )


def largest_at_once(order: Iterable[NodeId], now: Snapshot, sizes: Mapping[NodeId, int]) -> int:
    """The most bytes of outputs held at once when nodes run in this order, each until its last reader has run."""
    steps = dict.fromkeys(order)
    left = {node_id: {each for each in now.readers.get(node_id, ()) if each in steps} for node_id in sizes}
    held = most = 0
    for node_id in steps:
        held += sizes.get(node_id, 0)
        most = max(most, held)
        for source in {value.source for value in now.nodes[node_id].inputs.values() if type(value) is Link}:
            readers = left.get(source)
            if readers is not None and node_id in readers:
                readers.discard(node_id)
                held -= 0 if readers else sizes[source]
    return most
