"""What the next run will do, told from the cache and the records of past runs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from graphengine.cache.store import CacheStore
from graphengine.execution.account import Account
from graphengine.execution.digests import NodeDigests
from graphengine.execution.forecast import Forecast, Foreseen
from graphengine.execution.held import HeldOutputs
from graphengine.execution.keys import ask_node
from graphengine.execution.known import KnownNodes
from graphengine.execution.open_documents import OpenDocuments
from graphengine.execution.recall import Recall
from graphengine.execution.shown import SavedFiles
from graphengine.graph.plan import Plan
from graphengine.node.definition import NodeDefinition
from graphengine.provenance.causes import Causes, Evicted
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.record import DIGEST_LENGTH, Snapshot
from graphengine.recording.run_record import Ended, disk_of, make_record, shape_of, short_path
from graphengine.workflow.collector import collector_paused
from graphengine.workflow.models import NodeId, Workflow, WorkflowNode


@dataclass(frozen=True, slots=True)
class Foresight:
    """What a run would do: `of` tells it for each node of the plan, in its order.

    `now` is the run as a record, `past` are the last runs of the workflow, newest first. `asks` are nodes whose
    `IS_CHANGED` was not called.
    """

    plan: Plan
    now: Snapshot
    past: tuple[Snapshot, ...]
    of: Mapping[NodeId, Foreseen]
    asks: frozenset[NodeId] = frozenset()
    evicted: Evicted = lambda key: None

    @property
    def causes(self) -> Causes:
        """Finds out why nodes will run."""
        return Causes(self.now, self.past, self.evicted, self.asks)

    def last_run(self) -> Causes | None:
        """Finds out why nodes ran the last time, None when there was no run."""
        return Causes(self.past[0], self.past[1:]) if self.past else None


@dataclass(slots=True)
class Guesses:
    """Answers for nodes with `IS_CHANGED` as their last run heard them, so that no code of theirs is called.

    `unasked` are those that may answer something else by now, `unheard` those that never answered.
    """

    past: tuple[Snapshot, ...]
    unasked: set[NodeId] = field(default_factory=set)
    unheard: set[NodeId] = field(default_factory=set)

    def __call__(self, node_id: NodeId, node: WorkflowNode, definition: NodeDefinition) -> str | None:
        """The last answer, None when there is none or it was that the node is to run every time."""
        for run in self.past:
            recorded_node = run.record.document.get(node_id)
            if recorded_node is None or recorded_node["class_type"] != node.class_type:
                continue
            if node_id in run.record.always:
                return None
            answer = run.record.facts.get(node_id, {}).get("IS_CHANGED")
            if isinstance(answer, str):
                self.unasked.add(node_id)
                return answer
        self.unheard.add(node_id)
        return None


def past_runs(records: RecordFolder | None, workflow: Workflow, file: Path | None) -> tuple[Snapshot, ...]:
    """The last runs of a workflow, newest first."""
    if records is None:
        return ()
    with collector_paused():
        return tuple(records.read(file, shape_of(workflow) if file is None else ""))


def foresee(
    known: KnownNodes,
    store: CacheStore,
    saved: SavedFiles,
    past: tuple[Snapshot, ...],
    file: Path | None,
    *,
    ask: bool,
) -> Foresight:
    """What a run of the plan would do. With `ask`, `IS_CHANGED` of nodes is called, which runs their code."""
    with collector_paused():
        return _foresee(known, store, saved, past, file, Guesses(past), ask=ask)


def _foresee(
    known: KnownNodes,
    store: CacheStore,
    saved: SavedFiles,
    past: tuple[Snapshot, ...],
    file: Path | None,
    guesses: Guesses,
    *,
    ask: bool,
) -> Foresight:
    known.keys.ask = ask_node if ask else guesses
    known.take_plan()
    asks = frozenset(guesses.unasked)
    known.keys.always -= guesses.unheard
    digests = NodeDigests(known, HeldOutputs(store))
    folders = saved.folders
    recall = Recall(store, known, digests, saved)
    account = Account(known, recall, digests, {}, ())
    record = make_record(account, folders, file, Ended(time.time(), 0.0, "planned"))
    documents = OpenDocuments(Workflow(known.nodes), known.prompt.open.define)
    now = Snapshot(record, documents.nodes)  # as records of past runs have them: without secrets
    of = Forecast(known, recall, digests, Causes(now, past).is_unchanged, asks).make()
    for node_id, foreseen in of.items():
        entry = record.nodes[node_id]
        entry.state = foreseen.fate
        entry.digests = tuple(digest[:DIGEST_LENGTH] for digest in digests.known_of(node_id) or ())
    record.gone.update({node_id: short_path(path, folders) for node_id, path in recall.gone.items()})
    return Foresight(known.plan, now, past, of, asks, _evicted(store))


def _evicted(store: CacheStore) -> Evicted:
    """When and why the store let go of a key, as far as it remembers."""
    disk = disk_of(store)

    def evicted(key: str) -> tuple[float, str] | None:
        found = disk.evictions([key]).get(key) if disk is not None else None
        return None if found is None else (found.when, found.why)

    return evicted
