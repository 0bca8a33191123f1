"""Which files the inputs of a node name, and what stands for their content in its key.

Three kinds of inputs name files: a choice of `Files`, an input that the class lists in `READS_FILES`, and, where a
class declares nothing (see `node.declared`) and has no `IS_CHANGED`, any text that is the path of a file or the
name of one in the input folder. Of such a text the key has both, the text and the bytes. Output nodes are left out
there: the path that they are given is what they write.

A node that takes a CLIP reads what `embedding:name` in its texts stands for, files of the kind "embeddings". Where
a link gives the text, any of them may be meant, so all count.
"""

import os
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from graphengine.errors import FileRefused
from graphengine.node.definition import Files, NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.node.folders import MODEL_SUFFIXES, Folders
from graphengine.node.types import type_members
from graphengine.workflow.models import Link, WorkflowNode

_LONGEST = 1024  # characters of a text that may be a path
_MOST_FILES = 10_000  # of a folder
_EMBEDDINGS = "embeddings"
_EMBEDDING = re.compile(r"embedding:(\S+)")
_BEHIND_NAME = re.compile(r"[:,()\[\]]")
_TEXTS = frozenset({"STRING", "*"})

Fingerprint = Callable[[Path], str]


def fingerprints(
    node: WorkflowNode, definition: NodeDefinition, folders: Folders, fingerprint: Fingerprint
) -> dict[str, str]:
    """Fingerprints of the files that inputs name, "absent" for those that are not there.

    By `file:` and the input for choices of files, whose names do not count, and by `path:` for texts.

    Raises:
        FileRefused: a choice of files leads out of its folder, or cannot be read.
    """
    found: dict[str, str] = {}
    for part, path in _named(node, definition, folders):
        if path is None:
            found[part] = "absent"
        elif part.startswith("file:"):
            found[part] = fingerprint(path)
        else:
            found[part] = _of_path(path, fingerprint)
    if definition.takes_clip:
        found |= _embeddings(node, definition, folders, fingerprint)
    return found


def paths(node: WorkflowNode, definition: NodeDefinition, folders: Folders) -> dict[str, str]:
    """Where the files are that inputs name, by input."""
    try:
        named = list(_named(node, definition, folders))
    except FileRefused:  # one has moved out of its folder since the key was made
        return {}
    return {part.partition(":")[2]: str(path.absolute()) for part, path in named if path is not None}


def is_named_by_link(node: WorkflowNode, definition: NodeDefinition) -> bool:
    """Whether a file that the node reads is named by what a link gives, so that no key can cover its bytes."""
    if any(type(node.inputs.get(name)) is Link for name in definition.reads_files):
        return True
    if not definition.has_files:
        return False
    specs = live_inputs(definition, node.inputs).values()
    return any(isinstance(spec.choices, Files) and type(node.inputs.get(spec.name)) is Link for spec in specs)


def _named(node: WorkflowNode, definition: NodeDefinition, folders: Folders) -> Iterator[tuple[str, Path | None]]:
    """The files by part of the key, None for one that is not there."""
    for spec in live_inputs(definition, node.inputs).values() if definition.has_files else ():
        value = node.inputs.get(spec.name)
        if isinstance(spec.choices, Files) and isinstance(value, str):
            yield f"file:{spec.name}", folders.find(spec.choices.kind, value)
    for name in definition.reads_files:
        value = node.inputs.get(name)
        if isinstance(value, str):
            yield f"path:{name}", _at(value, folders)
    if definition.is_declared or definition.has_fingerprint or definition.is_output:
        return
    for name, value in node.inputs.items():
        if type(value) is str and "." in value and len(value) <= _LONGEST and not _is_choice(definition, name):
            path = _at(value, folders)
            if path is not None and path.is_file():
                yield f"path:{name}", path


def _embeddings(
    node: WorkflowNode, definition: NodeDefinition, folders: Folders, fingerprint: Fingerprint
) -> dict[str, str]:
    """What stands for the embeddings that texts name, or for all where a text is not known."""
    found: dict[str, str] = {}
    for name, value in node.inputs.items():
        spec = definition.inputs.get(name)
        if type(value) is str and "embedding:" in value:
            for embedding in _EMBEDDING.findall(value):
                path = _embedding(embedding, folders)
                found[f"embedding:{embedding}"] = "absent" if path is None else _of_path(path, fingerprint)
        elif type(value) is Link and spec is not None and not type_members(spec.type).isdisjoint(_TEXTS):
            names = folders.files(_EMBEDDINGS)
            texts = (
                f"{len(each)}:{each}{_of_path(folders.path(_EMBEDDINGS, each), fingerprint)}" for each in names
            )
            if names:
                found[_EMBEDDINGS] = sha256("".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    return found


def _embedding(name: str, folders: Folders) -> Path | None:
    """The file of an embedding, named with or without its suffix, and maybe with punctuation behind it."""
    for written in dict.fromkeys((name, _BEHIND_NAME.split(name, maxsplit=1)[0])):
        for suffix in ("", *sorted(MODEL_SUFFIXES)):
            try:
                path = folders.find(_EMBEDDINGS, written + suffix) if written else None
            except FileRefused:  # the node itself will say so
                return None
            if path is not None:
                return path
    return None


def _is_choice(definition: NodeDefinition, name: str) -> bool:
    spec = definition.inputs.get(name)
    return spec is not None and spec.choices is not None


def _at(text: str, folders: Folders) -> Path | None:
    """What is at a path, as the process sees it, else the file of that name in the input folder."""
    try:
        if text and os.path.exists(text):
            return Path(text)
        return folders.find("input", text)
    except (FileRefused, OSError, ValueError):  # no name that a file can have
        return None


def _of_path(path: Path, fingerprint: Fingerprint) -> str:
    """What stands for a file, or for a folder: the names and contents of the files in it, without its folders."""
    try:
        if not path.is_dir():
            return fingerprint(path)
        names = sorted(entry.name for entry in os.scandir(path) if entry.is_file())
        if len(names) > _MOST_FILES:
            return f"a folder of {len(names)} files, last changed {path.stat().st_mtime_ns}"
        texts = (f"{len(name)}:{name}{fingerprint(path / name)}" for name in names)
        return f"folder:{sha256(''.join(texts).encode('utf-8', 'surrogatepass')).hexdigest()}"
    except (FileRefused, OSError):  # a device, or no permission; the node itself will say so
        return "unreadable"
