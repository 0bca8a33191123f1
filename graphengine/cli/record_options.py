"""`graphengine run --record NODE`: what a node was given and gave, as a test."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError

from graphengine.cli.check_pure import PurityOptions
from graphengine.cli.console import complain, plural, problem_lines
from graphengine.cli.option_groups import OptionGroup
from graphengine.cli.overrides import find_node
from graphengine.cli.version import installed_version
from graphengine.errors import node_label
from graphengine.execution.policy import RunOptions
from graphengine.workflow.models import NodeId, Workflow

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.execution.result import RunResult
    from graphengine.testing.recorded_run import Recorder
    from graphengine.testing.recorded_writing import Recorded


class Told(Protocol):
    """How the user wants to be told."""

    @property
    def quiet(self) -> bool:
        """Whether only files are named."""

    @property
    def as_json(self) -> bool:
        """Whether stdout has JSON."""

    def write(self, line: str) -> None:
        """Write a line of the result."""


_FOLDER = Path("tests/recorded")


@dataclass(frozen=True, slots=True)
class RecordOptions(OptionGroup):
    """Which nodes to record, where to, and how large their values may be."""

    record: Annotated[
        list[str] | None,
        typer.Option(
            "--record",
            metavar="NODE",
            help="Write what this node is given and gives, and a pytest file that replays it. Repeatable.",
        ),
    ] = None
    record_to: Annotated[
        Path | None,
        typer.Option("--record-to", "-o", metavar="DIR", help="Folder for recordings. Default: tests/recorded."),
    ] = None
    record_max: Annotated[
        str | None,
        typer.Option(
            "--record-max", metavar="SIZE", help="Leave out values that take more: 1MB, 2GiB. Default: 64MB."
        ),
    ] = None

    @property
    def limit(self) -> int:
        """The bytes that one value may take."""
        return 64_000_000 if self.record_max is None else _size(self.record_max)

    def check(self, options: RunOptions, purity: PurityOptions, *, is_sweep: bool) -> None:
        """Refuse what does not go together.

        Raises:
            BadParameter: an option contradicts another.
        """
        if not self.record:
            for given, name in ((self.record_to, "--record-to"), (self.record_max, "--record-max")):
                if given is not None:
                    raise typer.BadParameter("it needs --record", param_hint=name)
            return
        _size(self.record_max or "1MB")
        for clash, name in (
            (is_sweep, "--sweep, --csv or --inputs"),
            (purity.check_pure, "--check-pure"),
            (options.jobs > 1, "--jobs"),
            (options.node_timeout is not None, "--node-timeout"),
        ):
            if clash:
                raise typer.BadParameter(f"it does not go with {name}", param_hint="--record")

    def recorder(self, engine: "Engine", workflow: Workflow, goals: Collection[NodeId] | None) -> "Recorder":
        """What the workflow is run on.

        Raises:
            SettingsError: the workflow has no such node, or several.
        """
        from graphengine.testing.recorded_run import Recorder  # with the tests' parts behind it

        nodes = list(dict.fromkeys(find_node(name, workflow) for name in self.record or ()))
        return Recorder.of(engine, workflow, nodes, goals, self.limit)

    def write(self, recorder: "Recorder", result: "RunResult", file: Path, told: Told) -> None:
        """Write the recordings, and tell of them; to stderr where the result on stdout is JSON.

        Raises:
            GraphEngineError: they cannot be written.
            Exit: an input could not be recorded.
        """
        found = recorder.write(self.record_to or _FOLDER, file.name, result, installed_version() or "unknown")
        problems = [problem for recorded in found for problem in recorded.problems]
        for line in problem_lines(problems):
            complain(line)
        for line in _lines(found, quiet=told.quiet):
            (complain if told.as_json else told.write)(line)
        if any(problem.severity == "error" for problem in problems):
            raise typer.Exit(1)


def _lines(found: "Sequence[Recorded]", *, quiet: bool) -> "list[str]":
    if quiet:
        return [str(recorded.test) for recorded in found]
    from graphengine.testing.recorded_capture import size_text  # as above

    lines = []
    for recorded in found:
        label = node_label(recorded.node_id, recorded.class_type)
        size = f"{plural(recorded.files, 'file')}, {size_text(recorded.bytes)}"
        lines.append(f"recorded {label}: {recorded.test} ({size})")
        if recorded.edited is not None:
            lines.append(f"  {recorded.edited} was edited, so it was left alone")
    return lines


def _size(text: str) -> int:
    try:
        size = int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError as error:
        raise typer.BadParameter(
            f"{text!r} is no size; write it as 500kB, 64MB or 2GiB", param_hint="--record-max"
        ) from error
    if size <= 0:
        raise typer.BadParameter(f"{text!r} leaves nothing to record", param_hint="--record-max")
    return size
