"""What was found, as a SARIF 2.1.0 log: the format of code scanning in GitHub, GitLab and editors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from graphengine.cli.report import FileReport
from graphengine.cli.report_lines import Lines, line_of, node_lines
from graphengine.errors import Problem

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

# Any throughout: the log is JSON.
_Json = dict[str, Any]


def sarif_report(reports: Sequence[FileReport], version: str | None) -> _Json:
    """The log of one run; what could not be checked are notifications of the tool, not results."""
    codes = sorted({problem.code for report in reports for problem in report.problems})
    numbers = {code: index for index, code in enumerate(codes)}
    results: list[_Json] = []
    notes: list[_Json] = []
    for report in reports:
        lines = node_lines(report.file)
        results.extend(_result(report, problem, numbers, lines) for problem in report.problems)
        notes.extend(
            {
                "level": "note",
                "message": {"text": f"not checked: {each}"},
                "locations": [sarif_location(report.file, line_of(lines, each.node_ids[0], each.class_type))],
            }
            for each in report.unchecked
        )
    rules: list[_Json] = [
        {"id": code, "name": _pascal(code), "shortDescription": {"text": _words(code)}} for code in codes
    ]
    return sarif_log(rules, results, notes, version)


def sarif_log(
    rules: Sequence[_Json], results: Sequence[_Json], notes: Sequence[_Json], version: str | None
) -> _Json:
    """A log with one run of graphengine; `notes` are notifications of the tool."""
    driver = {"name": "graphengine", **({"version": version} if version else {}), "rules": [*rules]}
    run: _Json = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": [*notes]}],
        "results": [*results],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(report: FileReport, problem: Problem, numbers: dict[str, int], lines: Lines) -> _Json:
    location = sarif_location(report.file, line_of(lines, problem.node_id, problem.class_type))
    if problem.node_id is not None:
        name = problem.input_name or problem.node_id
        path = f"{problem.node_id}.{problem.input_name}" if problem.input_name else problem.node_id
        location["logicalLocations"] = [{"name": name, "fullyQualifiedName": path, "kind": "element"}]
    return {
        "ruleId": problem.code,
        "ruleIndex": numbers[problem.code],
        "level": problem.severity,
        "message": {"text": f"{problem}\nhint: {problem.hint}" if problem.hint else str(problem)},
        "locations": [location],
    }


def sarif_location(file: Path, line: int) -> _Json:
    """A line of a file, from 1."""
    uri = file.as_uri() if file.is_absolute() else quote(file.as_posix(), safe="/")
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}}


def _pascal(code: str) -> str:
    return "".join(part.capitalize() for part in code.split("_"))


def _words(code: str) -> str:
    return code.replace("_", " ")
