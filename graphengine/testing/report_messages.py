"""Reports as lines of JSON, for the process that asks from the one that checks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphengine.testing.checks import CHECKS, Finding, NodeReport

#: Bytes of the longest line that is read; a node's report has some thousand.
LONGEST = 16 * 2**20

# Any throughout: what is in a line is told by looking at it.


class NoMessage(Exception):
    """A line is not what a process that checks nodes writes."""


def message_of(line: bytes) -> dict[str, Any]:
    """The object in a line.

    Raises:
        NoMessage: it holds none.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NoMessage(f"a line is no JSON: {error}") from error
    if not isinstance(message, dict):
        raise NoMessage("a line is no object")
    return message


def told_findings(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as JSON has them."""
    return [
        {
            "code": finding.code,
            "message": finding.message,
            "class_type": finding.class_type,
            "file": None if finding.file is None else str(finding.file),
            "line": finding.line,
        }
        for finding in findings
    ]


def told_report(report: NodeReport) -> dict[str, Any]:
    """A report as JSON has it."""
    return {
        "class_type": report.class_type,
        "findings": told_findings(report.findings),
        "waived": [[*told_findings([finding]), reason] for finding, reason in report.waived],
        "notes": [*report.notes],
        "calls": report.calls,
    }


def read_findings(told: Any) -> tuple[Finding, ...]:
    """The findings that another process told.

    Raises:
        NoMessage: they are none.
    """
    if not isinstance(told, list):
        raise NoMessage("findings are no list")
    return tuple(_finding(each) for each in told)


def read_report(told: Any) -> NodeReport:
    """The report that another process told.

    Raises:
        NoMessage: it is none.
    """
    match told:
        case {
            "class_type": str(class_type),
            "findings": findings,
            "waived": list(waived),
            "notes": list(notes),
            "calls": int(calls),
        }:
            pairs = tuple(_waived(each) for each in waived)
            return NodeReport(class_type, read_findings(findings), pairs, tuple(map(str, notes)), calls)
    raise NoMessage("a report has other parts")


def _waived(told: Any) -> tuple[Finding, str]:
    match told:
        case [finding, str(reason)]:
            return _finding(finding), reason
    raise NoMessage("a finding that is switched off has other parts")


def _finding(told: Mapping[str, Any]) -> Finding:
    match told:
        case {
            "code": str(code),
            "message": str(message),
            "class_type": str(class_type),
            "file": str() | None as file,
            "line": int(line),
        } if code in CHECKS:
            return Finding(code, message, class_type, None if file is None else Path(file), line)
    raise NoMessage("a finding has other parts")
