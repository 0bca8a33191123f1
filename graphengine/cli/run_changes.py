"""What two runs have otherwise, as lines for people and as JSON."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from pydantic import ConfigDict, JsonValue, with_config
from typing_extensions import TypedDict  # with pydantic, Python 3.12 or newer could take that of typing

from graphengine.cli.report_diff import Compared, as_json, text_lines
from graphengine.provenance.history.comparison import Agreement, Group, NodePair, OutputPair, RunComparison
from graphengine.provenance.history.past_run import OutputFile
from graphengine.provenance.history.words import fact_text, short_id
from graphengine.provenance.record import NodeState
from graphengine.workflow.difference.changes import compare
from graphengine.workflow.difference.sheets import sheets_of_workflow
from graphengine.workflow.models import Workflow

_CLOSED = ConfigDict(extra="forbid")
#: Facts that the difference of the workflows tells better.
_IN_WORKFLOW = frozenset({"seed", "set", "workflow"})


@with_config(_CLOSED)
class ChangedFact(TypedDict):
    """A fact that differs; null where a run has it not."""

    group: Group
    name: str
    old: JsonValue
    new: JsonValue


@with_config(_CLOSED)
class ComparedNode(TypedDict):
    """A node of the runs; `same` tells whether it gave the same, null when that is not known."""

    node_id: str
    class_type: str
    old_state: NodeState | None
    new_state: NodeState | None
    old_seconds: float | None
    new_seconds: float | None
    same: bool | None


@with_config(_CLOSED)
class ComparedOutput(TypedDict):
    """A file of each run that one node saved; paths are relative to the project's folder."""

    node_id: str
    agreement: Agreement
    old: str | None
    new: str | None
    old_sha256: str | None
    new_sha256: str | None


@with_config(_CLOSED)
class RunChanges(TypedDict):
    """What `graphengine compare --json` writes; `workflow` is as `graphengine diff --json` has it."""

    old: str
    new: str
    changed: bool
    first_different: str | None
    facts: list[ChangedFact]
    # Any: as `diff` writes it.
    workflow: dict[str, Any] | None
    nodes: list[ComparedNode]
    outputs: list[ComparedOutput]
    kind: Literal["graphengine run comparison 1"]


def change_lines(comparison: RunComparison) -> Iterator[str]:
    """Each thing that differs on a line, what the workflows say first."""
    compared = compared_workflows(comparison)
    if compared is not None:
        lines = list(text_lines(compared))[1:]
        yield from (f"{sign} {text}" for sign, text in lines if sign != " ")
    for fact in comparison.facts:
        if compared is None or fact.group not in _IN_WORKFLOW:
            yield f"~ {fact_text(fact)}"


def compared_workflows(comparison: RunComparison) -> Compared | None:
    """The difference of the workflows, None when one is not known any more."""
    old, new = comparison.old_workflow, comparison.new_workflow
    if old is None or new is None:
        return None
    found = compare(sheets_of_workflow(old), sheets_of_workflow(new))
    return Compared(short_id(comparison.old), short_id(comparison.new), found, None, new)


def node_rows(comparison: RunComparison) -> Iterator[tuple[str, ...]]:
    """A row for each node: id, class, seconds before and now, and whether it gave the same."""
    for pair in comparison.nodes:
        told = {True: "same", False: "different", None: ""}[pair.is_same]
        yield pair.node_id, pair.class_type, _spent(pair, old=True), _spent(pair, old=False), told


def _spent(pair: NodePair, *, old: bool) -> str:
    node = pair.old if old else pair.new
    if node is None:
        return "-"
    return node.state if node.seconds is None else f"{node.seconds:.2f} s"


def node_labels(workflow: Workflow | None) -> dict[str, str]:
    """The titles of nodes."""
    nodes = workflow.nodes if workflow is not None else {}
    return {str(node_id): node.title for node_id, node in nodes.items() if node.title}


def comparison_json(comparison: RunComparison) -> RunChanges:
    """The comparison as JSON."""
    compared = compared_workflows(comparison)
    return {
        "old": comparison.old.id,
        "new": comparison.new.id,
        "changed": comparison.is_changed,
        "first_different": comparison.first,
        "facts": [
            {"group": fact.group, "name": fact.name, "old": fact.old, "new": fact.new} for fact in comparison.facts
        ],
        "workflow": None if compared is None else as_json(compared),
        "nodes": list(map(_node_json, comparison.nodes)),
        "outputs": list(map(_output_json, comparison.outputs)),
        "kind": "graphengine run comparison 1",
    }


def _node_json(pair: NodePair) -> ComparedNode:
    old, new = pair.old, pair.new
    return {
        "node_id": pair.node_id,
        "class_type": pair.class_type,
        "old_state": None if old is None else old.state,
        "new_state": None if new is None else new.state,
        "old_seconds": None if old is None else old.seconds,
        "new_seconds": None if new is None else new.seconds,
        "same": pair.is_same,
    }


def _output_json(pair: OutputPair) -> ComparedOutput:
    path, digest = partial(_of, name="path"), partial(_of, name="sha256")
    return {
        "node_id": pair.node_id,
        "agreement": pair.agreement,
        "old": path(pair.old),
        "new": path(pair.new),
        "old_sha256": digest(pair.old),
        "new_sha256": digest(pair.new),
    }


def _of(output: OutputFile | None, name: Literal["path", "sha256"]) -> str | None:
    if output is None:
        return None
    return output.path if name == "path" else output.sha256
