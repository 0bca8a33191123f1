"""What the source files of a pack say without running them."""

import hashlib
import re
from collections.abc import Collection, Iterator
from os import walk
from pathlib import Path

_SKIPPED = frozenset({"__pycache__", "node_modules", "tests", "venv"})


def source_files(path: Path) -> Iterator[Path]:
    """The Python files of a pack, sorted; hidden folders, tests and virtual environments are left out."""
    if path.is_file():
        yield path
        return
    for folder, folders, files in walk(path):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        for file in sorted(files):
            if file.endswith(".py"):
                yield Path(folder, file)


def source_digest(path: Path) -> str:
    """A hash of the names and contents of a pack's Python files: the version of its nodes."""
    digest = hashlib.sha256()
    root = path if path.is_dir() else path.parent
    for file in source_files(path):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def named_classes(path: Path, class_types: Collection[str]) -> set[str]:
    """Which of the class types stand as a quoted text or as a class in the pack's source."""
    if not class_types:
        return set()
    names = "|".join(re.escape(name) for name in sorted(class_types, key=len, reverse=True))
    pattern = re.compile(rf"""["']({names})["']|^\s*class\s+({names})\b""", re.MULTILINE)
    return {
        match[1] or match[2]
        for file in source_files(path)
        for match in pattern.finditer(file.read_text(encoding="utf-8", errors="replace"))
    }
