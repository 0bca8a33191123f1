"""Checks the files of a pack: which are there, and what those of Python say."""

import os
from collections.abc import Iterator
from pathlib import Path

from graphengine.packs.checking.findings import Finding, finding
from graphengine.packs.checking.python_code import check_python

_LARGEST = 4 * 2**20
_MOST_FILES = 50_000
_SKIPPED = frozenset({".git", "__pycache__"})
_BINARIES = (".so", ".pyd", ".dll", ".dylib", ".exe", ".com", ".scr", ".msi", ".jar", ".node")
_SCRIPTS = ("install.py", "prestartup_script.py")


def check_pack(root: Path) -> list[Finding]:
    """All findings in a pack, a folder or a file, by file and line."""
    found: list[Finding] = []
    for count, (name, path) in enumerate(_files(root), 1):
        if count > _MOST_FILES:
            found.append(finding(name, 1, "too_large", f"more than {_MOST_FILES} files; the others were not read"))
            break
        found.extend(_check_file(root, name, path))
    return sorted(set(found), key=lambda each: (each.file, each.line, each.code))


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Names relative to the pack, with `/`, and paths; folders behind links are not entered."""
    if not root.is_dir():
        yield root.name, root
        return
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        linked = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in (*linked, *sorted(files)):
            path = Path(folder, name)
            yield path.relative_to(root).as_posix(), path


def _check_file(root: Path, name: str, path: Path) -> Iterator[Finding]:
    if path.is_symlink():
        yield from _check_link(root, name, path)
        if path.is_dir() or not path.exists():
            return
    ending = path.suffix.lower()
    if ending in _BINARIES or ".so." in path.name.lower():
        yield finding(name, 1, "binary_file")
    elif ending == ".pyc":
        yield finding(name, 1, "compiled_python")
    elif ending in (".py", ".pyw"):
        yield from _check_text(name, path)
    if name in _SCRIPTS:
        yield finding(name, 1, "install_script")


def _check_link(root: Path, name: str, path: Path) -> Iterator[Finding]:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # it leads to nothing, or round in a circle
        yield finding(name, 1, "link_outside", "it leads to nothing")
        return
    if not target.is_relative_to(root.resolve()):
        yield finding(name, 1, "link_outside", f"to {target}")


def _check_text(name: str, path: Path) -> Iterator[Finding]:
    try:
        if not path.is_file():
            yield finding(name, 1, "unreadable", "it is no file")
            return
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        yield finding(name, 1, "unreadable", str(error.strerror))
        return
    if len(content) > _LARGEST:
        yield finding(name, 1, "too_large", f"more than {_LARGEST} bytes")
        return
    yield from check_python(name, content)
