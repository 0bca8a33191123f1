"""What the source files of a pack say without running them."""

import hashlib
import logging
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES
from os import walk
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from graphengine.packs.records import Records, record_name

logger = logging.getLogger(__name__)

_SKIPPED = frozenset({"__pycache__", "node_modules", "tests", "venv"})
_ENDINGS = (".py", *EXTENSION_SUFFIXES)
_RECENT_NS = 2 * 10**9
_MOST_NAMES = 10_000

#: Size, modification time (ns), inode and digest of a file when it was read.
Seen = tuple[int, int, int, str]


@dataclass(slots=True)
class KnownSource:
    """What is remembered of a pack's source: the digests of its files, and which names it was found to mention."""

    format: int = 0
    files: dict[str, Seen] = field(default_factory=dict)
    version: str = ""
    names: dict[str, bool] = field(default_factory=dict)


_FORMAT = 1
_KNOWN = TypeAdapter(KnownSource)


@dataclass(frozen=True)
class PackSource:
    """The code of a pack: its files by path relative to `root`, with `/`, and their SHA-256 (hex)."""

    root: Path
    files: Mapping[str, str]

    @cached_property
    def version(self) -> str:
        """A hash of all names and contents; it does not depend on where the pack lies."""
        return digest_of(self.files)

    def path(self, file: str) -> Path:
        """Where a file is."""
        return self.root / file if self.root.is_dir() else self.root

    def mentions(self, class_types: Collection[str]) -> set[str]:
        """Which of the class types stand as a quoted text or as a class in the source."""
        if not class_types:
            return set()
        names = "|".join(re.escape(name) for name in sorted(class_types, key=len, reverse=True))
        pattern = re.compile(rf"""["']({names})["']|^\s*class\s+({names})\b""", re.MULTILINE)
        return {
            match[1] or match[2]
            for file in self.files
            if file.endswith(".py")
            for match in pattern.finditer(self.path(file).read_text(encoding="utf-8", errors="replace"))
        }


class SourceReader:
    """Reads the source of packs; files whose size, time and inode are those of before are not read again."""

    def __init__(self, records: Records | None = None) -> None:
        self._records = records or Records()

    def read(self, root: Path) -> PackSource:
        """The source of the pack in a folder or file.

        Raises:
            OSError: a file cannot be read.
        """
        return self._read(root, self._known(root))

    def mentions(self, root: Path, class_types: Collection[str]) -> set[str]:
        """Which of the class types the source of a pack mentions; answers are remembered for the same source.

        Raises:
            OSError: a file cannot be read.
        """
        known = self._known(root)
        source = self._read(root, known)
        if known.version != source.version:
            known.version, known.names = source.version, {}
        new = set(class_types) - known.names.keys()
        if new:
            found = source.mentions(new)
            if len(known.names) + len(new) <= _MOST_NAMES:
                known.names.update((name, name in found) for name in sorted(new))
                self._keep(root, known)
            return found | {name for name in class_types if known.names.get(name)}
        return {name for name in class_types if known.names[name]}

    def _known(self, root: Path) -> KnownSource:
        content = self._records.read(record_name(root, "source"))
        if content is None:
            return KnownSource()
        try:
            known = _KNOWN.validate_json(content)
        except ValidationError as error:
            logger.warning("what is known of the source of %s is damaged and made anew: %s", root, _first(error))
            return KnownSource()
        return known if known.format == _FORMAT else KnownSource()

    def _read(self, root: Path, known: KnownSource) -> PackSource:
        """The source; `known` is brought up to date, and kept when it changed."""
        seen: dict[str, Seen] = {}
        settled: dict[str, Seen] = {}
        now = time.time_ns()
        base = root if root.is_dir() else root.parent
        for path in source_files(root):
            file = path.relative_to(base).as_posix()
            stat = path.stat()
            stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
            before = known.files.get(file)
            if before is None or before[:3] != stamp:
                before = (*stamp, hashlib.sha256(path.read_bytes()).hexdigest())
            seen[file] = before
            # A file that was just written may be written again without another time: it is read anew next time.
            if now - stat.st_mtime_ns > _RECENT_NS:
                settled[file] = before
        if settled != known.files:
            known.files = settled
            self._keep(root, known)
        return PackSource(root, {file: entry[3] for file, entry in seen.items()})

    def _keep(self, root: Path, known: KnownSource) -> None:
        known.format = _FORMAT
        self._records.write(record_name(root, "source"), _KNOWN.dump_json(known))


def source_files(path: Path) -> Iterator[Path]:
    """The Python files of a pack, sorted; hidden folders, tests and virtual environments are left out.

    Compiled modules count as well.
    """
    if path.is_file():
        yield path
        return
    for folder, folders, files in walk(path):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        for file in sorted(files):
            if file.endswith(_ENDINGS):
                yield Path(folder, file)


def digest_of(named: Mapping[str, str]) -> str:
    """A hash (16 hex digits) of texts by name; their order does not count."""
    digest = hashlib.sha256()
    for name in sorted(named):
        digest.update(f"{len(name)}:{name}{len(named[name])}:{named[name]}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def _first(error: ValidationError) -> str:
    return str(error.errors(include_url=False)[0]["msg"])


def source_digest(path: Path) -> str:
    """A hash of the names and contents of a pack's code: the version of its nodes."""
    return SourceReader().read(path).version


def named_classes(path: Path, class_types: Collection[str]) -> set[str]:
    """Which of the class types stand as a quoted text or as a class in the pack's source."""
    return SourceReader().read(path).mentions(class_types)
