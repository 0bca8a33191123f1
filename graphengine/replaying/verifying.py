"""Replaying many runs, one after the other, with what they have in common computed once."""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from graphengine.errors import FileRefused, GraphEngineError, RunCancelled, SettingsError
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import PastRun
from graphengine.replaying.replay import Replay, Replayer
from graphengine.replaying.subject import subject_of_run
from graphengine.replaying.words import replay_json, short_words

#: What became of a run: it came out the same, or not, or could not be run.
Fate = Literal["same", "different", "not replayable"]

_SPAN = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LARGEST_LIST = 2**24
_LIST_HINT = "name a file with an id in each line"
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Verified:
    """One run: what became of it, in words; `replay` is None where it could not be run."""

    run: PastRun
    fate: Fate
    told: str
    seconds: float
    replay: Replay | None = None

    # Any: what `json` writes.
    def to_json(self) -> dict[str, Any]:
        """The outcome as a JSON object."""
        shown = {"run": self.run.id, "file": self.run.file, "fate": self.fate, "told": self.told}
        return {**shown, "seconds": round(self.seconds, 3), "replay": self.replay and replay_json(self.replay)}


def verify(runs: Iterable[PastRun], history: History, replayer: Replayer) -> Iterator[Verified]:
    """Replay runs; the files of each are there until the next one is asked for.

    Raises:
        RunCancelled: somebody asked to stop.
    """
    definitions = replayer.stage.engine.registry
    for run in runs:
        started = time.perf_counter()
        try:
            replay = replayer.replay(subject_of_run(run, history, definitions))
            fate: Fate = "same" if replay.holds else "different"
            yield Verified(run, fate, short_words(replay), time.perf_counter() - started, replay)
        except RunCancelled:
            raise
        except GraphEngineError as error:
            told = error.message.removeprefix("cannot be replayed: ")
            seconds = time.perf_counter() - started
            yield Verified(run, "not replayable", f"cannot be replayed: {told}", seconds)


def chosen_runs(
    history: History, names: Iterable[str] = (), listed: Path | None = None, since: str | None = None
) -> list[PastRun]:
    """The runs of these ids and of those in a file, else all that succeeded; the oldest first.

    `since` leaves out those before: a date (`2026-11-01`, in UTC), a span (`7d`, `12h`) or a run.

    Raises:
        SettingsError: a name stands for no run, or `since` is none of these.
        FileRefused: the list cannot be read.
    """
    asked = [*names, *(_lines(listed) if listed is not None else ())]
    if asked or listed is not None:
        found = {run.id: run for run in (history.find(name) for name in asked)}
        runs = sorted(found.values(), key=lambda run: run.started)
    else:
        runs = [run for run in history.runs() if run.status == "success"][::-1]
    start = _moment(since, history) if since is not None else None
    return runs if start is None else [run for run in runs if run.started >= start]


def _lines(file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8-sig") as stream:
            text = stream.read(_LARGEST_LIST + 1)
    except OSError as error:
        raise FileRefused(f"cannot read {file}: {error.strerror}", hint=_LIST_HINT) from error
    except UnicodeDecodeError as error:
        raise FileRefused(f"{file} is no text", hint=_LIST_HINT) from error
    if len(text) > _LARGEST_LIST:
        raise FileRefused(f"{file} is larger than 16 MiB", hint=_LIST_HINT)
    words = (line.partition("#")[0].split() for line in text.splitlines())
    return [line[0] for line in words if line]


def _moment(text: str, history: History) -> float:
    """Seconds since 1970."""
    if span := _SPAN.fullmatch(text):
        return time.time() - timedelta(**{_UNITS[span[2]]: int(span[1])}).total_seconds()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is not None:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    try:
        return history.find(text).started
    except SettingsError:
        raise SettingsError(
            f"{text!r} is no date, no span and no run", hint="write 2026-11-01, 7d, 12h or the id of a run"
        ) from None


def junit(found: Iterable[Verified]) -> str:
    """The outcomes as a JUnit report: a test per run; those that cannot be replayed are skipped."""
    cases = list(found)
    counts = {fate: sum(each.fate == fate for each in cases) for fate in ("different", "not replayable")}
    suite = ElementTree.Element(
        "testsuite",
        name="graphengine verify",
        tests=str(len(cases)),
        failures=str(counts["different"]),
        skipped=str(counts["not replayable"]),
        errors="0",
        time=f"{sum(each.seconds for each in cases):.3f}",
    )
    for each in cases:
        file, took = _xml(each.run.file or "no file"), f"{each.seconds:.3f}"
        case = ElementTree.SubElement(suite, "testcase", classname=file, name=each.run.id, time=took)
        if each.fate != "same":
            kind = "failure" if each.fate == "different" else "skipped"
            ElementTree.SubElement(case, kind, message=_xml(each.told))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
