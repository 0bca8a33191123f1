"""What was found in each file, as text and as JSON, with one summary."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graphengine.cli.console import plural, problem_lines
from graphengine.errors import Problem
from graphengine.graph.advice import Unchecked


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file: its problems, and what could not be checked."""

    file: Path
    problems: tuple[Problem, ...] = ()
    unchecked: tuple[Unchecked, ...] = ()

    @property
    def errors(self) -> int:
        """How many problems stop a run."""
        return sum(problem.severity == "error" for problem in self.problems)

    @property
    def warnings(self) -> int:
        """How many problems do not."""
        return len(self.problems) - self.errors


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts over all files; a file is valid without errors, which is no promise for what was not checked."""

    files: int
    valid: int
    errors: int
    warnings: int
    unchecked: int


def summarise(reports: Sequence[FileReport]) -> Summary:
    """The counts over all files; `unchecked` counts nodes."""
    return Summary(
        files=len(reports),
        valid=sum(not report.errors for report in reports),
        errors=sum(report.errors for report in reports),
        warnings=sum(report.warnings for report in reports),
        unchecked=sum(len(each.node_ids) for report in reports for each in report.unchecked),
    )


def text_report(reports: Sequence[FileReport]) -> Iterator[str]:
    """Each file with its problems and what could not be checked; of several files a summary at the end."""
    for report in reports:
        yield from file_lines(report)
    if len(reports) > 1:
        yield summary_line(summarise(reports))


def file_lines(report: FileReport) -> Iterator[str]:
    """The file with a count, then its problems, then what could not be checked."""
    counts = [plural(report.errors, "problem")] if report.errors else []
    counts += [plural(report.warnings, "warning")] if report.warnings else []
    fine = "nothing found, but not all could be checked" if report.unchecked else "fine"
    yield f"{report.file}: {', '.join(counts) or fine}"
    yield from (f"  {line}" for line in problem_lines(report.problems))
    yield from (f"  not checked: {each}" for each in report.unchecked)


def summary_line(summary: Summary) -> str:
    """`3 files: 1 without errors, 2 with errors (4 problems, 1 warning); 5 nodes not wholly checked`."""
    invalid = summary.files - summary.valid
    counts = ", ".join([plural(summary.errors, "problem"), plural(summary.warnings, "warning")])
    line = f"{plural(summary.files, 'file')}: {summary.valid} without errors, {invalid} with errors ({counts})"
    return line + (f"; {plural(summary.unchecked, 'node')} not wholly checked" if summary.unchecked else "")


# Any: what `json` writes.
def json_report(reports: Sequence[FileReport]) -> dict[str, Any]:
    """All files and the summary as one JSON object."""
    return {"files": [_file_json(report) for report in reports], "summary": asdict(summarise(reports))}


def _file_json(report: FileReport) -> dict[str, Any]:
    return {
        "file": str(report.file),
        "valid": not report.errors,
        "problems": [asdict(problem) for problem in report.problems],
        "unchecked": [asdict(each) for each in report.unchecked],
    }
