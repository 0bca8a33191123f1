"""The checks of what nodes promise: their codes, what they find, and how one is switched off with a reason."""

import inspect
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

#: Every check by its code, with what holds when it finds nothing. docs/node-checks.md has a section for each.
CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "imports_alone": "the pack imports in a process of its own",
        "input_types": "INPUT_TYPES is well formed",
        "input_types_stable": "INPUT_TYPES answers the same each time",
        "default_in_range": "defaults lie between min and max",
        "default_in_choices": "defaults are among the choices",
        "return_types": "RETURN_TYPES, RETURN_NAMES and OUTPUT_IS_LIST agree",
        "signature": "the method takes what INPUT_TYPES declares",
        "lazy_status": "lazy inputs are asked for by check_lazy_status",
        "comes_back": "calls end in time, with the memory there is, and leave the process running",
        "unclear_error": "errors are exceptions that say what is wrong",
        "printed_error": "errors are raised and not printed",
        "wrong_result": "the method returns one value per output",
        "wrong_type": "outputs have the type and layout that is declared",
        "out_of_range": "numbers in outputs are finite and in their range",
        "changed_input": "inputs are left as they are",
        "not_deterministic": "equal inputs give equal outputs",
        "is_changed": "IS_CHANGED is stable and quick",
        "network": "no connection is made",
        "process": "no process is started",
        "file_outside": "no file outside of the given folders is opened",
        "global_state": "seeds, modes and settings of the process stay as they are",
        "switched_off": "checks are switched off by a code that exists, with a reason",
    }
)

#: Attribute of a node class: `{code: reason}` of checks that do not count for it.
CLASS_ATTRIBUTE = "GRAPHENGINE_CHECKS_OFF"
_EVERY_NODE = "*"


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that a node, or the pack where `class_type` is empty, does not keep, and where its code stands."""

    code: str
    message: str
    class_type: str = ""
    file: Path | None = None
    line: int = 1

    def __str__(self) -> str:
        place = f"{self.class_type}: " if self.class_type else ""
        return f"{place}{self.message} [{self.code}]"


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What the checks found of one node.

    `waived` are findings that do not count, with the reason; `notes` say what could not be tried.
    """

    class_type: str
    findings: tuple[Finding, ...] = ()
    waived: tuple[tuple[Finding, str], ...] = ()
    notes: tuple[str, ...] = ()
    calls: int = 0


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """Checks that do not count, `{class type or "*": {code: reason}}`, and what is wrong with how that is said."""

    by_node: Mapping[str, Mapping[str, str]]
    wrong: tuple[str, ...] = ()

    # Any: a node class is its author's.
    def of(self, class_type: str, node_class: type[Any]) -> "tuple[dict[str, str], list[str]]":
        """The reasons by code for one node, and what is wrong with those that its class gives."""
        own = getattr(node_class, CLASS_ATTRIBUTE, None) or {}
        if not isinstance(own, Mapping):
            return dict(self.by_node.get(class_type, {})), [f"{CLASS_ATTRIBUTE} is no dict of codes and reasons"]
        reasons, wrong = _reasons(own, CLASS_ATTRIBUTE)
        return {**self.by_node.get(_EVERY_NODE, {}), **self.by_node.get(class_type, {}), **reasons}, wrong


def switched_off(pack: Path | None) -> SwitchedOff:
    """What `[tool.graphengine.checks]` in the `pyproject.toml` of a pack switches off.

    A key is the code of a check, for all nodes, or a class type with a table of codes; a value is the reason.
    """
    file = pack / "pyproject.toml" if pack is not None and pack.is_dir() else None
    if file is None or not file.is_file():
        return SwitchedOff({})
    try:
        table: Any = tomllib.loads(file.read_text(encoding="utf-8"))
        for name in ("tool", "graphengine", "checks"):
            table = table.get(name, {})
        entries = list(table.items())
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        return SwitchedOff({}, (f"{file.name} cannot be read: {error}",))
    everywhere = {name: value for name, value in entries if not isinstance(value, dict)}
    found, wrong = _reasons(everywhere, "[tool.graphengine.checks]")
    by_node: dict[str, Mapping[str, str]] = {_EVERY_NODE: found}
    for name, value in entries:
        if isinstance(value, dict):
            by_node[name], further = _reasons(value, f"[tool.graphengine.checks.{name}]")
            wrong += further
    return SwitchedOff(by_node, tuple(wrong))


def _reasons(entries: Mapping[Any, Any], place: str) -> tuple[dict[str, str], list[str]]:
    """The entries that switch a check off, and what is wrong with the others."""
    found: dict[str, str] = {}
    wrong: list[str] = []
    for code, reason in entries.items():
        if code not in CHECKS:
            wrong.append(f"{place} names the check {code!r}, which does not exist")
        elif not isinstance(reason, str) or not reason.strip():
            wrong.append(f"{place} switches {code} off without a reason")
        else:
            found[code] = reason.strip()
    return found, wrong


# Any: a node class is its author's.
def place_of(node_class: type[Any]) -> tuple[Path | None, int]:
    """The file and the line in which a class stands."""
    try:
        file = inspect.getsourcefile(node_class)
        return (Path(file).resolve() if file else None), inspect.getsourcelines(node_class)[1]
    except (OSError, TypeError):
        return None, 1
