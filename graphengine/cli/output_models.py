"""The form of what commands write as JSON, for its JSON Schema; tests hold the commands to it."""

from typing import Literal, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # with pydantic, Python 3.12 or newer could take that of typing

from graphengine.errors import Problem

_CLOSED = ConfigDict(extra="forbid")


@with_config(_CLOSED)
class ShownText(TypedDict):
    """A text that a node showed."""

    node_id: str
    text: str


@with_config(_CLOSED)
class RunNode(TypedDict):
    """A node of a run; `seconds` is null when its outputs came from the cache."""

    node_id: str
    class_type: str
    title: str | None
    cached: bool
    seconds: float | None


@with_config(_CLOSED)
class RunError(TypedDict):
    """What ended a run."""

    message: str
    hint: str | None
    problems: list[Problem]


@with_config(_CLOSED)
class RunSummary(TypedDict):
    """What `graphengine run --json` writes; files are absolute paths."""

    status: Literal["success", "error", "cancelled"]
    seconds: float
    files: list[str]
    texts: list[ShownText]
    nodes: list[RunNode]
    error: NotRequired[RunError]


@with_config(_CLOSED)
class NotChecked(TypedDict):
    """Nodes of one type with something that was not checked."""

    class_type: str
    node_ids: list[str]
    reason: str


@with_config(_CLOSED)
class ValidatedFile(TypedDict):
    """One file of a report; it is valid when none of its problems is an error."""

    file: str
    valid: bool
    problems: list[Problem]
    unchecked: list[NotChecked]


@with_config(_CLOSED)
class ReportSummary(TypedDict):
    """Counts over all files; `unchecked` counts nodes."""

    files: int
    valid: int
    errors: int
    warnings: int
    unchecked: int


@with_config(_CLOSED)
class ValidationReport(TypedDict):
    """What `graphengine validate --format json` writes."""

    files: list[ValidatedFile]
    summary: ReportSummary
