"""What the checks of nodes found, as text, JSON with a badge, SARIF and annotations for GitHub."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from graphengine.cli.console import plural
from graphengine.cli.report_github import annotation
from graphengine.cli.report_sarif import sarif_location, sarif_log
from graphengine.testing.checks import CHECKS, Finding, NodeReport


def text_lines(reports: Sequence[NodeReport]) -> Iterator[str]:
    """The nodes with something to tell, each with what was found, switched off or not tried, and the summary."""
    for report in reports:
        lines = [f"  {finding.message} [{finding.code}]{_place(finding)}" for finding in report.findings]
        lines += [f"  switched off: {finding.message} [{finding.code}]: {why}" for finding, why in report.waived]
        lines += [f"  {note}" for note in report.notes if not report.calls or report.findings]
        if lines:
            yield report.class_type or "the pack"
            yield from lines
    yield summary_line(reports)


def summary_line(reports: Sequence[NodeReport]) -> str:
    """`12 nodes: 10 keep what they promise, 2 do not (3 findings); 1 was not called`."""
    nodes = [report for report in reports if report.class_type]
    broken = sum(bool(report.findings) for report in nodes)
    findings = sum(len(report.findings) for report in reports)
    line = f"{plural(len(nodes), 'node')}: {len(nodes) - broken} keep what they promise, {broken} do not"
    line += f" ({plural(findings, 'finding')})"
    uncalled = sum(not report.calls and not report.findings for report in nodes)
    return line + (f"; {plural(uncalled, 'node')} could not be called" if uncalled else "")


# Any: what `json` writes.
def json_report(reports: Sequence[NodeReport]) -> dict[str, Any]:
    """All nodes, the counts, and a badge as shields.io reads it from an address."""
    nodes = [report for report in reports if report.class_type]
    findings = sum(len(report.findings) for report in reports)
    good = sum(not report.findings for report in nodes)
    return {
        "nodes": [_json_node(report) for report in reports if report.class_type or report.findings],
        "summary": {
            "nodes": len(nodes),
            "good": good,
            "findings": findings,
            "switched_off": sum(len(report.waived) for report in reports),
            "not_called": sum(not report.calls for report in nodes),
        },
        "badge": {
            "schemaVersion": 1,
            "label": "node checks",
            "message": f"{good} of {len(nodes)}",
            "color": "red" if findings else "brightgreen",
        },
    }


def _json_node(report: NodeReport) -> dict[str, Any]:
    return {
        "class_type": report.class_type,
        "calls": report.calls,
        "findings": [_json_finding(finding) for finding in report.findings],
        "switched_off": [{**_json_finding(finding), "reason": reason} for finding, reason in report.waived],
        "notes": [*report.notes],
    }


def _json_finding(finding: Finding) -> dict[str, Any]:
    file = None if finding.file is None else str(_shown(finding.file))
    return {"code": finding.code, "message": finding.message, "file": file, "line": finding.line}


def sarif(reports: Sequence[NodeReport], version: str | None) -> dict[str, Any]:
    """The findings as a SARIF log; those that are switched off are there as suppressed ones."""
    every = [(finding, None) for report in reports for finding in report.findings]
    waived = [pair for report in reports for pair in report.waived]
    codes = sorted({finding.code for finding, _ in (*every, *waived)})
    rules = [_sarif_rule(code) for code in codes]
    results = [_sarif_result(finding, reason, codes) for finding, reason in (*every, *waived)]
    notes = [
        {"level": "note", "message": {"text": f"{report.class_type}: {note}"}}
        for report in reports
        if not report.calls
        for note in report.notes
    ]
    return sarif_log(rules, results, notes, version)


def _sarif_rule(code: str) -> dict[str, Any]:
    """A check, as code scanning shows it beside a finding."""
    return {
        "id": code,
        "shortDescription": {"text": CHECKS[code]},
        "help": {"text": f"It should hold that {CHECKS[code]}. See {code} in docs/node-checks.md of graphengine."},
    }


def _sarif_result(finding: Finding, reason: str | None, codes: Sequence[str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": "error",
        "message": {"text": str(finding)},
        "locations": [] if finding.file is None else [sarif_location(_shown(finding.file), finding.line)],
    }
    if reason is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": reason}]
    return result


def github_lines(reports: Sequence[NodeReport]) -> Iterator[str]:
    """An annotation for each finding, and the summary as a plain line."""
    for report in reports:
        for finding in report.findings:
            file = _shown(finding.file) if finding.file is not None else Path()
            yield annotation("error", file, finding.line, finding.code, str(finding))
    yield summary_line(reports)


def _place(finding: Finding) -> str:
    return "" if finding.file is None else f" ({_shown(finding.file)}:{finding.line})"


def _shown(file: Path) -> Path:
    """The file from the current folder, as GitHub wants it, when it lies there."""
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file
