"""The folder of run records: one compressed file per run, in a folder per workflow.

    root/3f/ab12…/1763800000123456789-9f3c.json.gz

A workflow is known by the path of its file, or by its shape when it came from no file. Writing never disturbs a
run: what fails is logged once. A record that is damaged, or of a newer version, is left out with one warning.
"""

import gzip
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from graphengine.errors import GraphEngineError
from graphengine.provenance.record import RECORD, RunRecord, Snapshot

_SUFFIX = ".json.gz"
_LARGEST = 256 * 2**20  # bytes of one record, decompressed
_ENOUGH = 2**19  # bytes of records, compressed, that are read of a workflow
_MOST_WORKFLOWS = 500

logger = logging.getLogger(__name__)


class RecordFolder:
    """Records of runs below a folder; of each workflow the last `keep` are kept."""

    def __init__(self, root: Path, keep: int = 20) -> None:
        self.root = root
        self._keep = keep
        self._warned: set[str] = set()

    def write(self, record: RunRecord) -> Path | None:
        """Write a record and remove the oldest; gives its file, or None when it could not be written."""
        folder = self._folder(record.file, record.shape)
        place = folder / f"{int(record.started * 1e9):020d}-{os.urandom(2).hex()}{_SUFFIX}"
        temporary = folder / f".{place.name}.part"
        try:
            data = RECORD.dump_json(record, exclude_defaults=True)
            folder.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(_compressed(data))
                temporary.replace(place)
            finally:
                temporary.unlink(missing_ok=True)
            self._remove_old(folder)
        except (OSError, PydanticSerializationError, UnicodeError) as error:
            self._warn("the run is not recorded: %s", error)
            return None
        return place

    def read(self, file: Path | None, shape: str, most: int = 5) -> list[Snapshot]:
        """The last runs of a workflow, newest first; of large ones fewer, but two."""
        found: list[Snapshot] = []
        read = 0
        for place in reversed(self._places(self._folder(_absolute(file), shape))):
            if len(found) >= most or (len(found) >= 2 and read > _ENOUGH):
                break
            snapshot = self._read(place)
            if snapshot is not None:
                found.append(snapshot)
                read += _size(place)
        return found

    def read_others(self, file: Path | None, shape: str, most: int) -> Iterator[Snapshot]:
        """The last run of each of the other workflows that ran lately, large ones left out."""
        own = self._folder(_absolute(file), shape)
        folders = sorted(self._folders(), key=_modified, reverse=True)
        left = _ENOUGH
        for folder in [folder for folder in folders if folder != own][:most]:
            for place in self._places(folder)[-1:]:
                size = _size(place)
                if size > left:
                    continue
                left -= size
                snapshot = self._read(place)
                if snapshot is not None:
                    yield snapshot

    def _folder(self, file: str | None, shape: str) -> Path:
        text = f"file {file}" if file is not None else f"shape {shape}"
        digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return self.root / digest[:2] / digest[2:32]

    def _places(self, folder: Path) -> list[Path]:
        """The files of records, oldest first."""
        try:
            return sorted(path for path in folder.iterdir() if path.name.endswith(_SUFFIX) and path.name[0] != ".")
        except OSError:
            return []

    def _folders(self) -> Iterator[Path]:
        try:
            yield from (folder for part in self.root.iterdir() if part.is_dir() for folder in part.iterdir())
        except OSError:
            return

    def _read(self, place: Path) -> Snapshot | None:
        try:
            return Snapshot(RECORD.validate_json(_decompressed(place)))
        except (OSError, EOFError, ValueError, zlib.error, ValidationError, GraphEngineError) as error:
            reason = str(error).partition("\n")[0]
            self._warn(
                "records of runs that are damaged or of another version are left out: %s", f"{place}: {reason}"
            )
            return None

    def _remove_old(self, folder: Path) -> None:
        places = self._places(folder)
        with suppress(OSError):  # another process may do the same
            for place in places[: -self._keep]:
                place.unlink(missing_ok=True)
            if len(places) > 1:  # a new workflow is the time to look at the others
                return
            for other in sorted(self._folders(), key=_modified)[:-_MOST_WORKFLOWS]:
                for place in other.iterdir():
                    place.unlink(missing_ok=True)
                other.rmdir()

    def _warn(self, message: str, reason: object) -> None:
        """Log a warning, the first time only."""
        if message not in self._warned:
            self._warned.add(message)
            logger.warning(message, reason)


def _absolute(file: Path | None) -> str | None:
    return None if file is None else os.path.abspath(file)


def _modified(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _size(place: Path) -> int:
    try:
        return place.stat().st_size
    except OSError:
        return 0


def _compressed(data: bytes) -> bytes:
    # most of it are hashes, on which a higher level gains nothing
    return gzip.compress(data, compresslevel=1, mtime=0)


def _decompressed(place: Path) -> bytes:
    with gzip.open(place) as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST >> 20} MiB")
    return data
