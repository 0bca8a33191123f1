"""Writing files that a user asked for."""

import os
from pathlib import Path

from graphengine.errors import GraphEngineError


def write_whole(place: Path, text: str) -> None:
    """Write a file that is either there as a whole or not at all.

    Raises:
        GraphEngineError: the folder cannot be written or the disk is full; what was there before stays.
    """
    temporary = place.with_name(f".{os.urandom(8).hex()}.part")
    try:
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise GraphEngineError(
            f"cannot write {place}: {error.strerror}", hint="choose another place with --output"
        ) from error
