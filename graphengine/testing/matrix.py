"""The checks of a pack on several Pythons and versions of torch, each in an environment of its own."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from graphengine.errors import GraphEngineError
from graphengine.node.secrets import without_tokens
from graphengine.testing.checks import Finding, NodeReport
from graphengine.testing.matrix_environments import Cell, EnvironmentMaker, NotMade, Versions, run_in

_PYTHON = re.compile(r"[A-Za-z0-9./\\~_][A-Za-z0-9.@+/\\:~_-]*")
_TORCH = re.compile(r"[0-9][A-Za-z0-9.+*]*")
_TOOK = re.compile(r" in \d+(\.\d+)?m?s\b")
_MOST_CELLS = 100
_CHECK_HOURS = 12.0

Status = Literal["good", "findings", "not made", "not checked"]
#: Is told of a cell what happens to it, in words.
Tell = Callable[[Cell, str], None]


def read_cells(pythons: Sequence[str], torches: Sequence[str], own_python: str) -> list[Cell]:
    """The combinations that comma-separated lists ask for, each once; without a Python, `own_python`.

    Raises:
        GraphEngineError: a name is none that a Python or a version can have, or there are too many.
    """
    names = _listed(pythons, _PYTHON, "Python", "3.12, or the path of an interpreter") or [own_python]
    versions = _listed(torches, _TORCH, "version of torch", "2.9.1") or [""]
    cells = [Cell(python, torch) for python in names for torch in versions]
    if len(cells) > _MOST_CELLS:
        raise GraphEngineError(f"{len(cells)} combinations are too many", hint=f"ask for {_MOST_CELLS} at most")
    return cells


def _listed(texts: Sequence[str], form: re.Pattern[str], what: str, example: str) -> list[str]:
    names = [name.strip() for text in texts for name in text.split(",")]
    for name in names:
        if not form.fullmatch(name):
            raise GraphEngineError(f"{name!r} is no {what}", hint=f"write it like {example}")
    return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What the checks are asked for: nodes by class type (all without one), and further words for the command."""

    nodes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def command(self, pack: Path) -> list[str]:
        """The arguments of `graphengine`."""
        named = [word for node in self.nodes for word in ("--node", node)]
        return ["test", str(pack), "--format", "json", *named, *self.words]


@dataclass(frozen=True, slots=True)
class CellResult:
    """What came of one combination.

    `reason` says why it has no reports. `versions` are those that the environment has. Times are in seconds;
    `making` is 0 where the environment was there.
    """

    cell: Cell
    status: Status
    reports: tuple[NodeReport, ...] = ()
    reason: str = ""
    hint: str | None = None
    versions: Versions | None = None
    making: float = 0.0
    checking: float = 0.0

    @property
    def findings(self) -> int:
        """How many findings there are."""
        return sum(len(report.findings) for report in self.reports)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Finding(_Model):
    code: str
    message: str
    file: str | None = None
    line: int = 1
    reason: str = ""

    def finding(self, class_type: str) -> Finding:
        return Finding(self.code, self.message, class_type, Path(self.file) if self.file else None, self.line)


class _Node(_Model):
    class_type: str
    calls: int = 0
    findings: tuple[_Finding, ...] = ()
    switched_off: tuple[_Finding, ...] = ()
    notes: tuple[str, ...] = ()


class _Report(_Model):
    """What `graphengine test --format json` writes."""

    nodes: tuple[_Node, ...]

    def reports(self) -> Iterator[NodeReport]:
        for node in self.nodes:
            name = node.class_type
            waived = tuple((each.finding(name), each.reason) for each in node.switched_off)
            found = tuple(each.finding(name) for each in node.findings)
            yield NodeReport(name, found, waived, node.notes, node.calls)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Checks `pack` in each of the environments that `maker` gives; `tell` hears how it goes, from any thread."""

    pack: Path
    maker: EnvironmentMaker
    options: CheckOptions = field(default_factory=CheckOptions)
    tell: Tell = field(default=lambda cell, words: None)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def run(self, cells: Sequence[Cell], jobs: int = 1) -> list[CellResult]:
        """What came of the cells, in their order; `jobs` of them at a time.

        An environment that cannot be made is a result, not an error: the others are checked all the same.
        """
        self.maker.clear_unused()
        with ThreadPoolExecutor(max_workers=min(jobs, len(cells) or 1)) as threads:
            return list(threads.map(self._checked, cells))

    def _checked(self, cell: Cell) -> CellResult:
        started = time.monotonic()
        try:
            environment = self.maker.get(cell, lambda: self.tell(cell, "its environment is made"))
        except NotMade as error:
            self.tell(cell, "its environment cannot be made")
            seconds = time.monotonic() - started
            # addresses of indexes may hold passwords; without the time it took, equal reasons are told once
            reason = _TOOK.sub("", without_tokens(error.message))
            return CellResult(cell, "not made", reason=reason, hint=error.hint, making=seconds)
        making = 0.0 if environment.was_there else time.monotonic() - started
        self.tell(cell, "the nodes are checked")
        started = time.monotonic()
        # -P: the current folder may hold modules of the same names
        command = [str(environment.python), "-P", "-m", "graphengine.cli", *self.options.command(self.pack)]
        reports, reason = self._ended(command)
        checking = time.monotonic() - started
        status: Status = "good"
        if reason:
            status = "not checked"
        elif any(report.findings for report in reports):
            status = "findings"
        return CellResult(cell, status, reports, reason, None, environment.versions, making, checking)

    def _ended(self, command: Sequence[str]) -> tuple[tuple[NodeReport, ...], str]:
        """What the checks told, or why they told nothing."""
        try:
            ended = run_in(command, self.environ, _CHECK_HOURS)
        except NotMade as error:
            return (), error.message
        try:
            if ended.code not in (0, 1):
                raise ValueError("another exit code")
            return tuple(_Report.model_validate_json(ended.output).reports()), ""
        except (ValidationError, ValueError):
            return (), f"the checks ended with code {ended.code}:\n{ended.reason()}"
