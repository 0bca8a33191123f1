"""The history of a project: its runs, one line each, and the documents that ran.

    .graphengine/runs.jsonl               a line per run, in the order in which they ended
    .graphengine/documents/ab/….json.gz   workflows without secrets, by hash
    .graphengine/index.sqlite             derived from the lines; may be removed at any time
    .graphengine/.gitignore               none of it goes into the repository

Lines that are damaged or of a later version are left out with a warning. Writing never disturbs a run.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from graphengine.errors import GraphEngineError, SettingsError, nearest
from graphengine.provenance.history.documents import Documents
from graphengine.provenance.history.index import HistoryIndex
from graphengine.provenance.history.line_file import LONGEST_LINE, Line, LineFile
from graphengine.provenance.history.past_run import PAST_RUN, PastRun

_TOLD = 5  # damaged lines that are named
_NEAR = 200  # runs among which a mistyped id is looked for

_Found = TypeVar("_Found")

logger = logging.getLogger(__name__)


def new_run_id(started: float | None = None) -> str:
    """An id that sorts by time and is unique: `20261122-205101123-3f9c2a`, in UTC with milliseconds."""
    moment = datetime.fromtimestamp(time.time() if started is None else started, UTC)
    return f"{moment:%Y%m%d-%H%M%S}{moment.microsecond // 1000:03d}-{os.urandom(3).hex()}"


class History:
    """The history in a folder, which need not be there yet; the first run makes it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lines = LineFile(root / "runs.jsonl")
        self._documents = Documents(root / "documents")
        self._index = HistoryIndex(root / "index.sqlite", self._lines)
        self._is_warned = False
        self._damaged: set[int] = set()

    @property
    def project(self) -> Path:
        """The project's folder."""
        return self.root.absolute().parent

    def name_of(self, path: Path) -> str:
        """How runs name a file: relative to the project's folder with `/` when it lies below, else whole."""
        whole = Path(os.path.abspath(path))
        return whole.relative_to(self.project).as_posix() if whole.is_relative_to(self.project) else str(whole)

    def add(self, run: PastRun, documents: Mapping[str, bytes]) -> bool:
        """Write a run and its documents, by their SHA-256 (hex); whether that could be done.

        What cannot be written is told once, in a warning.
        """
        try:
            self._make_folder()
            for digest, content in documents.items():
                self._documents.write(digest, content)
            self._lines.append(PAST_RUN.dump_json(run, exclude_defaults=True))
        except (OSError, ValueError, PydanticSerializationError, GraphEngineError) as error:
            if not self._is_warned:
                self._is_warned = True
                logger.warning("the run is not in the history %s: %s", self.root, error)
            return False
        return True

    def runs(
        self, *, file: str | Path | None = None, output_sha256: str | None = None, most: int | None = None
    ) -> Iterator[PastRun]:
        """The runs, the last to end first: all, or those of a workflow file, or that made an output.

        A `Path` is a file as the process sees it, a text its name as runs have it.

        Raises:
            GraphEngineError: the history cannot be read.
        """
        if isinstance(file, Path):
            file = self.name_of(file)
        if file is None and output_sha256 is None:
            found = self._readable(self._lines.backwards())
        else:
            found = self._at(self._places(file=file, output_sha256=output_sha256))
        for count, run in enumerate(found):
            if most is not None and count >= most:
                return
            yield run

    def find(self, text: str) -> PastRun:
        """The run of an id, of the beginning or end of one, or `@1` for the last run, `@2` for the one before.

        Raises:
            SettingsError: there is none, or there are several.
        """
        if text.startswith("@"):
            return self._counted(text)
        found = self._indexed(lambda: self._index.ids(text)) if text else []
        exact = [each for each in found if each[0] == text]
        for run in self._at([place for _, place in (exact or found)[:1]] if len(found) == 1 or exact else []):
            return run
        if len(found) > 1:
            several = ", ".join(run_id for run_id, _ in found[:5])
            raise SettingsError(f"{text!r} stands for {len(found)} runs", hint=f"give more of one id: {several}")
        raise SettingsError(f"the history has no run {text!r}", hint=self._near(text))

    # Any: documents are open-ended JSON.
    def document(self, sha256: str) -> dict[str, Any]:
        """A document that a run names: an API document, or one of the editor.

        Raises:
            GraphEngineError: it is not there, damaged or changed.
        """
        return self._documents.read(sha256)

    def of_output(self, sha256: str) -> list[PastRun]:
        """The runs that made a file of these bytes, the last first; wherever it is now."""
        return list(self.runs(output_sha256=sha256))

    def of_path(self, path: Path) -> list[PastRun]:
        """The runs that saved a file at this path, the last first; whatever is there now."""
        return list(self._at(self._indexed(lambda: self._index.of_path(self.name_of(path)))))

    def _make_folder(self) -> None:
        if self._lines.path.exists():
            return
        self.root.mkdir(parents=True, exist_ok=True)
        ignored = self.root / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n", encoding="utf-8")

    def _counted(self, text: str) -> PastRun:
        number = text[1:]
        if not (number.isascii() and number.isdigit()) or len(number) > 9 or int(number) < 1:
            raise SettingsError(f"{text!r} names no run", hint="@1 is the last run, @2 the one before")
        count = 0
        for run in self.runs(most=int(number)):
            count += 1
            if count == int(number):
                return run
        raise SettingsError(f"the history has {count} runs, there is no {text}", hint="see graphengine log")

    def _near(self, text: str) -> str:
        near = nearest(text, (run.id for run in self.runs(most=_NEAR)))
        return f"did you mean {near}?" if near else "graphengine log lists the runs"

    def _places(self, *, file: str | None, output_sha256: str | None) -> list[int]:
        return self._indexed(lambda: self._index.places(file=file, output_sha256=output_sha256))

    def _indexed(self, ask: Callable[[], list[_Found]]) -> list[_Found]:
        """What the index answers, nothing where there is no history.

        Raises:
            GraphEngineError: the history cannot be read.
        """
        try:
            return ask() if self._exists() else []
        except (OSError, sqlite3.Error) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> GraphEngineError:
        hint = "check its permissions, or move it aside"
        return GraphEngineError(f"the history {self.root} cannot be read: {error}", hint=hint)

    def _exists(self) -> bool:
        return self._lines.path.exists()

    def _at(self, places: Iterable[int]) -> Iterator[PastRun]:
        return self._readable(self._line(place) for place in places)

    def _line(self, place: int) -> Line:
        data, size = b"", 2**14
        while b"\n" not in data and size < LONGEST_LINE * 4:
            data, size = self._lines.at(place, size), size * 4
        return Line(place, data.partition(b"\n")[0])

    def _readable(self, lines: Iterable[Line]) -> Iterator[PastRun]:
        """The runs in lines; a warning for each line that holds none."""
        try:
            for line in lines:
                run = self._read(line)
                if run is not None:
                    yield run
        except OSError as error:
            raise self._unreadable(error) from error

    def _read(self, line: Line) -> PastRun | None:
        reason = f"it has more than {LONGEST_LINE:,} bytes"
        try:
            if line.data is not None:
                return PAST_RUN.validate_json(line.data)
        except (ValidationError, ValueError) as error:
            reason = _reason(error)
        if line.offset not in self._damaged and len(self._damaged) < _TOLD:
            self._damaged.add(line.offset)
            number = self._lines.number(line.offset)
            logger.warning("line %d of %s is left out: %s", number, self._lines.path, reason)
        return None


def _reason(error: ValueError) -> str:
    """What is wrong with a line, briefly."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
