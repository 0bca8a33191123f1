"""Changing `custom_nodes` and the environment as one step, or not at all.

Everything new lies in a stage, a folder in the hidden folder of `custom_nodes`, and so on the same file system. A
journal in the stage says, before each change, how to undo it. Undoing reads the journal and what is there, so it
is right after a failure, and at the next start after a kill. When the journal is gone, the change stands.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel, ConfigDict, ValidationError

from graphengine.errors import InstallRefused
from graphengine.packs.installing.ledger import HIDDEN, Ledger, write_durably
from graphengine.packs.installing.saving import SavedFiles, restore_files

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_PREFIX = "stage-"
_JOURNAL = "journal.json"


class Journal(BaseModel):
    """What is being changed: the pack's name, whether one was there, its record before, the packages before."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    pack: str | None = None
    had_pack: bool = False
    removes: bool = False
    record_before: str | None = None
    files: SavedFiles | None = None


class Stage:
    """A folder for one change. `new` is where a pack is made ready."""

    def __init__(self, custom_nodes: Path, folder: Path) -> None:
        self.custom_nodes = custom_nodes
        self.folder = folder
        self.new = folder / "new"
        self._old = folder / "old"
        self._journal = Journal()

    def swap_in(self, name: str) -> None:
        """Put the new pack in its place; one that is there is kept in the stage."""
        place = self.custom_nodes / name
        self._note_pack(name, removes=False)
        if os.path.lexists(place):
            place.rename(self._old)
        self.new.rename(place)

    def take_out(self, name: str) -> None:
        """Take a pack, folder or file, from its place into the stage."""
        self._note_pack(name, removes=True)
        (self.custom_nodes / name).rename(self._old)

    def note_files(self, files: SavedFiles) -> None:
        """Say that packages are about to change."""
        self._write(self._journal.model_copy(update={"files": files}))

    def finish(self) -> None:
        """Let the change stand."""
        with suppress(FileNotFoundError):
            (self.folder / _JOURNAL).unlink()
        discard(self.folder)

    def undo(self) -> None:
        """Put everything back as the journal says, and remove the stage."""
        journal = self._read()
        if journal.files is not None:
            restore_files(journal.files)
        if journal.pack is not None:
            self._undo_pack(journal, journal.pack)
        self.finish()

    def _undo_pack(self, journal: Journal, name: str) -> None:
        place = self.custom_nodes / name
        if os.path.lexists(self._old):
            if os.path.lexists(place):
                place.rename(self.folder / f"undone-{os.urandom(4).hex()}")
            self._old.rename(place)
        elif not journal.had_pack and not journal.removes and not self.new.exists() and os.path.lexists(place):
            place.rename(self.folder / f"undone-{os.urandom(4).hex()}")
        Ledger(self.custom_nodes).restore(name, journal.record_before)

    def _note_pack(self, name: str, *, removes: bool) -> None:
        changed = {
            "pack": name,
            "had_pack": os.path.lexists(self.custom_nodes / name),
            "removes": removes,
            "record_before": Ledger(self.custom_nodes).text(name),
        }
        self._write(self._journal.model_copy(update=changed))

    def _write(self, journal: Journal) -> None:
        self._journal = journal
        write_durably(self.folder / _JOURNAL, journal.model_dump_json())

    def _read(self) -> Journal:
        try:
            return Journal.model_validate_json((self.folder / _JOURNAL).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Journal()
        except ValidationError as error:
            raise InstallRefused(
                f"{self.folder / _JOURNAL} is damaged: what was being changed is not known",
                hint="look into this folder: 'old' is the pack before; remove the folder when all is well",
            ) from error


class _Busy(InstallRefused):
    """Another process changes the folder."""


@contextmanager
def open_stage(custom_nodes: Path) -> Iterator[Stage]:
    """A stage for one change; whatever raises undoes it. What killed processes left is undone first.

    Raises:
        InstallRefused: another process changes the same folder.
    """
    hidden = custom_nodes / HIDDEN
    hidden.mkdir(parents=True, exist_ok=True)
    with _locked(hidden):
        _undo_left(custom_nodes)
        folder = hidden / f"{_PREFIX}{os.urandom(6).hex()}"
        folder.mkdir()
        stage = Stage(custom_nodes, folder)
        try:
            yield stage
        except BaseException:  # an interrupt as well
            stage.undo()
            raise
        stage.finish()


def recover(custom_nodes: Path) -> int:
    """Undo what killed processes left half done; how many changes. Nothing while another process installs.

    Raises:
        InstallRefused: a journal is damaged.
    """
    hidden = custom_nodes / HIDDEN
    if not any(_stages(hidden)):
        return 0
    try:
        with _locked(hidden, patience=0.0):
            return _undo_left(custom_nodes)
    except _Busy:
        return 0


def discard(folder: Path) -> None:
    """Remove a folder, with what was made read-only in it; what cannot be removed goes at the next start."""
    shutil.rmtree(folder, ignore_errors=True)


def _stages(hidden: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from (path for path in hidden.iterdir() if path.name.startswith(_PREFIX))


def _undo_left(custom_nodes: Path) -> int:
    left = list(_stages(custom_nodes / HIDDEN))
    for folder in left:
        Stage(custom_nodes, folder).undo()
    return len(left)


@contextmanager
def _locked(hidden: Path, patience: float = 10.0) -> Iterator[None]:
    """Keeps other processes from changing the folder; waits for them at most `patience` seconds."""
    file = os.open(hidden / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.set_inheritable(file, True)  # a pip that outlives us holds the lock until it ends
        until = time.monotonic() + patience
        while not _lock(file):
            if time.monotonic() >= until:
                raise _Busy(f"another graphengine changes {hidden.parent}", hint="try again when it is done")
            time.sleep(0.1)
        yield
    finally:
        os.close(file)  # which ends the lock when no program that we started has it


def _lock(file: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
