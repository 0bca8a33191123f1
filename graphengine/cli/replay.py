"""`graphengine replay`: makes an output again and tells whether it is the same."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, say, say_json
from graphengine.cli.files import write_whole
from graphengine.cli.interrupt import cancel_on_signals
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, JsonOption, examples
from graphengine.cli.overrides import Definitions, apply_changes, read_changes
from graphengine.cli.progress import show_progress
from graphengine.cli.replaying_options import CachedOption, ReplayPlaces, ToleranceOption, tolerance_of
from graphengine.cli.trust_options import TrustOptions
from graphengine.errors import GraphEngineError, SettingsError, node_label
from graphengine.execution.hooks import silent
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.history.history import History
from graphengine.settings import Settings

if TYPE_CHECKING:
    from graphengine.replaying.departures import Departure
    from graphengine.replaying.likeness import Tolerance
    from graphengine.replaying.replay import Replay, Replayer
    from graphengine.replaying.subject import Subject

EXAMPLES = examples(
    "graphengine replay output/img2img_00001_.png",
    "graphengine replay @1",
    "graphengine replay output/picture.png --tolerance 40/2 --html replay.html",
    "graphengine replay 20261122-205101123-3f9c2a --keep again --json",
)


@with_option_groups
def command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="PICTURE|RUN|RECORD.json",
            help="A saved file, the id of a run (@1 is the last), or a record in a file.",
        ),
    ],
    *,
    tolerance: ToleranceOption = None,
    cached: CachedOption = False,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep the files that are made in this folder.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with both files side by side.")
    ] = None,
    secrets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NODE.INPUT=VALUE", help="Give a secret, which records lack. Repeatable."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write the result alone.")] = False,
    places: ReplayPlaces,
    trusting: TrustOptions,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make an output again: the same graph, with the same settings, into a folder of its own.

    Tells whether the bytes are identical, or the pixels, or within a tolerance, or else which node's output is the
    first that differs, and what is another one since: the engine, torch, the device, the lock, the code of packs,
    models. A file that was changed since it was saved is found out, by its record. Exit code: 0 the same, 1 not.
    """
    from graphengine.replaying.subject import find_subject, run_behind  # brings the engine

    near = tolerance_of(tolerance)
    with ExitStack() as stack:
        history = places.history(Path(what))
        run = run_behind(what, history)
        files = [history.project / run.file] if run is not None and run.file is not None else []
        settings = trusting.applied(places.settings(files, cached=cached))
        warned, show = _Warnings(), not (quiet or as_json)
        replayer = stack.enter_context(_replayer(settings, history, near, places.records(), warned, show=show))
        subject = find_subject(what, history, replayer.stage.engine.registry)
        subject = _with_secrets(subject, secrets or [], replayer.stage.engine.registry)
        try:
            replay = replayer.replay(subject)
        except GraphEngineError as error:
            if as_json:
                said = {"message": error.message, "hint": error.hint}
                say_json({"what": subject.name, "error": said, "warnings": warned.told})
            raise
        warned(subject, replay.departures)
        _tell(replay, replayer.stage.folders.output, keep, html, as_json=as_json)
    if not replay.holds:
        raise typer.Exit(1)


@contextmanager
def _replayer(
    settings: Settings,
    history: History,
    near: "Tolerance",
    records: RecordFolder,
    warned: "_Warnings",
    *,
    show: bool,
) -> "Iterator[Replayer]":
    from graphengine.replaying.workbench import opened_replayer  # brings the engine

    with ExitStack() as stack:
        is_cancelled = stack.enter_context(cancel_on_signals())
        listener = stack.enter_context(show_progress(sys.stderr)) if show else silent
        yield stack.enter_context(
            opened_replayer(
                settings,
                history,
                tolerance=near,
                warned=warned,
                on_event=listener,
                is_cancelled=is_cancelled,
                records=records,
            )
        )


def _with_secrets(subject: "Subject", texts: list[str], definitions: Definitions) -> "Subject":
    """The subject with the secrets that the command line gives.

    Raises:
        SettingsError: a text sets something else.
    """
    changes = read_changes(texts, subject.workflow, definitions)
    hidden = subject.secrets()
    for change in changes:
        if (change.node_id, change.input_name) not in hidden:
            place = f"{node_label(change.node_id, change.class_type)}: input {change.input_name!r}"
            raise SettingsError(
                f"{place} is recorded, and a replay takes it as it is",
                hint="--set gives secrets alone; to run with another value: graphengine run",
            )
    return replace(subject, workflow=apply_changes(subject.workflow, changes))


class _Warnings:
    """Tells each departure once: beforehand, or when the replay has shown it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, subject: "Subject", found: "Sequence[Departure]") -> None:
        """Tell what was not told yet."""
        for text in (*subject.notes, *(departure.told() for departure in found)):
            if text not in self.told:
                self.told.append(text)
                complain(f"warning: {text}")


def _tell(replay: "Replay", output: Path, keep: Path | None, html: Path | None, *, as_json: bool) -> None:
    from graphengine.replaying.words import replay_json, replay_lines  # brings the engine

    if keep is not None:
        _keep(output, keep)
    if html is not None:
        from graphengine.replaying.page import replay_page  # draws with numpy

        write_whole(html, replay_page([replay]))
    if as_json:
        say_json(replay_json(replay))
        return
    for line in replay_lines(replay):
        say(line)


def _keep(output: Path, place: Path) -> None:
    """Copy what was made into a folder; a file that is there stays, and the new one gets another name."""
    try:
        for path in sorted(path for path in output.rglob("*") if path.is_file()):
            target = place / path.relative_to(output)
            target.parent.mkdir(parents=True, exist_ok=True)
            number = 1
            while target.exists():
                number += 1
                target = target.with_name(f"{path.stem}-{number}{path.suffix}")
            shutil.copyfile(path, target)
            complain(f"kept {target}")
    except OSError as error:
        raise GraphEngineError(
            f"cannot write to {place}: {error.strerror}", hint="choose another folder"
        ) from error
