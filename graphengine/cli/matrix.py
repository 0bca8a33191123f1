"""`graphengine test --python … --torch …`: the checks of a pack on several Pythons and versions of torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, say, say_json
from graphengine.cli.option_groups import OptionGroup
from graphengine.cli.version import installed_version
from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from graphengine.testing.matrix import CellResult

_FOLDER = "test_environments"


@dataclass(frozen=True, slots=True)
class MatrixOptions(OptionGroup):
    """The Pythons and versions of torch that a pack is checked with."""

    python: Annotated[
        list[str] | None,
        typer.Option(
            "--python",
            metavar="V,…",
            help="Check with these Pythons: 3.11,3.12 or paths. Each gets an environment, which uv makes.",
        ),
    ] = None
    torch: Annotated[
        list[str] | None,
        typer.Option("--torch", metavar="V,…", help="Check with these versions of torch, 2.9.1,2.13.0; the same."),
    ] = None

    @property
    def is_asked(self) -> bool:
        """Whether environments are asked for."""
        return bool(self.python or self.torch)

    def check(
        self, pack: Path, nodes: Sequence[str], words: Sequence[str | float], jobs: int
    ) -> "list[CellResult]":
        """What came of every combination, `jobs` of them at a time; how it goes is written to stderr.

        `nodes` are checked, all without one; `words` are further ones for `graphengine test` there.

        Raises:
            BadParameter: a list names no Python or version.
            GraphEngineError: there is no uv, or a requirement of the pack cannot be read.
        """
        from graphengine.settings import load_settings  # help needs nothing of these
        from graphengine.testing.matrix import CheckOptions, Matrix, read_cells
        from graphengine.testing.matrix_environments import EnvironmentMaker, contents_for, find_uv

        try:
            cells = read_cells(self.python or (), self.torch or (), python_version())
        except GraphEngineError as error:
            raise typer.BadParameter(f"{error.message}; {error.hint}", param_hint="--python, --torch") from error
        root = load_settings(environ=os.environ, runs_nothing=True).environments.with_name(_FOLDER)
        maker = EnvironmentMaker(find_uv(os.environ), root, contents_for(pack.resolve()))
        options = CheckOptions(tuple(nodes), tuple(map(str, words)))
        matrix = Matrix(pack.resolve(), maker, options, lambda cell, words: complain(f"{cell}: {words}"))
        return matrix.run(cells, jobs)


def write_matrix(results: "Sequence[CellResult]", format: str) -> None:
    """Write the results to stdout: text, json, sarif, junit or github.

    Raises:
        Exit: a combination is not good.
    """
    from graphengine.cli import matrix_report as written  # as above

    match format:
        case "json":
            say_json(written.json_report(results))
        case "sarif":
            say_json(written.sarif(results, installed_version()))
        case "junit":
            say(written.junit(results))
        case "github":
            for line in written.github_lines(results):
                say(line)
        case _:
            for line in written.text_lines(results):
                say(line)
    if any(result.status != "good" for result in results):
        raise typer.Exit(1)
