"""Where changes come from: folders that are observed, by the system or by looking again and again.

Folders are observed and not files: editors write a new file and move it into the place of the old one.
"""

import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.polling import PollingObserver

from graphengine.errors import GraphEngineError

_POLL_SECONDS = 0.5
_WANTED: list[type[FileSystemEvent]] = [
    DirCreatedEvent, DirDeletedEvent, DirMovedEvent, FileClosedEvent, FileCreatedEvent, FileDeletedEvent,
    FileModifiedEvent, FileMovedEvent,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A folder to observe, with the folders below it when it is `recursive`."""

    folder: Path
    recursive: bool = False


class Changes(Protocol):
    """Tells which paths were written, made, moved or removed."""

    def watch(self, places: Collection[Place]) -> None:
        """Observe these folders and no others; one that is not there is observed when it comes."""

    def wait(self, seconds: float) -> set[Path]:
        """The paths that changed since the last call; without any, it waits up to `seconds` for the first."""

    def close(self) -> None:
        """Observe nothing any more."""


class FolderChanges:
    """Changes as the system reports them, or with `poll` as two looks at a folder tell, for network drives."""

    def __init__(self, *, poll: bool = False) -> None:
        self._observer: BaseObserver = PollingObserver(timeout=_POLL_SECONDS) if poll else Observer()
        self._inbox = _Inbox()
        self._scheduled: dict[Place, tuple[ObservedWatch, tuple[int, int]]] = {}
        self._places: frozenset[Place] = frozenset()
        self._observer.start()

    def watch(self, places: Collection[Place]) -> None:
        """Observe these folders and no others; one that is not there is observed when it comes.

        Raises:
            GraphEngineError: the system observes no more folders.
        """
        self._places = frozenset(places)
        for place in self._scheduled.keys() - self._places:
            self._drop(place)
        self._follow()

    def wait(self, seconds: float) -> set[Path]:
        """The paths that changed since the last call; without any, it waits up to `seconds` for the first.

        A folder that went, came or was replaced is among them.
        """
        found = self._inbox.take(seconds)
        gone = [place for place in self._scheduled if place.folder in found]
        for place in gone:  # a folder that takes its place may have its number, so `_identity` does not tell
            self._drop(place)
        if gone or (not found and seconds > 0):
            found |= self._follow()
        return found

    def close(self) -> None:
        """Observe nothing any more, and end the threads."""
        self._observer.stop()
        self._observer.join()

    def _follow(self) -> set[Path]:
        """Observe the folders that are there by now; those for which that changed something."""
        moved: set[Path] = set()
        for place in self._places:
            identity = _identity(place.folder)
            known = self._scheduled.get(place)
            if known is not None and known[1] == identity:
                continue
            if known is not None:
                self._drop(place)
                moved.add(place.folder)
            if identity is not None and self._schedule(place, identity):
                moved.add(place.folder)
        return moved

    def _schedule(self, place: Place, identity: tuple[int, int]) -> bool:
        try:
            watch = self._observer.schedule(
                self._inbox, str(place.folder), recursive=place.recursive, event_filter=_WANTED
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return False  # gone again, or may not be read: looked for once more at the next call
        except OSError as error:
            raise GraphEngineError(
                f"cannot observe {place.folder}: {error.strerror}",
                hint="use --poll, or raise fs.inotify.max_user_watches and max_user_instances",
            ) from error
        self._scheduled[place] = (watch, identity)
        return True

    def _drop(self, place: Place) -> None:
        self._observer.unschedule(self._scheduled.pop(place)[0])


class _Inbox(FileSystemEventHandler):
    """Collects paths from the threads of the observer."""

    def __init__(self) -> None:
        self._paths: set[Path] = set()
        self._arrived = threading.Condition()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note the paths of an event."""
        named = {Path(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path}
        with self._arrived:
            self._paths |= named
            self._arrived.notify()

    def take(self, seconds: float) -> set[Path]:
        """The paths noted since the last call, or the first that come within `seconds`."""
        if seconds <= 0 and not self._paths:  # asked thousands of times while a run goes on
            return set()
        until = time.monotonic() + seconds
        with self._arrived:
            while not self._paths and (left := until - time.monotonic()) > 0:
                self._arrived.wait(left)
            found, self._paths = self._paths, set()
        return found


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another one that takes its place; None when there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if folder.is_dir() else None
