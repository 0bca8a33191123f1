"""Saving the files of packages that are about to change, and putting an environment back byte for byte.

Installing writes what the staged wheels hold, and removes what the record of a replaced package lists. So these
are saved before: the files listed for replaced packages with their compiled forms, and those that would be
overwritten. Put back means: what was not there before below the same names goes, what was saved comes back.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from graphengine.packs.installing.environment import Environment

_PIP_LEFTOVER = "~"


class SavedFiles(BaseModel):
    """What an environment had before. Paths are absolute; `copies` maps a path to its copy in the stage.

    `tops` are the files and folders in the library folders that installing touches, `listed` what was below them,
    `places` what it may write elsewhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    libraries: tuple[str, ...]
    tops: tuple[str, ...]
    listed: tuple[str, ...]
    places: tuple[str, ...]
    copies: dict[str, str]


def save_files(
    environment: Environment, replaced: Iterable[Distribution], overlay: Path, folder: Path
) -> SavedFiles:
    """Copy what installing the content of `overlay` in place of `replaced` may change, into a new folder."""
    listed = {path for distribution in replaced for path in _files_of(distribution)}
    new = [path.relative_to(overlay) for path in _all_below(overlay)]
    tops = {
        str(library / top)
        for library in environment.libraries
        for top in {path.parts[0] for path in new} | set(_tops_in(library, listed))
        if top not in ("bin", "Scripts", "__pycache__")
    }
    places = {str(place) for path in new for place in _places_elsewhere(environment, path)}
    overwritten = {
        library / path for library in environment.libraries for path in new if os.path.lexists(library / path)
    }
    kept = listed | overwritten | {Path(place) for place in places if os.path.lexists(place)}
    kept |= {compiled for path in kept for compiled in _compiled(path)}
    folder.mkdir()
    copies = {}
    for number, path in enumerate(sorted(path for path in kept if path.is_symlink() or path.is_file())):
        copy = folder / str(number)
        shutil.copy2(path, copy, follow_symlinks=False)
        copies[str(path)] = str(copy)
    before = [str(path) for top in sorted(tops) for path in _with_all_below(Path(top))]
    leftovers = [str(path) for path in _leftovers(environment.libraries)]
    return SavedFiles(
        libraries=tuple(map(str, environment.libraries)),
        tops=tuple(sorted(tops)),
        listed=tuple(sorted({*before, *leftovers})),
        places=tuple(sorted(places)),
        copies=copies,
    )


def restore_files(saved: SavedFiles) -> None:
    """Put an environment back as it was saved; doing it twice does no harm."""
    before = frozenset(saved.listed)
    for top in (*map(Path, saved.tops), *_leftovers(map(Path, saved.libraries))):
        for path in sorted(_with_all_below(top), reverse=True):  # what is in a folder before the folder
            if str(path) not in before:
                _remove(path)
    for place in saved.places:
        if place not in saved.copies:
            _remove(Path(place))
    for original, copy in saved.copies.items():
        _put_back(Path(original), Path(copy))


def _put_back(place: Path, copy: Path) -> None:
    if place.is_symlink() or copy.is_symlink() or not _same(place, copy):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f"{place.name}.{os.urandom(4).hex()}.part")
        shutil.copy2(copy, temporary, follow_symlinks=False)
        os.replace(temporary, place)


def _same(place: Path, copy: Path) -> bool:
    try:
        one, other = place.stat(), copy.stat()
    except FileNotFoundError:
        return False
    return (one.st_size, one.st_mtime_ns, one.st_mode) == (other.st_size, other.st_mtime_ns, other.st_mode)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        if not any(path.iterdir()):
            path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _files_of(distribution: Distribution) -> Iterator[Path]:
    for file in distribution.files or ():
        yield Path(os.path.abspath(str(distribution.locate_file(file))))


def _tops_in(library: Path, paths: Sequence[Path] | set[Path]) -> Iterator[str]:
    for path in paths:
        if path.is_relative_to(library):
            yield path.relative_to(library).parts[0]


def _places_elsewhere(environment: Environment, path: Path) -> Iterator[Path]:
    """Where a file of a staged folder may go that is no library: scripts and data."""
    if path.parts[0] in ("bin", "Scripts") and len(path.parts) == 2:
        yield environment.scripts / path.name
    elif path.parts[0] in ("share", "etc", "include", "man", "data"):
        yield environment.prefix / path


def _compiled(path: Path) -> Iterator[Path]:
    if path.suffix == ".py":
        yield from path.parent.glob(f"__pycache__/{path.stem}.*.pyc")


def _leftovers(libraries: Iterable[Path]) -> Iterator[Path]:
    """What pip leaves when it is killed while it removes a package: folders named `~umpy`."""
    for library in libraries:
        yield from library.glob(f"{_PIP_LEFTOVER}*")


def _all_below(folder: Path) -> Iterator[Path]:
    for here, _, files in os.walk(folder):
        yield from (Path(here, file) for file in files)


def _with_all_below(top: Path) -> Iterator[Path]:
    if not os.path.lexists(top):
        return
    yield top
    if top.is_dir() and not top.is_symlink():
        for here, folders, files in os.walk(top):
            yield from (Path(here, name) for name in (*folders, *files))
