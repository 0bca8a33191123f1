"""Which packages a pack is built on, and which versions of them are installed."""

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from graphengine.packs.discover import ENTRY_POINTS, Pack
from graphengine.packs.stand_ins import edited_stand_ins

#: Attribute of a pack's module: names of the packages that its results depend on, in place of what it requires.
PACKAGES = "GRAPHENGINE_PACKAGES"

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[|[<>=!~;@,(]|$|\s)")
_EGG = re.compile(r"#egg=([A-Za-z0-9._-]+)")
_VERSION = re.compile(r"^Version:\s*(\S+)", re.MULTILINE)
_LARGEST = 2**20

#: Our own distribution; custom packs compute with its stand-ins.
OURS = "graphengine-comfy"


def declared_packages(pack: Pack, module: ModuleType) -> tuple[str, ...]:
    """Names of the packages that a pack says it is built on, in its module or in what it requires."""
    declared = getattr(module, PACKAGES, None)
    if declared is not None:
        return _unique(map(str, declared))
    if pack.path is None:
        return _unique(_required_by_distribution(pack))
    folder = pack.path if pack.path.is_dir() else None
    return _unique([OURS, *(required_in_folder(folder) if folder else ())])


def required_in_folder(folder: Path) -> tuple[str, ...]:
    """The names of the packages that the files of a pack list, sorted, as indexes of packages write them."""
    return _unique(_required_in_folder(folder))


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of packages by name; "absent" for those that are not installed.

    Where our own is a checkout, a hash of its stand-ins is part of the version.
    """
    versions = {name: package_version(name) for name in names}
    edited = edited_stand_ins() if OURS in versions else ""
    return {**versions, OURS: f"{versions[OURS]}+{edited}"} if edited else versions


def package_version(name: str) -> str:
    """The version of an installed package, else "absent"."""
    try:
        # Parsing all of a package's metadata takes milliseconds; its version stands in a line of its own.
        found = _VERSION.search(distribution(name).read_text("METADATA") or "")
        return found[1] if found else distribution(name).version
    except (PackageNotFoundError, ValueError):
        return "absent"


def _required_by_distribution(pack: Pack) -> Iterator[str]:
    for point in entry_points(group=ENTRY_POINTS):
        if point.value == pack.module and point.dist is not None:
            yield point.dist.name
            yield from _names(line for line in point.dist.requires or () if "extra ==" not in line)


def _required_in_folder(folder: Path) -> Iterator[str]:
    yield from _names(_text(folder / "requirements.txt").splitlines())
    import tomllib  # milliseconds to import, which a start without new packs does not need

    try:
        document = tomllib.loads(_text(folder / "pyproject.toml"))
    except (tomllib.TOMLDecodeError, RecursionError):
        return
    match document:
        case {"project": {"dependencies": [*lines]}}:
            yield from _names(line for line in lines if isinstance(line, str))


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_LARGEST)
    except OSError:
        return ""


def _names(lines: Iterable[str]) -> Iterator[str]:
    """The package that each line of requirements names: `numpy>=2`, `foo[bar] @ https://…`, `git+https://…#egg=foo`."""
    for line in lines:
        found = _EGG.search(line) if "://" in line.partition("@")[0] else _NAME.match(line)
        if found is not None:
            yield found[1]


def _unique(names: Iterable[Any]) -> tuple[str, ...]:
    """The names as indexes of packages write them, sorted."""
    return tuple(sorted({re.sub(r"[-_.]+", "-", name).lower() for name in names}))
