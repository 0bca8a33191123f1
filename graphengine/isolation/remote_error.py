"""What a worker raised, as an exception of the engine's process: of the same name, with its traceback as text."""

from collections.abc import Mapping
from typing import Any

from graphengine.errors import GraphEngineError, RunCancelled

_OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError")


class RemoteError(Exception):
    """Base of what workers raised. `traceback_lines` are those of the worker."""

    traceback_lines: tuple[str, ...] = ()


def remote_error(told: Mapping[str, Any], pack: str) -> Exception:
    """The exception that a worker tells of; its type has the name of the one that was raised there."""
    message, lines = str(told.get("message", "")), tuple(map(str, told.get("traceback") or ()))
    if told.get("is_cancel"):
        return RunCancelled()
    if told.get("is_ours"):
        hint = told.get("hint")
        return GraphEngineError(message, hint=None if hint is None else str(hint))
    bases = [name for name in told.get("bases") or () if name in _OUT_OF_MEMORY]
    kind: type[Exception] = RemoteError
    for name in bases:  # the run frees memory when it hears of these, by their name
        kind = type(name, (kind,), {})
    kind = type(str(told.get("name", "Error")), (kind,), {"__module__": str(told.get("module", "builtins"))})
    error = kind(message)
    error.traceback_lines = lines  # type: ignore[attr-defined]  # of RemoteError
    error.add_note(f"raised in the process of pack {pack!r}")
    return error
