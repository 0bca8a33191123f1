"""Files that are there as a whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def being_written(place: Path) -> Iterator[Path]:
    """A path beside a file for its new content, which takes its place when the block ends well.

    When it does not, the new content is removed, and what was there before stays.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    temporary = place.with_name(f".{os.urandom(8).hex()}.part")
    try:
        yield temporary
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
