"""What a pack holds, read from its text: nodes, version, licence. Nothing of it is imported."""

import ast
import re
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphengine.errors import InstallRefused
from graphengine.packs.source import source_files

_MAPPINGS = "NODE_CLASS_MAPPINGS"
_ENTRY_POINT = "comfy_entrypoint"
_LARGEST = 16 * 2**20
_LICENCE_FILES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "LICENCE.md", "LICENCE.txt", "COPYING")
#: How the texts of licences begin, the longer names first.
_LICENCES = (
    ("AGPL-3.0", r"affero general public license"), ("LGPL", r"lesser general public license"),
    ("GPL-3.0", r"gnu general public license\s+version 3"), ("GPL-2.0", r"gnu general public license\s+version 2"),
    ("Apache-2.0", r"apache license\s+version 2"), ("MPL-2.0", r"mozilla public license version 2"),
    ("MIT", r"permission is hereby granted, free of charge"),
    ("BSD", r"redistribution and use in source and binary"),
    ("Unlicense", r"free and unencumbered software"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PackContents:
    """`nodes` are the node types that the text names; a pack that computes their names has more.

    `has_nodes` says that a mapping or an entry point is there. `warnings` name files that cannot be read.
    """

    nodes: tuple[str, ...] = ()
    has_nodes: bool = False
    version: str | None = None
    licence: str | None = None
    warnings: tuple[str, ...] = ()


def read_contents(name: str, path: Path) -> PackContents:
    """What the pack in a folder or file holds."""
    names: dict[str, None] = {}
    warned: list[str] = []
    has_nodes = False
    for file in map(Path, source_files(path)):
        if file.suffix != ".py":
            continue
        tree = _parsed(name, file, path, warned)
        if tree is not None:
            found = list(_defined(tree))
            has_nodes = has_nodes or bool(found)
            names.update((class_type, None) for class_type in found if class_type)
    version, licence = _described(path) if path.is_dir() else (None, None)
    return PackContents(tuple(names), has_nodes, version, licence, tuple(warned))


def check_contents(name: str, folder: Path, asked: str) -> PackContents:
    """What a folder that shall be installed as a pack holds.

    Raises:
        InstallRefused: it has no `__init__.py` that Python can read, or no nodes.
    """
    if not (folder / "__init__.py").is_file():
        nested = sorted(path.parent.name for path in folder.glob("*/__init__.py"))
        hint = f"packs seem to lie in its folders {', '.join(nested[:5])}: give one of them" if nested else None
        raise InstallRefused(
            f"{asked} is no node pack: it has no __init__.py", hint=hint or "check that it is a pack for ComfyUI"
        )
    contents = read_contents(name, folder)
    broken = [text for text in contents.warnings if f"{name}/__init__.py" in text]
    if broken:
        raise InstallRefused(
            f"pack {name!r} cannot be imported: {broken[0]}", hint="give another version, or tell its author"
        )
    if not contents.has_nodes:
        raise InstallRefused(
            f"{asked} has no nodes: no file has {_MAPPINGS} or {_ENTRY_POINT}",
            hint="check that it is a pack for ComfyUI",
        )
    return contents


def _parsed(name: str, file: Path, root: Path, warned: list[str]) -> ast.Module | None:
    shown = f"{name}/{file.relative_to(root).as_posix()}" if root.is_dir() else file.name
    try:
        content = file.read_bytes()
    except OSError as error:
        warned.append(f"{shown} cannot be read: {error.strerror}")
        return None
    if len(content) > _LARGEST:
        warned.append(f"{shown} is larger than {_LARGEST // 2**20} MiB")
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an author's invalid escapes are not our user's concern
            return ast.parse(content)
    except SyntaxError as error:
        line = error.lineno or _undecodable_line(content)
        warned.append(f"{shown}, line {line}: {error.msg}")
    except (ValueError, RecursionError, MemoryError) as error:
        warned.append(f"{shown}, line {_undecodable_line(content)}: {error or type(error).__name__}")
    return None


def _undecodable_line(content: bytes) -> int:
    """The line of the first byte that is no UTF-8; 1 when all are."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return content.count(b"\n", 0, error.start) + 1
    return 1


def _defined(tree: ast.Module) -> Iterator[str]:
    """The node types that a module maps; an empty text where it has a mapping without telling what is in it."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[*targets], value=value) if any(map(_is_mapping, targets)):
                yield from _keys(value)
            case ast.AnnAssign(target=target, value=ast.expr() as value) if _is_mapping(target):
                yield from _keys(value)
            case ast.Assign(targets=[ast.Subscript(value=mapping, slice=ast.Constant(value=str(key)))]) if (
                _is_mapping(mapping)
            ):
                yield key
            case ast.Call(func=ast.Attribute(value=mapping, attr="update"), args=[value]) if _is_mapping(mapping):
                yield from _keys(value)
            case ast.keyword(arg="node_id", value=ast.Constant(value=str(key))):
                yield key
            case _ if _announces(node):
                yield ""


def _announces(node: ast.AST) -> bool:
    """Whether a statement brings a mapping from another module, or an entry point."""
    match node:
        case ast.ImportFrom(names=names):
            return any((name.asname or name.name) in (_MAPPINGS, _ENTRY_POINT) for name in names)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name == _ENTRY_POINT
    return False


def _is_mapping(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == _MAPPINGS


def _keys(value: ast.expr) -> Iterator[str]:
    yield ""
    match value:
        case ast.Dict(keys=keys):
            yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


# Any: the file is its author's; what is read is checked as it is read.
def _described(folder: Path) -> tuple[str | None, str | None]:
    """Version and licence of a pack, as pyproject.toml or a licence file says."""
    try:
        document: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        document = {}
    project = document.get("project")
    version = licence = None
    match project:
        case {"version": str(text)}:
            version = text[:100]
    match project:
        case {"license": str(text)} | {"license": {"text": str(text)}}:
            licence = _named_licence(text) or text.strip().partition("\n")[0][:60]
    return version, licence or _licence_of_file(folder)


def _licence_of_file(folder: Path) -> str | None:
    for name in _LICENCE_FILES:
        try:
            text = (folder / name).read_bytes()[:20_000].decode("utf-8", "replace")
        except OSError:
            continue
        return _named_licence(text) or f"see {name}"
    return None


def _named_licence(text: str) -> str | None:
    plain = " ".join(text.lower().split())
    return next((name for name, pattern in _LICENCES if re.search(pattern, plain)), None)
