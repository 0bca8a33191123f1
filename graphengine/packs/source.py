"""What the source files of a pack say without running them."""

import hashlib
import logging
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from graphengine.packs.records import Records, record_name

logger = logging.getLogger(__name__)

_SKIPPED = frozenset({"__pycache__", "node_modules", "tests", "venv"})
_ENDINGS = (".py", *EXTENSION_SUFFIXES)
_RECENT_NS = 2 * 10**9
_WORD = re.compile(
    r"""
    "(?=([^"\n]{1,120})") | '(?=([^'\n]{1,120})') | ^[ \t]*class[ \t]+(\w+)
    """,
    re.MULTILINE | re.VERBOSE,
)

#: Size, modification time (ns), inode and digest of a file when it was read.
Seen = tuple[int, int, int, str]


@dataclass(frozen=True, slots=True)
class _KnownFiles:
    """The files of a pack when they were read last; `root` is its folder or file."""

    format: int
    files: dict[str, Seen]
    root: str = ""


@dataclass(frozen=True, slots=True)
class _KnownWords:
    """What may be a node type in the source of a version: quoted texts, and names of classes."""

    format: int
    version: str
    words: frozenset[str]


_FORMAT = 1
_FILES = TypeAdapter(_KnownFiles)
_WORDS = TypeAdapter(_KnownWords)


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

    def words(self) -> frozenset[str]:
        """All that stands quoted on one line, and the names of classes: what may be a node type."""
        texts = (
            self.path(file).read_text(encoding="utf-8", errors="replace")
            for file in self.files
            if file.endswith(".py")
        )
        return frozenset(match[match.lastindex or 0] for text in texts for match in _WORD.finditer(text))


class SourceReader:
    """Reads the source of packs; files whose size, time and inode are those of before are not read again."""

    def __init__(self, records: Records | None = None) -> None:
        self._records = records or Records()
        self._last: dict[Path, PackSource] = {}
        self._words: dict[tuple[Path, str], frozenset[str]] = {}

    def read(self, root: Path) -> PackSource:
        """The source of the pack in a folder or file.

        Raises:
            OSError: a file cannot be read.
        """
        known = self._known_files(root)
        seen: dict[str, Seen] = {}
        settled: dict[str, Seen] = {}
        now = time.time_ns()
        base = os.path.join(root if root.is_dir() else root.parent, "")
        for name in source_files(root):
            file = name.removeprefix(base).replace(os.sep, "/")
            status = os.stat(name)
            stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
            before = known.get(file)
            if before is None or before[:3] != stamp:
                before = (*stamp, hashlib.sha256(Path(name).read_bytes()).hexdigest())
            seen[file] = before
            # A file that was just written may be written again without another time: it is read anew next time.
            if now - status.st_mtime_ns > _RECENT_NS:
                settled[file] = before
        if settled != known:
            kept = _FILES.dump_json(_KnownFiles(_FORMAT, settled, _as_text(root)))
            self._records.write(record_name(root, "files"), kept)
        self._last[root] = PackSource(root, {file: entry[3] for file, entry in seen.items()})
        return self._last[root]

    def mentions(self, root: Path, class_types: Collection[str]) -> set[str]:
        """Which of the class types stand in the source of a pack, as it was when it was read last.

        Raises:
            OSError: a file cannot be read.
        """
        source = self._last.get(root) or self.read(root)
        key = (root, source.version)
        if key not in self._words:
            self._words[key] = self._known_words(source) or self._new_words(source)
        return set(self._words[key].intersection(class_types))

    def _known_files(self, root: Path) -> Mapping[str, Seen]:
        content = self._records.read(record_name(root, "files"))
        try:
            known = _KnownFiles(_FORMAT, {}) if content is None else _FILES.validate_json(content)
        except ValidationError as error:
            logger.warning("what is known of the source of %s is damaged and made anew: %s", root, _first(error))
            return {}
        return known.files if known.format == _FORMAT else {}

    def _known_words(self, source: PackSource) -> frozenset[str] | None:
        content = self._records.read(record_name(source.root, "words"))
        try:
            known = None if content is None else _WORDS.validate_json(content)
        except ValidationError as error:
            logger.warning("what %s is known to name is damaged and made anew: %s", source.root, _first(error))
            return None
        current = known is not None and (known.format, known.version) == (_FORMAT, source.version)
        return known.words if known is not None and current else None

    def _new_words(self, source: PackSource) -> frozenset[str]:
        words = source.words()
        content = _WORDS.dump_json(_KnownWords(_FORMAT, source.version, words))
        self._records.write(record_name(source.root, "words"), content)
        return words


def _as_text(root: Path) -> str:
    """Where a pack lies, "" where the name is no valid text."""
    path = os.path.abspath(root)
    return path if path.isprintable() else ""


def forget_removed(records: Records) -> int:
    """Remove what is kept of packs that are not there any more; how many packs."""
    removed = 0
    for name in records.names(".files"):
        content = records.read(name)
        try:
            root = _FILES.validate_json(content or b"").root
        except ValidationError:  # of another version, or damaged: whoever reads it next says so
            continue
        if root and not os.path.lexists(root):
            records.forget(name.removesuffix("files"))
            removed += 1
    return removed


def source_files(path: Path) -> Iterator[str]:
    """Paths of the Python files of a pack, sorted; hidden folders, tests and virtual environments are left out.

    Compiled modules count as well; what is no file does not, such as a link that leads nowhere or a pipe.
    """
    if path.is_file():
        yield str(path)
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if _is_searched(name))
        for file in sorted(files):
            path_of_file = os.path.join(folder, file)
            # editors mark a file that is edited by a link of a like name that leads nowhere
            if file.endswith(_ENDINGS) and os.path.isfile(path_of_file):
                yield path_of_file


def is_source(file: str) -> bool:
    """Whether a file counts as source of its pack, by its path relative to the pack."""
    *folders, name = file.split(os.sep)
    return name.endswith(_ENDINGS) and all(map(_is_searched, folders))


def _is_searched(folder: str) -> bool:
    return folder not in _SKIPPED and not folder.startswith(".")


def digest_of(named: Mapping[str, str]) -> str:
    """A hash (16 hex digits) of texts by name; their order does not count."""
    digest = hashlib.sha256()
    for name in sorted(named):
        digest.update(f"{len(name)}:{name}{len(named[name])}:{named[name]}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def _first(error: ValidationError) -> str:
    return str(error.errors(include_url=False)[0]["msg"])
