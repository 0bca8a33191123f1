"""Every exception graphengine raises on purpose, and `Problem`.

* GraphEngineError            base: a message, and a hint the user can act on
  x WorkflowFormatError       the file is not a workflow we can read
  x ValidationFailed          the workflow does not fit the node definitions
    x LockDiffers             something is not what the project's lock says
  x LockError                 a lock file cannot be read or written
  x SettingsError             a folder, file or option the user gave cannot be used
  x PackError                 a node pack cannot be loaded
    x InstallRefused          a pack or what it requires was not installed, and nothing was changed
    x UntrustedPack           the project does not trust its code
  x FileRefused               a file named by a node input is missing, outside its folder or unreadable
  x ModelError                a model file cannot be used: damaged, of an unknown kind, a pickle
  x NodeExecutionError        a node raised while it ran
  x RunCancelled              the run was asked to stop
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a workflow: where, what, and what to do about it.

    `code` is stable (docs/problems.md lists them). `severity` is "error" for what stops a run and "warning"
    for what the user should know. `origin` tells how the user finds a node that no id of the editor names:
    "node 3 'KSampler' inside subgraph 'Refine'".
    """

    code: str
    message: str
    node_id: str | None = None
    class_type: str | None = None
    input_name: str | None = None
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"
    origin: str | None = None

    def __str__(self) -> str:
        place = node_label(self.node_id, self.class_type, self.origin)
        return f"{place}: {self.message}" if place else self.message


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a mistyped one most likely means, or None."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return near[0] if near else None


def node_label(node_id: str | None, class_type: str | None, origin: str | None = None) -> str:
    """How messages name a node; empty without an id.

    `node 12 (KSampler)`, or with an origin `node 3 'KSampler' inside subgraph 'Refine' (12:3)`.
    """
    if node_id is None:
        return ""
    if origin is not None:
        return f"{origin} ({node_id})"
    return f"node {node_id} ({class_type})" if class_type else f"node {node_id}"


class GraphEngineError(Exception):
    """Base class; `hint` is one sentence the user can act on."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class WorkflowFormatError(GraphEngineError):
    """The document is not a workflow in a known format."""


class ValidationFailed(GraphEngineError):
    """The workflow does not fit the node definitions; `problems` lists all findings."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        errors = [problem for problem in problems if problem.severity == "error"]
        noun = "problem" if len(errors) == 1 else "problems"
        super().__init__(f"{len(errors)} {noun} in the workflow")
        self.problems = tuple(problems)


class LockDiffers(ValidationFailed):
    """Something is not what the project's lock says; `problems` lists all differences."""

    def __init__(self, problems: Sequence[Problem], lock: str) -> None:
        super().__init__(problems)
        errors = sum(problem.severity == "error" for problem in problems)
        self.message = f"{errors} {'thing differs' if errors == 1 else 'things differ'} from {lock}"


class LockError(GraphEngineError):
    """A lock file cannot be read or written: damaged, cut off, of a newer version."""


class SettingsError(GraphEngineError):
    """A folder, file or option the user gave cannot be used."""


class PackError(GraphEngineError):
    """A node pack cannot be loaded; the cause is `__cause__`."""


class UntrustedPack(PackError):
    """The project does not list a node pack as trusted, or its code is another one by now."""


class InstallRefused(PackError):
    """A pack or what it requires was not installed; packs and packages are as they were before."""


class FileRefused(GraphEngineError):
    """A file named by a node input is missing, outside its folder or unreadable."""


class ModelError(GraphEngineError):
    """A model file cannot be used: damaged, of an unsupported kind, or a pickle."""


class NodeExecutionError(GraphEngineError):
    """A node raised while it ran; the original exception is `__cause__`."""

    def __init__(
        self, node_id: str, class_type: str, message: str, *, hint: str | None = None, origin: str | None = None
    ) -> None:
        super().__init__(f"{node_label(node_id, class_type, origin)}: {message}", hint=hint)
        self.node_id = node_id
        self.class_type = class_type
        self.origin = origin


class RunCancelled(GraphEngineError):
    """The run was asked to stop; what had finished stays in the cache."""

    def __init__(self, message: str = "the run was cancelled") -> None:
        super().__init__(message)
