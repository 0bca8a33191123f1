"""What a check of a pack can find: one rule per code."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

#: As SARIF has them: look before you trust the pack, know it, for completeness.
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of finding: how bad it is by itself, and what it means in a sentence."""

    severity: Severity
    meaning: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the files of a pack say. `file` is relative to the pack, `line` counts from 1."""

    file: str
    line: int
    code: str
    severity: Severity
    message: str


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "acts_at_import": Rule("note", "importing the file calls functions, which may do anything"),
        "binary_file": Rule("error", "a compiled library or program, which cannot be read"),
        "changes_builtins": Rule("error", "changes Python's built-in functions for everybody"),
        "changes_environment": Rule("note", "changes the working folder, signals or environment of the process"),
        "changes_modules": Rule("warning", "changes `sys.modules`, so that others import something else"),
        "changes_path": Rule("warning", "changes `sys.path`, so that others may import something else"),
        "changes_torch": Rule("warning", "changes how torch computes, for everybody"),
        "compiled_python": Rule("error", "Python bytecode, which cannot be read and runs without its source"),
        "deletes_files": Rule("note", "removes files or folders"),
        "evaluates_text": Rule("warning", "runs text as code: eval, exec or compile"),
        "hidden_code": Rule("error", "runs code that it decodes first: its authors did not want it read"),
        "imports_computed": Rule("note", "imports a module whose name is computed"),
        "installs_packages": Rule(
            "error", "installs packages itself, past the guards of `graphengine nodes install`"
        ),
        "install_script": Rule("note", "has a script that ComfyUI would run by itself; graphengine does not"),
        "invisible_text": Rule("error", "has characters that make code look other than it is"),
        "link_outside": Rule("warning", "a link leads out of the pack, or to nothing"),
        "loads_native": Rule("warning", "calls compiled code, to which no limits of Python apply"),
        "long_text": Rule("warning", "a long text that only a program can read"),
        "names_secrets": Rule("warning", "names places where keys and passwords are kept"),
        "no_text": Rule("error", "a Python file that is no text, or not in UTF-8"),
        "patches_module": Rule("warning", "puts something else into a module of others"),
        "reads_pickle": Rule("warning", "reads a file that can run any code that is in it, as pickles do"),
        "starts_process": Rule("warning", "starts other programs"),
        "too_deep": Rule("warning", "code that is nested too deeply to be read"),
        "too_large": Rule("warning", "a file, or a pack, that is too large to be read"),
        "unreadable": Rule("warning", "a file that cannot be opened"),
        "uses_network": Rule("warning", "reaches for the network"),
        "wrong_syntax": Rule("warning", "a Python file that this Python cannot read"),
        "writes_outside": Rule("warning", "writes to a fixed place outside the pack"),
    }
)

_WORSE: Mapping[Severity, Severity] = MappingProxyType({"note": "note", "warning": "error", "error": "error"})
_AT_IMPORT = frozenset({"evaluates_text", "starts_process", "uses_network", "writes_outside", "reads_pickle"})


def finding(file: str, line: int, code: str, what: str = "", *, at_import: bool = False) -> Finding:
    """A finding in the words of its rule; `what` is what stands there.

    What runs, reaches or writes something when the pack is only imported is worse than when a node does it.
    """
    rule = RULES[code]
    severity, message = rule.severity, f"{what}: {rule.meaning}" if what else rule.meaning
    if at_import and code in _AT_IMPORT:
        severity, message = _WORSE[severity], f"{message}, as soon as the pack is imported"
    return Finding(file, max(line, 1), code, severity, message)
