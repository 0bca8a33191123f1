"""Writes what a run did into its record.

`execution` knows nodes and keys, `provenance` knows records; neither knows the other. Here one becomes the other.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, cast
from uuid import uuid4

from pydantic import JsonValue

from graphengine.cache.disk import DiskStore
from graphengine.cache.hashing import KEY_FORMAT
from graphengine.cache.store import CacheStore, TieredStore
from graphengine.errors import GraphEngineError, NodeExecutionError, RunCancelled
from graphengine.execution.account import Account
from graphengine.execution.known import KnownNodes
from graphengine.execution.parts import SharedParts, file_paths, shared_parts
from graphengine.execution.run import Run
from graphengine.node.folders import Folders
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.record import (
    DIGEST_LENGTH,
    HIDDEN,
    ClassEntry,
    NodeEntry,
    NodeState,
    RecordedNode,
    RunFailure,
    RunRecord,
    hidden,
)
from graphengine.workflow.api_format import workflow_to_api
from graphengine.workflow.collector import collector_paused
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

Status = Literal["success", "error", "cancelled"]

logger = logging.getLogger(__name__)


@contextmanager
def recorded(run: Run, records: RecordFolder | None, file: Path | None) -> Iterator[None]:
    """Write a record of what the run does in the block, however it ends; the store remembers what it used."""
    if records is None:
        yield
        return
    started, before = time.time(), time.perf_counter()
    status: Status = "error"
    failure: RunFailure | None = None
    try:
        yield
        status = "success"
    except (RunCancelled, KeyboardInterrupt):
        status = "cancelled"
        raise
    except GraphEngineError as error:
        node_id = error.node_id if isinstance(error, NodeExecutionError) else None
        failure = RunFailure(node_id, error.message)
        raise
    finally:
        ended = Ended(started, time.perf_counter() - before, status, failure)
        _log(run, file, started)
        _write(records, run, file, ended)


def _write(records: RecordFolder, run: Run, file: Path | None, ended: "Ended") -> None:
    disk = disk_of(run.store)
    if disk is not None and not disk.index.can_keep:  # the folder cannot be used, and one warning is enough
        return
    try:
        with collector_paused():
            record = make_record(run.account, run.saved.folders, file, ended)
            for node_id in _not_stored(run):
                record.nodes[node_id].stored = False
            records.write(record)
    except (OSError, GraphEngineError, ValueError) as error:  # the code of a pack is gone, for instance
        logger.warning("the run is not recorded: %s", error)


def _not_stored(run: Run) -> set[NodeId]:
    """The nodes that ran and whose outputs no other process will find."""
    account, disk = run.account, disk_of(run.store)
    recall, keys = account.recall, account.known.keys
    lost = account.executed.keys() - recall.kept
    if disk is not None:  # memory may have taken what the disk cannot hold
        of = {keys.of[node_id]: node_id for node_id in recall.sizes if keys.of[node_id] not in keys.volatile}
        found = disk.peek_many(of)
        lost.update(node_id for key, node_id in of.items() if key not in found)
    return {node_id for node_id in lost if node_id not in account.known.places}


def _log(run: Run, file: Path | None, started: float) -> None:
    """Have the disk remember which entries the run used, so that it keeps them longer than others."""
    disk, account = disk_of(run.store), run.account
    if disk is not None:
        keys = [account.known.keys.of[node_id] for node_id in (*account.executed, *account.cached)]
        disk.runs.record(uuid4().hex, file, started, keys)


@dataclass(frozen=True, slots=True)
class Ended:
    """When a run began, how long it took, and how it ended."""

    started: float
    seconds: float
    status: Literal["success", "error", "cancelled", "planned"]
    failure: RunFailure | None = None


def make_record(account: Account, folders: Folders, file: Path | None, ended: Ended) -> RunRecord:
    """The record of a run, or of one that is planned, which has no document of its own."""
    known, keys = account.known, account.known.keys
    workflow = known.plan.graph.workflow
    shared = shared_parts(known)
    with_files = [
        node_id
        for node_id, facts in keys.facts.items()
        if any(name.startswith(("file:", "path:")) for name in facts)
    ]
    steps = [node_id for node_id in known.plan.steps if node_id in keys.of]
    return RunRecord(
        graphengine=_version(),
        key_format=KEY_FORMAT,
        file=os.path.abspath(file) if file is not None else None,
        shape=shape_of(workflow) if file is None else "",
        started=ended.started,
        seconds=ended.seconds,
        status=ended.status,
        targets=tuple(known.plan.graph.targets),
        document=_document(known, steps, shared) if ended.status != "planned" else {},
        nodes=_entries(account, steps, ended),
        classes={name: ClassEntry(**asdict(parts)) for name, parts in shared.classes.items()},
        codes=shared.codes,
        environments=shared.environments,
        facts={node_id: dict(cast("Mapping[str, JsonValue]", facts)) for node_id, facts in keys.facts.items()},
        paths=file_paths(known, folders, with_files),
        always=sorted(keys.always),
        unkeyed=sorted(keys.unkeyed),
        gone={node_id: short_path(path, folders) for node_id, path in account.recall.gone.items()},
        expanded=_expanded(known),
        failure=ended.failure,
    )


def shape_of(workflow: Workflow) -> str:
    """A hash (hex) of the nodes and links of a workflow without its values."""
    digest = sha256(b"graphengine shape 1\n")
    for node_id, node in sorted(workflow.nodes.items()):
        links = sorted((name, link) for name, link in node.inputs.items() if type(link) is Link)
        text = [node_id, node.class_type, *(f"{name}={link.source}.{link.output}" for name, link in links)]
        digest.update(repr(text).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _version() -> str:
    try:
        return version("graphengine-comfy")
    except PackageNotFoundError:  # a bare checkout
        return "unknown"


def short_path(path: Path, folders: Folders) -> str:
    """The path as the user knows it: below the folder that holds the output folder."""
    base = folders.output.absolute().parent
    return str(path.absolute().relative_to(base)) if path.absolute().is_relative_to(base) else str(path)


def _document(known: KnownNodes, steps: list[NodeId], shared: SharedParts) -> dict[str, RecordedNode]:
    """The nodes of the run, with secrets and what is no JSON replaced."""
    nodes: dict[NodeId, WorkflowNode] = {}
    for node_id in steps:
        node = known.nodes[node_id]
        secrets = shared.classes[node.class_type].secrets
        if secrets or node_id in known.keys.unkeyed:
            open_ = _open(node, secrets, plain=node_id not in known.keys.unkeyed)
            node = WorkflowNode(node.class_type, open_, node.title, node.origin)
        nodes[node_id] = node
    return cast("dict[str, RecordedNode]", workflow_to_api(Workflow(nodes)))


# Any: values of inputs.
def _open(node: WorkflowNode, secrets: tuple[str, ...], *, plain: bool) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for name, value in node.inputs.items():
        if type(value) is Link or plain:
            inputs[name] = hidden(value) if name in secrets else value
        else:
            inputs[name] = HIDDEN if name in secrets else repr(value)[:200]
    return inputs


def _entries(account: Account, steps: list[NodeId], ended: Ended) -> dict[str, NodeEntry]:
    recall, key_of, executed = account.recall, account.known.keys.of, account.executed
    digests_of, content_of, size_of = account.digests.known_of, recall.contents.get, recall.sizes.get
    peak_of = recall.peaks.get
    failed = ended.failure.node_id if ended.failure is not None else None
    entries: dict[str, NodeEntry] = {}
    for node_id in steps:
        found, content = digests_of(node_id), content_of(node_id)
        seconds = executed.get(node_id)
        entries[node_id] = NodeEntry(
            key_of[node_id],
            "executed" if seconds is not None else _state(account, node_id, failed, ended),
            seconds,
            content and content[:DIGEST_LENGTH],
            tuple([digest[:DIGEST_LENGTH] for digest in found]) if found else (),
            size_of(node_id),
            peak=peak.process if (peak := peak_of(node_id)) else None,
            device_peak=peak.device if peak and peak.device else None,
        )
    return entries


def _state(account: Account, node_id: NodeId, failed: str | None, ended: Ended) -> NodeState:
    if node_id in account.cached:
        if node_id in account.recall.contents:
            return "cut off"
        return "cached" if account.recall.has(node_id) else "equal"
    if node_id == failed:
        return "failed"
    return "not needed" if ended.status == "success" or account.recall.has(node_id) else "not reached"


def _expanded(known: KnownNodes) -> dict[str, int]:
    counts: dict[str, int] = {}
    for place in known.places.values():
        counts[place.real] = counts.get(place.real, 0) + 1
    return counts


def disk_of(store: CacheStore) -> DiskStore | None:
    """The disk among the tiers of a store."""
    waiting = [store]
    while waiting:
        tier = waiting.pop()
        if isinstance(tier, DiskStore):
            return tier
        if isinstance(tier, TieredStore):
            waiting += [tier.first, tier.second]
    return None
