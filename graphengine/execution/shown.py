"""What output nodes show: the files they wrote."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from graphengine.cache.hashing import FileMemo, FileStamp, fingerprint_file
from graphengine.errors import FileRefused
from graphengine.node.folders import Folders

logger = logging.getLogger(__name__)


def shown_files(ui: Mapping[str, JsonValue], folders: Folders) -> Iterator[Path]:
    """The files that a node's message names, `{"images": [{"filename", "subfolder", "type"}]}`, in any list."""
    for items in ui.values():
        for item in items if isinstance(items, list | tuple) else ():
            match item:
                case {"filename": str(name), "type": str(kind), **rest}:
                    for root in folders.roots(kind)[:1]:
                        yield root / PurePosixPath(str(rest.get("subfolder") or "")) / name
                case _:
                    continue


@dataclass(frozen=True, slots=True)
class SavedFiles:
    """Whether files that nodes wrote are still as they were. Without a memo only whether they are there."""

    folders: Folders
    memo: FileMemo | None = None

    def note(self, key: str, ui: Mapping[str, JsonValue]) -> None:
        """Remember the content of the files that a message names, for the outputs under a key."""
        if self.memo is None:
            return
        for path in shown_files(ui, self.folders):
            try:
                self.memo.remember(_place(key, path), fingerprint_file(path, self.memo))
            except FileRefused as refused:
                logger.warning("%s; it will be written again", refused.message)

    def spoilt(self, key: str, ui: Mapping[str, JsonValue]) -> Path | None:
        """The first file that the message names and that is gone, or has other bytes than noted for the key."""
        return next((path for path in shown_files(ui, self.folders) if not self._stands(key, path)), None)

    def fingerprint(self, path: Path) -> str:
        """What stands for a file's content: `sha256:` and 64 hex digits.

        Raises:
            FileRefused: it is gone, or cannot be read.
        """
        return fingerprint_file(path, self.memo)

    def _stands(self, key: str, path: Path) -> bool:
        if not path.is_file():
            return False
        noted = self.memo.recall(_place(key, path)) if self.memo is not None else None
        if noted is None:
            return True
        try:
            return fingerprint_file(path, self.memo) == noted
        except FileRefused:
            return False


def _place(key: str, path: Path) -> FileStamp:
    """Where the memo has what was written to a path: no file is of this name and size."""
    return FileStamp(f"saved by {key}: {path.absolute()}", -1, -1, -1)
