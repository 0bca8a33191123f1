"""`graphengine verify`: replays the runs of the history, all or some, and tells which come out the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, plural, say, say_json
from graphengine.cli.files import write_whole
from graphengine.cli.interrupt import cancel_on_signals
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, JsonOption, examples
from graphengine.cli.replaying_options import CachedOption, ReplayPlaces, ToleranceOption, tolerance_of
from graphengine.cli.trust_options import TrustOptions
from graphengine.errors import RunCancelled
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import PastRun
from graphengine.settings import Settings

if TYPE_CHECKING:
    from graphengine.replaying.likeness import Tolerance
    from graphengine.replaying.verifying import Verified

EXAMPLES = examples(
    "graphengine verify",
    "graphengine verify @1 @2 @3",
    "graphengine verify --since 7d --junit replay.xml",
    "graphengine verify --list released.txt --tolerance 50",
)


@with_option_groups
def command(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN…", help="Ids of runs, or @1, @2, … counted from the last."),
    ] = None,
    *,
    listed: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="A file with the id of a run in each line.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All runs that succeeded. This is the default.")] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="WHEN", help="Leave out older runs: than a date, a span (7d, 12h), or a run."
        ),
    ] = None,
    tolerance: ToleranceOption = None,
    cached: CachedOption = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail also when a run cannot be replayed.")] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Also write a JUnit report.")
    ] = None,
    places: ReplayPlaces,
    trusting: TrustOptions,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Replay runs of the history; nodes that they have in common run once. One line each, then the sum.

    Exit code: 0 all came out the same, 1 one did not, or its output was changed since. A run that cannot be
    replayed, because a model or its document is gone, is told of and counts with --strict alone.
    """
    if every and (runs or listed is not None):
        raise typer.BadParameter("takes no runs and no --list", param_hint="--all")
    from graphengine.replaying.verifying import chosen_runs  # brings the engine
    from graphengine.replaying.verifying import junit as junit_report

    near = tolerance_of(tolerance)
    history = places.history()
    chosen = chosen_runs(history, runs or (), listed, since)
    files = {history.project / run.file for run in chosen if run.file is not None}
    settings = trusting.applied(places.settings(sorted(files), cached=cached))
    found = list(_verified(chosen, history, settings, near, places.records(), quiet=as_json))
    left = len(chosen) - len(found)
    if junit is not None:
        write_whole(junit, junit_report(found))
    if as_json:
        say_json({"runs": [each.to_json() for each in found], "left": left, **_counts(found)})
    else:
        say(_sum(found, len(chosen)))
    wrong = ("different", "not replayable") if strict else ("different",)
    if left or any(each.fate in wrong for each in found):
        raise typer.Exit(1)


def _verified(
    chosen: list[PastRun],
    history: History,
    settings: Settings,
    near: "Tolerance",
    records: RecordFolder,
    *,
    quiet: bool,
) -> "Iterator[Verified]":
    """Each run as it is replayed, also as a line; those before the user stopped it."""
    from graphengine.replaying.verifying import verify  # as above
    from graphengine.replaying.workbench import opened_replayer

    with (
        cancel_on_signals() as is_cancelled,
        opened_replayer(settings, history, tolerance=near, is_cancelled=is_cancelled, records=records) as replayer,
    ):
        try:
            for each in verify(chosen, history, replayer):
                if not quiet:
                    say(_line(each))
                yield each
        except (RunCancelled, KeyboardInterrupt):
            complain("stopped")


def _line(each: "Verified") -> str:
    return f"{each.run.id}  {each.run.file or '(no file)'}: {each.told}, {each.seconds:.1f} s"


def _counts(found: "list[Verified]") -> dict[str, int]:
    fates = [each.fate for each in found]
    return {
        "same": fates.count("same"),
        "different": fates.count("different"),
        "not_replayable": fates.count("not replayable"),
    }


def _sum(found: "list[Verified]", asked: int) -> str:
    if not asked:
        return "the history has no runs to replay"
    counts = _counts(found)
    parts = [f"{counts['same']} of {plural(asked, 'run')} came out the same"]
    if counts["different"]:
        parts.append(f"{counts['different']} did not")
    if counts["not_replayable"]:
        parts.append(f"{counts['not_replayable']} cannot be replayed")
    if asked > len(found):
        parts.append(f"{asked - len(found)} left")
    return ", ".join(parts)
