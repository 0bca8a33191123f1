"""What two runs of a history have otherwise: settings, versions, files, nodes and outputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from pydantic import JsonValue

from graphengine.provenance.history.past_run import OutputFile, PastNode, PastRun, UsedFile
from graphengine.workflow.models import Link, NodeId, Workflow

#: What kind of thing differs.
Group = Literal["seed", "set", "workflow", "git", "lock", "version", "environment", "pack", "file"]
#: How two outputs agree: in all bytes, in what was saved, or not; "unknown" where one is missing.
Agreement = Literal["identical", "same content", "different", "only one"]

_NAMING = "filename_prefix"  # says where the file is, not what is in it


@dataclass(frozen=True, slots=True)
class Differing:
    """A fact that differs; None where a run has it not."""

    group: Group
    name: str
    old: JsonValue
    new: JsonValue


@dataclass(frozen=True, slots=True)
class NodePair:
    """A node of both runs, or of one; `is_same` tells whether it gave the same, None when that is not known."""

    node_id: str
    old: PastNode | None
    new: PastNode | None
    is_same: bool | None

    @property
    def class_type(self) -> str:
        """The type of the node."""
        found = self.new or self.old
        return found.class_type if found is not None else ""


@dataclass(frozen=True, slots=True)
class OutputPair:
    """A file of each run that the same node saved."""

    node_id: str
    old: OutputFile | None
    new: OutputFile | None
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs and what they have otherwise.

    `first` is the first node, in the order of the run, that gave another result. The workflows are those that ran,
    None where they are not known any more.
    """

    old: PastRun
    new: PastRun
    old_workflow: Workflow | None
    new_workflow: Workflow | None
    facts: tuple[Differing, ...]
    nodes: tuple[NodePair, ...]
    outputs: tuple[OutputPair, ...]
    first: str | None

    @property
    def is_changed(self) -> bool:
        """Whether an output differs in more than its metadata, or is there in one run alone."""
        return any(pair.agreement in ("different", "only one") for pair in self.outputs)


def compare_runs(
    old: PastRun, new: PastRun, old_workflow: Workflow | None = None, new_workflow: Workflow | None = None
) -> RunComparison:
    """Compare two runs; their workflows tell whether outputs of other bytes differ in metadata alone."""
    nodes = tuple(_node_pairs(old, new))
    first = next((pair.node_id for pair in nodes if pair.is_same is False), None)
    outputs = tuple(_output_pairs(old, new, old_workflow, new_workflow))
    return RunComparison(old, new, old_workflow, new_workflow, tuple(_facts(old, new)), nodes, outputs, first)


def _facts(old: PastRun, new: PastRun) -> Iterator[Differing]:
    yield from _of("seed", old.seeds, new.seeds)
    changed = dict(_without(old.parameters, old.seeds)), dict(_without(new.parameters, new.seeds))
    yield from _of("set", *changed)
    yield from _of("workflow", {"hash": old.workflow}, {"hash": new.workflow})
    yield from _of("git", _git(old), _git(new))
    yield from _of("lock", {"hash": old.lock}, {"hash": new.lock})
    yield from _of("version", _versions(old), _versions(new))
    yield from _of("environment", _settings(old), _settings(new))
    yield from _of("pack", _packs(old), _packs(new))
    yield from _of("file", _files(old), _files(new))


def _of(group: Group, old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> Iterator[Differing]:
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if type(before) is not type(after) or before != after:
            yield Differing(group, name, before, after)


def _without(parameters: Mapping[str, JsonValue], seeds: Mapping[str, int]) -> Iterator[tuple[str, JsonValue]]:
    return ((name, value) for name, value in parameters.items() if name not in seeds)


def _git(run: PastRun) -> dict[str, JsonValue]:
    if run.git is None:
        return {}
    return {"commit": run.git.commit, "clean": run.git.is_clean, "branch": run.git.branch}


def _versions(run: PastRun) -> dict[str, JsonValue]:
    machine = run.machine
    return {
        "graphengine": machine.graphengine,
        "python": machine.python,
        "torch": machine.torch,
        "platform": machine.platform,
        "device": machine.device,
        "cores": machine.cores,
        "memory": machine.memory,
    }


def _settings(run: PastRun) -> dict[str, JsonValue]:
    """What stands in keys, without what `machine` has."""
    return {name: value for name, value in run.environment.items() if name not in ("device", "package:torch")}


def _packs(run: PastRun) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for pack in run.packs:
        parts = (pack.version, pack.commit and pack.commit[:12], pack.sha256)
        found[pack.name] = " ".join(part for part in parts if part)
    return found


def _files(run: PastRun) -> dict[str, JsonValue]:
    return {f"{file.node_id}.{file.input}": file_text(file) for file in run.files}


def file_text(file: UsedFile) -> str:
    """How a file is told from others: its name and the first digits of its hash."""
    return f"{file.name} {file.sha256[:12]}"


def _node_pairs(old: PastRun, new: PastRun) -> Iterator[NodePair]:
    for node_id in {**new.nodes, **old.nodes}:
        before, after = old.nodes.get(node_id), new.nodes.get(node_id)
        yield NodePair(node_id, before, after, _gave_same(before, after))


def _gave_same(old: PastNode | None, new: PastNode | None) -> bool | None:
    if old is None or new is None:
        return None
    if old.digests and new.digests:
        return old.digests == new.digests
    return True if old.key == new.key else None


def _output_pairs(
    old: PastRun, new: PastRun, old_workflow: Workflow | None, new_workflow: Workflow | None
) -> Iterator[OutputPair]:
    before, after = _by_node(old), _by_node(new)
    for node_id in {**after, **before}:
        for one, other in zip_longest(before.get(node_id, ()), after.get(node_id, ())):
            yield OutputPair(
                node_id, one, other, _agreement(old, new, node_id, one, other, old_workflow, new_workflow)
            )


def _by_node(run: PastRun) -> dict[str, list[OutputFile]]:
    found: dict[str, list[OutputFile]] = {}
    for output in run.outputs:
        found.setdefault(output.node_id, []).append(output)
    return found


def _agreement(
    old: PastRun,
    new: PastRun,
    node_id: str,
    one: OutputFile | None,
    other: OutputFile | None,
    old_workflow: Workflow | None,
    new_workflow: Workflow | None,
) -> Agreement:
    if one is None or other is None:
        return "only one"
    if one.sha256 == other.sha256:
        return "identical"
    before, after = _saved(old, node_id, old_workflow), _saved(new, node_id, new_workflow)
    return "same content" if before is not None and before == after else "different"


def _saved(run: PastRun, node_id: str, workflow: Workflow | None) -> object | None:
    """What a node was given to save: literals, and digests of what it read; None when that is not known."""
    node = workflow.nodes.get(NodeId(node_id)) if workflow is not None else None
    if node is None:
        return None
    given: list[object] = [node.class_type]
    for name, value in sorted(node.inputs.items()):
        if type(value) is not Link:
            if name != _NAMING:
                given.append((name, repr(value)))
            continue
        source = run.nodes.get(value.source)
        if source is None or not 0 <= value.output < len(source.digests):
            return None
        given.append((name, source.digests[value.output]))
    return given
