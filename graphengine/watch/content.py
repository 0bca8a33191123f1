"""What a watched file holds now, told by its content: dates do not count."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from graphengine.cache.hashing import FileMemo, fingerprint_file, hash_value
from graphengine.errors import FileRefused


@dataclass(frozen=True, slots=True)
class Content:
    """The digest of a file or folder, or in words why there is none: `is not there`."""

    digest: str = ""
    trouble: str = ""


def content_of(path: Path, memo: FileMemo | None = None) -> Content:
    """The content of a file, or of the files in a folder without its folders."""
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            return Content(fingerprint_file(path, memo))
        entries = sorted(entry.name for entry in os.scandir(path) if entry.is_file())
        return Content(hash_value([[name, fingerprint_file(path / name, memo)] for name in entries]))
    except FileRefused as refused:
        return Content(trouble=_words(refused.__cause__) or "is no regular file")
    except (OSError, ValueError) as error:
        return Content(trouble=_words(error))


def workflow_content(path: Path, memo: FileMemo | None = None) -> Content:
    """The content of a file that must be one."""
    return Content(trouble="is a folder") if path.is_dir() else content_of(path, memo)


def _words(error: BaseException | None) -> str:
    if isinstance(error, FileNotFoundError):
        return "is not there"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or type(error).__name__}"
    return f"cannot be read: {error}" if error is not None else ""
