"""`graphengine resolve`: settle the conflicts that a merge left in a workflow."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from graphengine.cli.console import complain, plural, say
from graphengine.cli.fmt import read_bytes
from graphengine.cli.options import DebugOption, examples
from graphengine.cli.rewriting import rewrite, with_line_ends_of
from graphengine.errors import SettingsError
from graphengine.workflow.canonical import Json, read_raw, text_of
from graphengine.workflow.json_text import one_line
from graphengine.workflow.merging.resolving import Choice, conflicts_of, place_of, settle

EXAMPLES = examples(
    "graphengine resolve flow.json",
    "graphengine resolve flow.json --ours 6.seed --theirs 3.text",
    "graphengine resolve flow.json --all theirs",
)

_OURS: Choice = "ours"
_THEIRS: Choice = "theirs"


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow with conflicts.")],
    ours: Annotated[
        list[str] | None, typer.Option("--ours", metavar="NODE.INPUT", help="Take the value of ours. Repeatable.")
    ] = None,
    theirs: Annotated[
        list[str] | None,
        typer.Option("--theirs", metavar="NODE.INPUT", help="Take the value of theirs. Repeatable."),
    ] = None,
    everything: Annotated[
        str | None, typer.Option("--all", metavar="SIDE", help="Take all that is left from `ours` or `theirs`.")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Only list the conflicts.")] = False,
    debug: DebugOption = False,
) -> None:
    """Settle the conflicts of a merged workflow: those that are named, or one after the other, by asking.

    NODE.INPUT is how conflicts are listed; NODE alone is a node that one side deleted. Exit code: 0 when none is
    left, 1 otherwise.
    """
    if everything not in (None, "ours", "theirs"):
        raise SettingsError(f"--all {everything}: no such side", hint="write --all ours or --all theirs")
    document = read_raw(read_bytes(file))
    wanted: dict[str, Choice] = {}
    wanted.update(dict.fromkeys(ours or [], _OURS))
    wanted.update(dict.fromkeys(theirs or [], _THEIRS))
    known = {place_of(each) for each in conflicts_of(document)}
    for place in wanted:
        if place not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise SettingsError(f"{place} is no conflict of {file}", hint=f"the conflicts are: {listed}")
    asks = not wanted and everything is None and not list_only
    for conflict in conflicts_of(document):
        choice = wanted.get(place_of(conflict)) or _side(everything)
        choice = choice or (_asked(conflict) if asks else None)
        if choice is not None:
            document = settle(document, conflict, choice)
    if not list_only:
        rewrite(file, with_line_ends_of(file, text_of(document)))
    left = conflicts_of(document)
    for each in left:
        say(f"{place_of(each)}: {_values(each)}")
    complain(f"{plural(len(left), 'conflict')} left" if left else "no conflicts left")
    if left:
        raise typer.Exit(1)


def _side(name: str | None) -> Choice | None:
    return "ours" if name == "ours" else "theirs" if name == "theirs" else None


def _values(conflict: Json) -> str:
    return ", ".join(
        f"{side} {one_line(conflict[side]) if side in conflict else 'nothing'}" for side in ("ours", "theirs")
    )


def _asked(conflict: Json) -> Choice | None:
    """The choice of whoever sits at the terminal; None to leave the conflict, or when nobody answers."""
    complain(f"{place_of(conflict)} ({conflict.get('why', '')}): {_values(conflict)}")
    complain("take [o]urs, [t]heirs, or [s]kip? ")
    answer = sys.stdin.readline().strip().lower()
    return "ours" if answer in ("o", "ours") else "theirs" if answer in ("t", "theirs") else None
