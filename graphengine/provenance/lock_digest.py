"""The digest of a project's lock file, by which the record of a run names the lock it was made with."""

import hashlib
from pathlib import Path

#: Name of the lock file, beside `graphengine.toml`.
LOCK_FILE = "graphengine.lock"
_LARGEST = 16 * 2**20


def digest_of_lock(path: Path) -> str | None:
    """SHA-256 (hex) of a lock file, or of the one in a folder; None where there is none that can be read.

    Line ends and a byte order mark do not count, so a checkout on Windows gives the same. A file past 16 MiB is no
    lock and has no digest.
    """
    try:
        file = path / LOCK_FILE if path.is_dir() else path
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError:
        return None
    if len(content) > _LARGEST:
        return None
    text = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    return hashlib.sha256(text).hexdigest()
