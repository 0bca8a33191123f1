"""Makes the entry of a project's history out of what a run has come to."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from graphengine.errors import FileRefused, GraphEngineError
from graphengine.execution.account import Account
from graphengine.execution.hidden import RunExtra
from graphengine.execution.open_documents import OpenDocuments
from graphengine.execution.parts import file_paths
from graphengine.execution.shown import SavedFiles, shown_files
from graphengine.node.definition import Files, NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.node.secrets import without_credentials
from graphengine.packs.discover import Pack
from graphengine.packs.source import digest_of
from graphengine.provenance.history.documents import document_bytes
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import (
    OutputFile,
    PastNode,
    PastRun,
    UsedFile,
    UsedPack,
)
from graphengine.provenance.lock_digest import digest_of_lock
from graphengine.provenance.record import RunFailure
from graphengine.recording.git_state import GitQuestion
from graphengine.recording.machine import this_machine
from graphengine.recording.run_record import Ended, state_of
from graphengine.workflow.models import NodeId, WorkflowNode

_SHA256 = "sha256:"
_CUSTOM = "custom_nodes."
_SEEDS = frozenset({"seed", "noise_seed"})


class BegunRun:
    """What is taken down when a run begins, since nodes may change it: its documents, the lock, and git's answer.

    `documents` are the texts by their hashes, `workflow` and `drawn` the hashes of the two.
    """

    def __init__(self, history: History, documents: OpenDocuments) -> None:
        self.documents: dict[str, bytes] = {}
        self.workflow = self._keep(documents.api)
        self.drawn = None if documents.drawn is None else self._keep(documents.drawn)
        self.lock = digest_of_lock(history.project)
        self.git = GitQuestion(history.project)  # last: it starts a process

    # Any: documents are open-ended JSON.
    def _keep(self, document: Any) -> str:
        text = document_bytes(document)
        digest = sha256(text).hexdigest()
        self.documents[digest] = text
        return digest


def make_past_run(
    account: Account,
    saved: SavedFiles,
    history: History,
    begun: BegunRun,
    ended: Ended,
    extra: RunExtra,
    file: Path | None,
    custom: Iterable[Pack],
) -> PastRun:
    """The entry of a run."""
    known = account.known
    documents = known.prompt.open
    environment = _environment(account)
    steps = [node_id for node_id in known.plan.steps if node_id in known.keys.of]
    failure = ended.failure
    source = extra.file or file
    changed = {**known.prompt.workflow.changed, **extra.parameters}
    assert ended.status != "planned"
    return PastRun(
        id=extra.run_id,
        started=ended.started,
        seconds=ended.seconds,
        status=ended.status,
        workflow=begun.workflow,
        machine=this_machine(environment),
        file=history.name_of(source) if source is not None else None,
        drawn=begun.drawn,
        lock=begun.lock,
        git=begun.git.answer(),
        targets=tuple(known.plan.graph.targets),
        seeds=dict(_seeds(account, steps)),
        parameters={place: _parameter(documents, place, value) for place, value in changed.items()},
        nodes={node_id: _node(account, node_id, ended) for node_id in steps},
        outputs=tuple(_outputs(account, saved, history)),
        files=tuple(_files(account, saved)),
        packs=tuple(_packs(account, custom)),
        environment=environment,
        failure=RunFailure(failure.node_id, documents.text(failure.message)) if failure else None,
        replay_of=extra.replay_of,
    )


# Any: the values of JSON.
def _parameter(documents: OpenDocuments, place: str, value: Any) -> Any:
    node_id, _, name = place.partition(".")
    return documents.value(node_id, name, value)


def _environment(account: Account) -> dict[str, str]:
    """All parts of the environment that stand in the key of some node."""
    known = account.known
    merged: dict[str, str] = {}
    for parts in {id(each): each for each in map(known.keys.environment.of, _classes(account))}.values():
        merged.update(parts)
    return merged


def _classes(account: Account) -> Iterable[NodeDefinition]:
    return {id(each): each for each in account.known.definitions.values()}.values()


def _seeds(account: Account, steps: Iterable[NodeId]) -> Iterator[tuple[str, int]]:
    known = account.known
    for node_id in steps:
        definition = known.definitions[node_id]
        for name, value in known.nodes[node_id].inputs.items():
            if type(value) is not int:
                continue
            spec = definition.inputs.get(name)
            if name in _SEEDS or (spec is not None and spec.type == "INT" and spec.has_control):
                yield f"{node_id}.{name}", value


def _node(account: Account, node_id: NodeId, ended: Ended) -> PastNode:
    return PastNode(
        account.known.nodes[node_id].class_type,
        account.known.keys.of[node_id],
        state_of(account, node_id, ended),
        account.executed.get(node_id),
        account.recall.digests_of(node_id),
    )


def _outputs(account: Account, saved: SavedFiles, history: History) -> Iterator[OutputFile]:
    """The files that nodes saved, each with its hash; those that are gone by now are left out."""
    places = account.known.places
    for node_id, shown in account.shown.items():
        for path in shown_files(shown, saved.folders):  # type: ignore[arg-type]  # JSON
            try:
                digest, size = saved.fingerprint(path), path.stat().st_size
            except (FileRefused, OSError):
                continue
            real = places[node_id].real if node_id in places else node_id
            yield OutputFile(
                real, history.name_of(path), digest.removeprefix(_SHA256), size, node_id in account.executed
            )


def _files(account: Account, saved: SavedFiles) -> Iterator[UsedFile]:
    """The files that inputs name: those whose hashes stand in keys."""
    known = account.known
    named = {
        node_id: facts
        for node_id, facts in known.keys.facts.items()
        if any(part.startswith(("file:", "path:", "embedding:")) for part in facts)
    }
    paths = file_paths(known, saved.folders, named)
    for node_id, facts in named.items():
        node, definition = known.nodes[node_id], known.definitions[node_id]
        specs = live_inputs(definition, node.inputs)
        for part, fingerprint in facts.items():
            kind, _, name = part.partition(":")
            if not isinstance(fingerprint, str) or not fingerprint.startswith(_SHA256):
                continue  # absent, or a folder
            if kind == "embedding":
                found = saved.folders.find("embeddings", name) or Path(name)
                yield UsedFile(node_id, _input_with(node, name), "embeddings", name, str(found), fingerprint[7:])
            elif kind in ("file", "path"):
                spec = specs.get(name)
                folder = spec.choices.kind if spec is not None and isinstance(spec.choices, Files) else "input"
                chosen = str(node.inputs.get(name))
                path = paths.get(node_id, {}).get(name, chosen)
                yield UsedFile(node_id, name, folder, chosen, path, fingerprint[7:])


def _input_with(node: WorkflowNode, name: str) -> str:
    """The input whose text names an embedding."""
    texts = (key for key, value in node.inputs.items() if isinstance(value, str) and f"embedding:{name}" in value)
    return next(texts, "")


def _packs(account: Account, custom: Iterable[Pack]) -> Iterator[UsedPack]:
    """The packs whose nodes took part, by name; where custom ones came from, if that is recorded."""
    codes: dict[str, dict[str, str]] = {}
    for definition in _classes(account):
        codes.setdefault(definition.module, {}).update(definition.code)
    places = {f"{_CUSTOM}{pack.name}": pack for pack in custom}
    for module, code in sorted(codes.items()):
        digest = digest_of(code) if code else None
        pack = places.get(module)
        yield UsedPack(module, sha256=digest) if pack is None else used_pack(pack, digest)


def used_pack(pack: Pack, digest: str | None) -> UsedPack:
    """A custom pack, with where it came from if that is recorded; no login stands in its address."""
    from graphengine.packs.installing.ledger import Ledger  # its models take a while, and few runs need them

    try:
        installed = Ledger(pack.path.parent).read(pack.name) if pack.path is not None else None
    except GraphEngineError:  # damaged; the commands that manage packs tell of it
        installed = None
    if installed is None:
        return UsedPack(pack.name, sha256=digest)
    source = without_credentials(installed.source)
    return UsedPack(pack.name, installed.version, digest, source, installed.commit)
