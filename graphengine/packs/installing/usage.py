"""Which workflows of a folder use the nodes of which pack."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_LARGEST = 32 * 2**20
_MOST_FILES = 5_000
_SKIPPED = frozenset({"node_modules", "__pycache__", "custom_nodes", "models", "venv"})


def workflow_types(folder: Path) -> dict[str, frozenset[str]]:
    """The node types of each workflow below a folder, by its path relative to it. Other JSON is passed over."""
    found: dict[str, frozenset[str]] = {}
    for path in _json_files(folder):
        types = frozenset(_types(path))
        if types:
            found[path.relative_to(folder).as_posix()] = types
    return found


def used_by(nodes: Iterable[str], workflows: Mapping[str, frozenset[str]]) -> dict[str, tuple[str, ...]]:
    """The workflows that have any of these node types, with those that they have."""
    wanted = frozenset(nodes)
    return {name: tuple(sorted(types & wanted)) for name, types in workflows.items() if types & wanted}


def _json_files(folder: Path) -> Iterator[Path]:
    count = 0
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        for file in sorted(files):
            if file.endswith(".json"):
                count += 1
                if count > _MOST_FILES:
                    return
                yield Path(here, file)


def _types(path: Path) -> Iterator[str]:
    try:
        if path.stat().st_size > _LARGEST:
            return
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    yield from _types_in(document)


# Any: the file is anybody's; what is read is checked as it is read.
def _types_in(document: Any) -> Iterator[str]:
    """The node types of a document of either format, subgraphs included."""
    if not isinstance(document, dict):
        return
    listed = document.get("nodes")
    if isinstance(listed, list):
        yield from _typed(listed, "type")
        match document:
            case {"definitions": {"subgraphs": [*subgraphs]}}:
                for subgraph in subgraphs:
                    if isinstance(subgraph, dict) and isinstance(subgraph.get("nodes"), list):
                        yield from _typed(subgraph["nodes"], "type")
        return
    prompt = document.get("prompt")
    yield from _typed((prompt if isinstance(prompt, dict) else document).values(), "class_type")


def _typed(nodes: Iterable[Any], key: str) -> Iterator[str]:
    yield from (node[key] for node in nodes if isinstance(node, dict) and isinstance(node.get(key), str))
