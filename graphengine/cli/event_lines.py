"""`--events FILE`: each event of a run as a line of JSON."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from graphengine.errors import SettingsError
from graphengine.execution.events import Event, Listener, event_to_json

# Any: what `json` writes.
#: Writes an object as a line.
WriteLine = Callable[[Mapping[str, Any]], None]


@contextmanager
def event_lines(file: str) -> Iterator[Listener]:
    """A listener that writes each event as a line of JSON to the file, or to stdout for `-`.

    Raises:
        SettingsError: the file cannot be opened.
        OSError: a line could not be written; see `json_lines`.
    """
    with json_lines(file) as write:

        def listen(event: Event) -> None:
            write(event_to_json(event))

        yield listen


@contextmanager
def json_lines(file: str) -> Iterator[WriteLine]:
    """Writes objects as lines of JSON to the file, or to stdout for `-`.

    An error while writing does not disturb the run, whose results count for more: it is raised at the end.

    Raises:
        SettingsError: the file cannot be opened.
        OSError: a line could not be written.
    """
    failures: list[OSError] = []
    with _opened(file) as stream:

        def write(value: Mapping[str, Any]) -> None:
            if failures:
                return
            try:
                # a node may show what JSON cannot express; its text is enough here
                stream.write(json.dumps(value, default=str) + "\n")
                stream.flush()
            except OSError as error:
                failures.append(error)

        yield write
    if failures:
        raise failures[0]


@contextmanager
def _opened(file: str) -> Iterator[TextIO]:
    if file == "-":
        yield sys.stdout
        return
    try:
        stream = Path(file).open("w", encoding="utf-8")  # noqa: SIM115 (closed below; only opening may fail so)
    except OSError as error:
        raise SettingsError(
            f"cannot write events to {file!r}: {error.strerror}", hint="name a file in a folder you can write to"
        ) from error
    with stream:
        yield stream
