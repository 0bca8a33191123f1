"""Makes the record of a run that is kept beside the cache, for the next run to be compared with.

`execution` knows nodes and keys, `provenance` knows records; neither knows the other. Here one becomes the other.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, cast

from pydantic import JsonValue

from graphengine.cache.disk import DiskStore
from graphengine.cache.hashing import KEY_FORMAT
from graphengine.cache.store import CacheStore, TieredStore
from graphengine.execution.account import Account
from graphengine.execution.known import KnownNodes
from graphengine.execution.open_documents import OpenDocuments
from graphengine.execution.parts import file_paths, shared_parts
from graphengine.node.folders import Folders
from graphengine.provenance.record import (
    DIGEST_LENGTH,
    ClassEntry,
    NodeEntry,
    NodeState,
    RecordedNode,
    RunFailure,
    RunRecord,
)
from graphengine.workflow.api_format import workflow_to_api
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode


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
        document=_document(known, steps) if ended.status != "planned" else {},
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


def _document(known: KnownNodes, steps: list[NodeId]) -> dict[str, RecordedNode]:
    """The nodes of the run, with secrets and what is no JSON replaced."""
    open_ = OpenDocuments(Workflow({node_id: known.nodes[node_id] for node_id in steps}), known.prompt.open.define)
    unkeyed = known.keys.unkeyed.intersection(steps)
    nodes = {**open_.nodes, **{node_id: _shortened(open_.nodes[node_id]) for node_id in unkeyed}}
    return cast("dict[str, RecordedNode]", workflow_to_api(Workflow(nodes)))


def _shortened(node: WorkflowNode) -> WorkflowNode:
    """A node some of whose values are no JSON."""
    inputs = {name: value if type(value) is Link else repr(value)[:200] for name, value in node.inputs.items()}
    return WorkflowNode(node.class_type, inputs, node.title, node.origin)


def _entries(account: Account, steps: list[NodeId], ended: Ended) -> dict[str, NodeEntry]:
    recall, key_of, executed = account.recall, account.known.keys.of, account.executed
    digests_of, content_of, size_of = account.digests.known_of, recall.contents.get, recall.sizes.get
    peak_of = recall.peaks.get
    entries: dict[str, NodeEntry] = {}
    for node_id in steps:
        found, content = digests_of(node_id), content_of(node_id)
        seconds = executed.get(node_id)
        entries[node_id] = NodeEntry(
            key_of[node_id],
            state_of(account, node_id, ended),
            seconds,
            content and content[:DIGEST_LENGTH],
            tuple([digest[:DIGEST_LENGTH] for digest in found]) if found else (),
            size_of(node_id),
            peak=peak.process if (peak := peak_of(node_id)) else None,
            device_peak=peak.device if peak and peak.device else None,
        )
    return entries


def state_of(account: Account, node_id: NodeId, ended: Ended) -> NodeState:
    """What became of a node."""
    if node_id in account.executed:
        return "executed"
    if node_id in account.cached:
        if node_id in account.recall.contents:
            return "cut off"
        return "cached" if account.recall.has(node_id) else "equal"
    if ended.failure is not None and ended.failure.node_id == node_id:
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
