"""Writing files that a user asked for."""

from pathlib import Path

from graphengine.errors import GraphEngineError
from graphengine.whole_files import being_written


def write_whole(place: Path, text: str) -> None:
    """Write a file that is either there as a whole or not at all.

    Raises:
        GraphEngineError: the folder cannot be written or the disk is full; what was there before stays.
    """
    try:
        with being_written(place) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GraphEngineError(
            f"cannot write {place}: {error.strerror}", hint="choose another place with --output"
        ) from error
