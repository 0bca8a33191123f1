"""What was found, as commands that GitHub Actions shows beside the files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from graphengine.cli.report import FileReport, summarise, summary_line
from graphengine.cli.report_lines import line_of, node_lines


def github_report(reports: Sequence[FileReport]) -> Iterator[str]:
    """An annotation for each problem and each thing that was not checked, and the summary as a plain line."""
    for report in reports:
        lines = node_lines(report.file)
        for problem in report.problems:
            text = f"{problem}\nhint: {problem.hint}" if problem.hint else str(problem)
            line = line_of(lines, problem.node_id, problem.class_type)
            yield annotation(problem.severity, report.file, line, problem.code, text)
        for each in report.unchecked:
            line = line_of(lines, each.node_ids[0], each.class_type)
            yield annotation("notice", report.file, line, "not checked", f"not checked: {each}")
    yield summary_line(summarise(reports))


def annotation(kind: str, file: Path, line: int, title: str, message: str) -> str:
    """The command that shows a message, an "error", "warning" or "notice", beside a line of a file."""
    place = f"file={_property(str(file))},line={line},title={_property(title)}"
    return f"::{kind} {place}::{_data(message)}"


def _data(text: str) -> str:
    """Text after `::`; a line end would end the command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
