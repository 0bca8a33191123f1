"""What a pack requires: the lines of its requirements.txt and pyproject.toml."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from graphengine.errors import InstallRefused
from graphengine.packs.installing.environment import Environment

_LARGEST = 2**20
_MOST_LINES = 2000
_COMMENT = re.compile(r"(^|\s)#(?!egg=).*$")
_OPTION = re.compile(r"\s+--[a-z-]+(=|\s+).*$")
_INDEX_OPTIONS = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host", "--no-index")
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement of a pack and where it stands."""

    requirement: Requirement
    place: str

    @property
    def name(self) -> str:
        """The canonical name of the package."""
        return canonicalize_name(self.requirement.name)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a pack requires, each package and version range once, and what was passed over in its files."""

    wanted: tuple[Need, ...] = ()
    notes: tuple[str, ...] = ()


def read_needs(name: str, folder: Path, environment: Environment) -> Needs:
    """What the pack in a folder requires here; a single file requires nothing.

    Raises:
        InstallRefused: a line cannot be read.
    """
    if not folder.is_dir():
        return Needs()
    notes: list[str] = []
    found: dict[str, Need] = {}
    for need in (*_in_text(name, folder, notes), *_in_project(name, folder, notes)):
        if environment.applies(need.requirement):
            found.setdefault(str(need.requirement), need)
    return Needs(tuple(found.values()), tuple(notes))


def missing_needs(needs: Needs, environment: Environment) -> list[Need]:
    """Those that no installed package of a fitting version meets."""
    return [need for need in needs.wanted if not is_met(need.requirement, environment)]


def is_met(requirement: Requirement, environment: Environment) -> bool:
    """Whether a package of a fitting version is installed; of one with an address, any version."""
    version = environment.version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _in_text(name: str, folder: Path, notes: list[str]) -> Iterator[Need]:
    waiting, seen = [folder / "requirements.txt"], set[Path]()
    while waiting:
        file = waiting.pop(0)
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        for number, line in _lines(name, file, folder):
            place = f"{name}/{file.relative_to(folder).as_posix()}, line {number}"
            if line.startswith(("-r", "--requirement")):
                other = (file.parent / re.sub(r"^(-r|--requirement)[ =]*", "", line)).resolve()
                if not other.is_relative_to(folder.resolve()):
                    raise InstallRefused(f"{place}: {line!r} leads out of the pack")
                waiting.append(folder / other.relative_to(folder.resolve()))
            elif line.startswith("-"):
                notes.append(_passed_over(place, line))
            else:
                yield Need(_requirement(place, line), place)


def _passed_over(place: str, line: str) -> str:
    if line.startswith(_INDEX_OPTIONS):
        return f"{place}: {line!r} is passed over: where packages come from is yours to say (--index-url)"
    if line.startswith(("-e", "--editable")):
        raise InstallRefused(
            f"{place}: {line!r} would install code in place", hint="install it yourself if you want it"
        )
    return f"{place}: {line!r} is passed over"


def _lines(name: str, file: Path, folder: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without comments; those that end in a backslash go on in the next."""
    text = _decoded(name, file, folder)
    if text.count("\n") > _MOST_LINES:
        raise InstallRefused(f"{name}/{file.name} has more than {_MOST_LINES:,} lines")
    begun, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw).strip()
        start = start or number
        if line.endswith("\\"):
            begun += line[:-1]
            continue
        whole = (begun + line).strip()
        if whole:
            yield start, whole
        begun, start = "", 0


def _decoded(name: str, file: Path, folder: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise InstallRefused(f"{name}/{file.name} is larger than {_LARGEST // 2**20} MiB")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        place = f"{name}/{file.relative_to(folder).as_posix()}, line {line}"
        raise InstallRefused(f"{place}: it is not UTF-8 text", hint="write the file anew as UTF-8") from error


def _requirement(place: str, line: str) -> Requirement:
    text = _OPTION.sub("", line)
    if "://" in text.partition("@")[0] or text.endswith(".whl"):
        text = _with_name(place, text)
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise InstallRefused(
            f"{place}: {line!r} is no requirement: {reason}", hint="correct the line, or tell the pack's author"
        ) from error


def _with_name(place: str, address: str) -> str:
    """`name @ address` for an address that stands alone, as pip takes it."""
    egg = _EGG.search(address)
    if egg is not None:
        return f"{egg[1]} @ {address.partition('#')[0]}"
    last = unquote(urlsplit(address.partition(";")[0].strip()).path.rpartition("/")[2])
    try:
        return f"{parse_wheel_filename(last)[0]} @ {address}"
    except InvalidWheelFilename:
        name = re.sub(r"(\.git)?(@.*)?$", "", last)
        return f"{name} @ {address}"


def _in_project(name: str, folder: Path, notes: list[str]) -> Iterator[Need]:
    file = folder / "pyproject.toml"
    if not file.is_file():
        return
    try:
        document = tomllib.loads(_decoded(name, file, folder))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        notes.append(f"{name}/pyproject.toml cannot be read: {error}")
        return
    match document:
        case {"project": {"dependencies": [*lines]}}:
            for line in lines:
                if isinstance(line, str):
                    place = f"{name}/pyproject.toml, [project].dependencies"
                    yield Need(_requirement(place, line), place)
