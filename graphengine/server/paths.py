"""Where a name from a request leads. Every endpoint that takes the name of a file or folder asks here.

A name is checked as text first: it must read the same on every system, so what only Windows understands (drive
letters, backslashes, device names) is refused everywhere. Then it is resolved on disk, links and all, and must
still lie below its root. A name is decoded once, by aiohttp; `%2e%2e` that is left in it is a plain, odd name.
"""

import re
import unicodedata
from pathlib import Path

from graphengine.errors import FileRefused

#: Longest part of a name and longest name, in bytes of UTF-8, and the most parts.
MAX_PART = 255
MAX_NAME = 1024
MAX_PARTS = 32

_HINT = "use a name below the folder, with '/' between its parts and without '..'"
_DRIVE = re.compile(r"[A-Za-z]:")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(\..*)?", re.IGNORECASE)
#: Control characters, halves of surrogate pairs, and the separators of lines and paragraphs.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def name_parts(name: str) -> tuple[str, ...]:
    """The parts of a relative name, without empty ones and `.`; none for the folder itself.

    Raises:
        FileRefused: the name is absolute, holds `..`, a backslash, a control character or a part that some system
            gives a meaning of its own, or is too long.
    """
    if reason := _fault(name):
        raise FileRefused(f"the name {_short(name)} {reason}", hint=_HINT)
    return tuple(part for part in name.split("/") if part not in ("", "."))


def file_parts(name: str) -> tuple[str, ...]:
    """The parts of a file's name: at least one.

    Raises:
        FileRefused: as for `name_parts`, or the name is empty.
    """
    parts = name_parts(name)
    if not parts:
        raise FileRefused(f"the name {_short(name)} names no file", hint=_HINT)
    return parts


def below(root: Path, parts: tuple[str, ...]) -> Path:
    """The real path of these parts below a root; it need not exist.

    Raises:
        FileRefused: a link leads out of the root, or round in a circle.
    """
    try:
        real = root.resolve()
        path = real.joinpath(*parts).resolve()
    except (OSError, RuntimeError) as error:
        raise FileRefused(f"the name {_short('/'.join(parts))} cannot be resolved", hint=_HINT) from error
    if not path.is_relative_to(real):
        raise FileRefused(
            f"the name {_short('/'.join(parts))} is a link that leads out of its folder",
            hint="copy the file into the folder",
        )
    return path


def resolve(root: Path, name: str) -> Path:
    """The real path of a file's name below a root; it need not exist.

    Raises:
        FileRefused: the name is no plain name of a file, or leads out of the root.
    """
    return below(root, file_parts(name))


def _fault(name: str) -> str | None:
    """What is wrong with a name as a text, or None."""
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        return "holds a control character"
    if len(name.encode()) > MAX_NAME:
        return f"is longer than {MAX_NAME} bytes"
    if "\\" in name:
        return "holds a backslash"
    if name.startswith("/"):
        return "is absolute"
    parts = name.split("/")
    if len(parts) > MAX_PARTS:
        return f"has more than {MAX_PARTS} parts"
    return next((fault for part in parts if (fault := _fault_of_part(part))), None)


def _fault_of_part(part: str) -> str | None:
    if part in ("", "."):
        return None
    if not part.strip(". "):
        return "leads out of its folder"
    if len(part.encode()) > MAX_PART:
        return f"has a part of more than {MAX_PART} bytes"
    if part[-1] in ". ":
        return "has a part that ends in a dot or a space"
    if _DRIVE.match(part):
        return "names a drive"
    if _DEVICE.fullmatch(part):
        return "names a device of Windows"
    return None


def _short(name: str) -> str:
    """The name as messages and logs quote it: on one line, and not the whole of a long one."""
    return ascii(name if len(name) <= 120 else name[:117] + "…")
