"""Numbered output files: what they are called, where they go, and how they come to be without damage.

A name like `dogs/%year%-terrier` of a workflow becomes `dogs/2026-terrier_00001_.png` below the output folder. The
data is written to a temporary name and linked to its number when complete: a number that is taken, by whomever, is
passed over; a file is never replaced, and what is visible under its name is whole.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from secrets import token_hex
from typing import Any, BinaryIO

from graphengine.node.api import FileRefused, GraphEngineError

_BATCH_NUMBER = "%batch_num%"
_UNFIT_FOR_NAMES = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
_DATE_PARTS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MM": "%m",
    "dd": "%d",
    "hh": "%H",
    "mm": "%M",
    "ss": "%S",
}
_DATE_PART = re.compile("yyyy|yy|MM|M|dd|d|hh|h|mm|m|ss|s")


@dataclass(frozen=True, slots=True)
class OutputPlace:
    """Where numbered files go: a folder, its name below the root (with `/`, "" for the root), and a stem."""

    folder: Path
    subfolder: str
    stem: str


# Any: the API document as the engine hands it to nodes.
def expand_prefix(
    prefix: str,
    now: datetime,
    *,
    width: int = 0,
    height: int = 0,
    prompt: Mapping[str, Any] | None = None,
) -> str:
    """The prefix with its tokens replaced; a token that is not known stays as it is.

    %width%, %height%: pixels. %year%, %month%, %day%, %hour%, %minute%, %second%: of `now`.
    %date:yyyy-MM-dd%: `now` in that form. %KSampler.seed%: an input of the node with that title or class in
    `prompt`. %batch_num% is replaced when a file is written.
    """
    known = {
        "width": str(width),
        "height": str(height),
        "year": f"{now:%Y}",
        "month": f"{now:%m}",
        "day": f"{now:%d}",
        "hour": f"{now:%H}",
        "minute": f"{now:%M}",
        "second": f"{now:%S}",
    }

    def value(token: re.Match[str]) -> str:
        name = token[1]
        if name in known:
            return known[name]
        if name.startswith("date:"):
            return _format_date(name.removeprefix("date:"), now)
        return _input_value(name, prompt or {}) or token[0]

    return re.sub(r"%([^%]+)%", value, prefix)


def _format_date(form: str, now: datetime) -> str:
    def part(found: re.Match[str]) -> str:
        text = found[0]
        return now.strftime(_DATE_PARTS[text]) if len(text) > 1 else str(int(now.strftime(_DATE_PARTS[text * 2])))

    return _DATE_PART.sub(part, form)


def _input_value(token: str, prompt: Mapping[str, Any]) -> str | None:
    """The value of `Node title.input`, with characters that cannot stand in file names replaced by `_`."""
    title, _, name = token.rpartition(".")
    for node in prompt.values():
        names = ((node.get("_meta") or {}).get("title"), node.get("class_type"))
        value = node.get("inputs", {}).get(name)
        if title in names and isinstance(value, str | int | float):
            # The editor writes 8.0 as 8.
            plain = int(value) if isinstance(value, float) and value.is_integer() else value
            return _UNFIT_FOR_NAMES.sub("_", str(plain))
    return None


def output_place(root: Path, prefix: str) -> OutputPlace:
    """Where files of that prefix go below `root`; folders are not made yet. An empty prefix counts as "ComfyUI".

    Raises:
        FileRefused: the prefix is absolute, holds `..` or a zero byte, or leads out through a link.
    """
    relative = PurePosixPath(prefix.replace("\\", "/"))
    absolute = relative.is_absolute() or PureWindowsPath(prefix).drive != ""
    folder = root / relative.parent
    if "\0" in prefix or absolute or ".." in relative.parts or not _is_below(folder, root):
        raise FileRefused(
            f"input 'filename_prefix': {prefix!r} leads out of the output folder {root}",
            hint="use a name below the folder, without '..' and without a leading '/'",
        )
    subfolder = "" if relative.parent == PurePosixPath() else relative.parent.as_posix()
    return OutputPlace(folder, subfolder, relative.name or "ComfyUI")


def _is_below(folder: Path, root: Path) -> bool:
    return folder.resolve().is_relative_to(root.resolve())


def write_numbered(place: OutputPlace, suffix: str, contents: Iterable[bytes]) -> list[str]:
    """Write each content to the next free number and give the names: `stem_00001_.png` for suffix ".png".

    Contents are taken one at a time, so an iterator may make them as they are written.

    Raises:
        GraphEngineError: the disk is full, the folder cannot be written, the name is too long; files that were
            complete before stay, and nothing partial is left.
    """
    return _write_all(place, suffix, (partial(_write_content, content) for content in contents))


def _write_content(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def write_streamed(place: OutputPlace, suffix: str, write: Callable[[BinaryIO], object]) -> str:
    """As `write_numbered` for one file that is too large to be held in memory: write is given the open file.

    Raises:
        GraphEngineError: as for `write_numbered`; nothing partial is left, also when write raises something else.
    """
    (name,) = _write_all(place, suffix, [write])
    return name


def _write_all(place: OutputPlace, suffix: str, writers: Iterable[Callable[[BinaryIO], object]]) -> list[str]:
    names: list[str] = []
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        number = _highest_number(place) + 1
        for index, write in enumerate(writers):
            stem = place.stem.replace(_BATCH_NUMBER, str(index))
            name, number = _write_next(place.folder, stem, number, suffix, write)
            names.append(name)
    except OSError as error:
        raise GraphEngineError(
            f"cannot write to {place.folder}: {error.strerror or error}",
            hint="free space on the disk, make the folder writable, or choose another output folder",
        ) from error
    return names


def _highest_number(place: OutputPlace) -> int:
    """The highest number in use for the stem; 0 when there is none."""
    stem = re.escape(place.stem).replace(re.escape(_BATCH_NUMBER), r"\d+")
    numbered = re.compile(rf"{stem}_(\d+)_")
    found = (numbered.match(entry) for entry in os.listdir(place.folder))
    return max((int(match[1]) for match in found if match), default=0)


def _write_next(
    folder: Path, stem: str, number: int, suffix: str, write: Callable[[BinaryIO], object]
) -> tuple[str, int]:
    """Write to the first free number from `number` on; gives the name and the number after it."""
    temporary = folder / f".{token_hex(8)}.part"
    try:
        with open(temporary, "xb") as file:
            write(file)
        while True:
            name = f"{stem}_{number:05}_{suffix}"
            number += 1
            with suppress(FileExistsError):
                _give_name(temporary, folder / name)
                return name, number
    finally:
        temporary.unlink(missing_ok=True)


def _give_name(temporary: Path, final: Path) -> None:
    """Give a complete file its name.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        os.link(temporary, final)
    except FileExistsError:
        raise
    except OSError:
        # The file system knows no hard links: claim the name first, then put the content in its place.
        with open(final, "xb"):
            pass
        try:
            os.replace(temporary, final)
        except OSError:
            final.unlink(missing_ok=True)
            raise
