"""Writing files of the user anew: as a whole, with the permissions that they had."""

from pathlib import Path

from graphengine.errors import GraphEngineError
from graphengine.whole_files import being_written

_LONGEST_LINE = 2**16  # bytes; a longer line is no line of ours


def rewrite(file: Path, text: str) -> bool:
    """Give a file a new content, unless it has it; a link keeps pointing to it. Says whether it was written.

    Raises:
        GraphEngineError: the folder cannot be written or the disk is full; what was there before stays.
    """
    place = file.resolve()
    data = text.encode("utf-8")
    try:
        if place.exists() and place.read_bytes() == data:
            return False
        with being_written(place) as temporary:
            temporary.write_bytes(data)
            if place.exists():
                temporary.chmod(place.stat().st_mode & 0o777)
    except OSError as error:
        raise GraphEngineError(
            f"cannot write {file}: {error.strerror}", hint="check the permissions of its folder"
        ) from error
    return True


def with_line_ends_of(file: Path, text: str) -> str:
    """The text with CR LF at the ends of lines where a file's first line has it, as git writes them on Windows.

    Raises:
        GraphEngineError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            has_both = stream.readline(_LONGEST_LINE).endswith(b"\r\n")
    except FileNotFoundError:
        return text
    except OSError as error:
        raise GraphEngineError(f"cannot read {file}: {error.strerror}", hint="make it readable") from error
    return text.replace("\n", "\r\n") if has_both else text
