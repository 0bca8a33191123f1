"""What the checks of a matrix found: a table, JSON, SARIF, JUnit and annotations; all name Python and torch."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from graphengine.cli import node_check_report as written
from graphengine.cli.console import plural, table
from graphengine.cli.report_github import annotation
from graphengine.testing.checks import Finding, NodeReport
from graphengine.testing.matrix import CellResult

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text_lines(results: Sequence[CellResult]) -> Iterator[str]:
    """The table, then each finding with where it holds, then why some combinations were not checked."""
    yield from _table(results)
    for finding, cells in _by_finding(results):
        yield ""
        yield f"{finding.class_type or 'the pack'}"
        yield f"  {finding.message} [{finding.code}]{_place(finding)}"
        everywhere = len(cells) == sum(bool(result.reports) for result in results)
        yield f"  {'everywhere' if everywhere else '; '.join(cells)}"
    reasons: dict[tuple[str, str | None, str], list[str]] = {}
    for result in results:
        if result.reason:
            reasons.setdefault((result.reason, result.hint, result.status), []).append(str(result.cell))
    for (reason, hint, status), cells in reasons.items():
        yield ""
        yield f"{'; '.join(cells)}: {status}"
        yield from (f"  {line}" for line in reason.splitlines())
        if hint:
            yield f"  hint: {hint}"
    yield ""
    yield _summary(results)


def _table(results: Sequence[CellResult]) -> list[str]:
    """Pythons down, versions of torch across."""
    torches = list(dict.fromkeys(result.cell.torch for result in results))
    rows = [("python", *(f"torch {torch}".rstrip() for torch in torches))]
    told = {(result.cell.python, result.cell.torch): _told(result) for result in results}
    for python in dict.fromkeys(result.cell.python for result in results):
        rows.append((python, *(told.get((python, torch), "") for torch in torches)))
    return table(rows)


def _told(result: CellResult) -> str:
    if result.status in ("not made", "not checked"):
        return result.status
    count = sum(bool(report.class_type) for report in result.reports)
    what = plural(result.findings, "finding") if result.findings else f"{plural(count, 'node')} good"
    return f"{what}, {result.checking:.0f} s"


def _summary(results: Sequence[CellResult]) -> str:
    good = sum(result.status == "good" for result in results)
    made = [result.making for result in results if result.making and result.versions]
    there = sum(result.versions is not None and not result.making for result in results)
    line = f"{good} of {plural(len(results), 'combination')} good; environments: {there} there"
    return f"{line}, {len(made)} made in {sum(made):.0f} s" if made else line


def _by_finding(results: Sequence[CellResult]) -> Iterator[tuple[Finding, list[str]]]:
    """Each finding once, and the combinations that it was made in."""
    found: dict[tuple[str, str, str], tuple[Finding, list[str]]] = {}
    for result in results:
        for report in result.reports:
            for finding in report.findings:
                known = found.setdefault((finding.class_type, finding.code, finding.message), (finding, []))
                if str(result.cell) not in known[1]:
                    known[1].append(str(result.cell))
    yield from found.values()


def _place(finding: Finding) -> str:
    return "" if finding.file is None else f" ({finding.file}:{finding.line})"


# Any: what `json` writes.
def json_report(results: Sequence[CellResult]) -> dict[str, Any]:
    """All combinations with the report of each, the counts, and a badge as shields.io reads it."""
    good = sum(result.status == "good" for result in results)
    statuses = ("good", "findings", "not made", "not checked")
    return {
        "matrix": [_json_cell(result) for result in results],
        "summary": {
            "combinations": len(results),
            **{name.replace(" ", "_"): sum(result.status == name for result in results) for name in statuses},
        },
        "badge": {
            "schemaVersion": 1,
            "label": "node checks",
            "message": f"{good} of {len(results)} environments",
            "color": "brightgreen" if good == len(results) else "red",
        },
    }


def _json_cell(result: CellResult) -> dict[str, Any]:
    versions = result.versions
    return {
        "python": result.cell.python,
        "torch": result.cell.torch or None,
        "python_version": versions.python if versions else None,
        "torch_version": versions.torch if versions else None,
        "status": result.status,
        "reason": result.reason or None,
        "seconds": {"environment": round(result.making, 3), "checks": round(result.checking, 3)},
        "report": written.json_report(result.reports) if not result.reason else None,
    }


def sarif(results: Sequence[CellResult], version: str | None) -> dict[str, Any]:
    """One log with a run for each combination, named by `automationDetails`."""
    log = written.sarif((), version)
    runs = []
    for result in results:
        [run] = written.sarif(result.reports, version)["runs"]
        run["automationDetails"] = {"id": f"graphengine test/{result.cell}/"}
        run["properties"] = {"python": result.cell.python, "torch": result.cell.torch or None}
        if result.reason:
            [invocation] = run["invocations"]
            invocation["executionSuccessful"] = False
            text = f"{result.cell}: {result.status}: {result.reason}"
            invocation["toolExecutionNotifications"].append({"level": "error", "message": {"text": text}})
        runs.append(run)
    return {**log, "runs": runs}


def github_lines(results: Sequence[CellResult]) -> Iterator[str]:
    """An annotation for each finding, which names its combinations, and the table as plain lines."""
    for finding, cells in _by_finding(results):
        yield annotation(
            "error", finding.file or Path(), finding.line, finding.code, f"{finding} ({'; '.join(cells)})"
        )
    for result in results:
        if result.reason:
            yield annotation("error", Path(), 1, result.status, f"{result.cell}: {result.reason}")
    yield from _table(results)


def junit(results: Sequence[CellResult]) -> str:
    """A JUnit report: a suite for each combination, a test for each node; one that was not checked is an error."""
    return _document([_suite(str(result.cell), result) for result in results])


def junit_of_nodes(reports: Sequence[NodeReport]) -> str:
    """The same for checks in this Python: one suite."""
    return _document([_nodes_suite("graphengine test", reports, 0.0)])


def _suite(name: str, result: CellResult) -> ElementTree.Element:
    suite = _nodes_suite(name, result.reports, result.checking)
    properties = ElementTree.Element("properties")
    for key, value in (("python", result.cell.python), ("torch", result.cell.torch)):
        ElementTree.SubElement(properties, "property", name=key, value=_xml(value))
    suite.insert(0, properties)
    if result.reason:
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(name), name=result.status)
        ElementTree.SubElement(case, "error", message=_xml(result.reason.splitlines()[-1])).text = _xml(
            result.reason
        )
        suite.set("tests", "1")
        suite.set("errors", "1")
    return suite


def _nodes_suite(name: str, reports: Sequence[NodeReport], seconds: float) -> ElementTree.Element:
    told = [report for report in reports if report.class_type or report.findings]
    failures = sum(bool(report.findings) for report in told)
    counts = {"tests": str(len(told)), "failures": str(failures), "errors": "0", "time": f"{seconds:.3f}"}
    suite = ElementTree.Element("testsuite", {"name": _xml(name), **counts})
    for report in told:
        node = report.class_type or "the pack"
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(name), name=_xml(node))
        if report.findings:
            lines = [f"{finding.message} [{finding.code}]{_place(finding)}" for finding in report.findings]
            message = _xml(f"{plural(len(lines), 'finding')}: {lines[0]}")
            ElementTree.SubElement(case, "failure", message=message).text = _xml("\n".join(lines))
    return suite


def _document(suites: Sequence[ElementTree.Element]) -> str:
    root = ElementTree.Element("testsuites", name="graphengine test")
    root.extend(suites)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _xml(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
