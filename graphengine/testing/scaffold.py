"""A new node pack: two nodes that pass all checks, their tests, and what a repository of it needs."""

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Literal

from graphengine.errors import GraphEngineError

Style = Literal["v1", "typed"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def write_pack(folder: Path, style: Style) -> list[Path]:
    """Write a pack into a new folder, which its name is taken from, and give the files.

    Raises:
        GraphEngineError: the name cannot be one of a pack, or the folder has something in it.
        OSError: a file cannot be written.
    """
    name = folder.name
    if not _NAME.fullmatch(name):
        raise GraphEngineError(
            f"{name!r} is no name for a pack", hint="use letters, digits, '-' and '_', a letter first: my-nodes"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GraphEngineError(f"there is something at {str(folder)!r} already", hint="choose another name")
    words = [word for word in re.split(r"[-_]+", name) if word]
    values = {
        "name": name,
        "distribution": name.lower().replace("_", "-"),
        "title": " ".join(words),
        "prefix": "".join(word[0].upper() + word[1:] for word in words),
    }
    written = []
    for path, content in _templates(style):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(Template(content).substitute(values), encoding="utf-8")
        written.append(file)
    return written


def _templates(style: Style) -> Iterator[tuple[str, str]]:
    """The places and texts of the files; `gitignore` and `github` stand without the dot they get."""
    root = files("graphengine.testing") / "scaffolds"
    for source in (root / "both", root / style):
        for path, file in _below(source):
            place = re.sub(r"^(gitignore|github)\b", r".\1", path.removesuffix(".txt"))
            yield place, file.read_text(encoding="utf-8")


def _below(folder: Traversable) -> Iterator[tuple[str, Traversable]]:
    waiting = [("", folder)]
    while waiting:
        prefix, current = waiting.pop()
        for entry in sorted(current.iterdir(), key=lambda entry: entry.name):
            path = f"{prefix}{entry.name}"
            if entry.is_dir():
                waiting.append((f"{path}/", entry))
            else:
                yield path, entry
