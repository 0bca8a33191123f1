"""The options of a sweep."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from graphengine.cli.option_groups import OptionGroup


@dataclass(frozen=True, slots=True)
class SweepOptions(OptionGroup):
    """What to sweep over, and where the result goes."""

    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep",
            metavar="[NODE.]INPUT=VALUES",
            help="Run with each value: 1..8, 0..1:0.25 or 4,7,10; texts with commas in quotes. Of several --sweep "
            "every combination is run. Repeatable.",
        ),
    ] = None
    zipped: Annotated[
        bool, typer.Option("--zip", help="Take the values of all sweeps side by side, not every combination.")
    ] = False
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Run each row of a CSV file; a column is a [NODE.]INPUT."),
    ] = None
    inputs: Annotated[
        str | None,
        typer.Option("--inputs", metavar="[NODE.INPUT=]DIR", help="Run each picture of a folder, in name order."),
    ] = None
    max_runs: Annotated[
        int,
        typer.Option("--max-runs", metavar="N", min=1, max=1_000_000, help="Refuse to run more. Default: 1000."),
    ] = 1000
    output_dir: Annotated[
        Path | None,
        typer.Option(
            "--output-dir",
            metavar="DIR",
            help="Folder for the pictures, manifest and contact sheet of a sweep. Default: sweep_NNN in the "
            "output folder.",
        ),
    ] = None
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="End a sweep at the first run that fails.")] = (
        False
    )

    @property
    def is_asked(self) -> bool:
        """Whether there is anything to sweep over.

        Raises:
            BadParameter: there is not, although an option says how.
        """
        if self.sweep or self.csv or self.inputs:
            return True
        for given, name in (
            (self.zipped, "--zip"),
            (self.output_dir, "--output-dir"),
            (self.fail_fast, "--fail-fast"),
        ):
            if given:
                raise typer.BadParameter("it needs --sweep, --csv or --inputs", param_hint=name)
        return False
