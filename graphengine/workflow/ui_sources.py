"""Where the editor's document says that node types and models come from.

The editor notes on each node which pack defines it (`cnr_id`, `aux_id`, `ver`), and template authors list the
models that a node names (`models`: name, url, directory, hash). Both stand in the node's `properties`. Documents
come from strangers: what has another form is left out, and only http addresses are passed on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Any: the editor's document is open-ended JSON; each value is looked at before it is used.
_Json = Mapping[str, Any]

_CORE = "comfy-core"
_LONGEST = 300  # characters of an address or name that are passed on


@dataclass(frozen=True, slots=True)
class PackSource:
    """The pack that defines a node type: its `name` in the registry of packs, its `repository` on GitHub."""

    name: str | None
    repository: str | None
    version: str | None

    @property
    def is_core(self) -> bool:
        """Whether it is no pack but a part of ComfyUI."""
        return self.name == _CORE

    def __str__(self) -> str:
        version = f" (version {self.version})" if self.version else ""
        if self.is_core:
            return f"ComfyUI itself{version}"
        parts = [repr(self.name)] if self.name else []
        parts += [f"https://github.com/{self.repository}"] if self.repository else []
        return " at ".join(parts) + version


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model that a node names: its file, the kind of folder it belongs to, and where to get it."""

    name: str
    directory: str
    url: str | None = None
    hash: str | None = None

    def __str__(self) -> str:
        parts = [f"get it from {self.url}"] if self.url else []
        parts += [f"its hash is {self.hash}"] if self.hash else []
        return ", ".join(parts)


def pack_sources(ui: _Json) -> dict[str, PackSource]:
    """The pack of each node type that the document names one for."""
    found: dict[str, PackSource] = {}
    for node in _nodes(ui):
        properties = node.get("properties")
        class_type = node.get("type")
        if not isinstance(properties, dict) or not isinstance(class_type, str) or class_type in found:
            continue
        name, repository = _text(properties.get("cnr_id")), _text(properties.get("aux_id"))
        if name or repository:
            found[class_type] = PackSource(name, repository, _text(properties.get("ver")))
    return found


def model_sources(ui: _Json) -> dict[str, ModelSource]:
    """The models that the document lists, by file name without folders; the first of a name counts."""
    found: dict[str, ModelSource] = {}
    lists = [ui.get("models"), *(_mapping(node.get("properties")).get("models") for node in _nodes(ui))]
    for entry in (each for entries in lists if isinstance(entries, list) for each in entries):
        model = _model(entry)
        if model is not None:
            found.setdefault(file_name(model.name), model)
    return found


def file_name(path: str) -> str:
    """The last part of a model's name, whichever slashes it was saved with."""
    return path.replace("\\", "/").rpartition("/")[2]


def _model(entry: object) -> ModelSource | None:
    given = _mapping(entry)
    name, directory, url = _text(given.get("name")), _text(given.get("directory")), _text(given.get("url"))
    if name is None or directory is None:
        return None
    kind, digest = _text(given.get("hash_type")), _text(given.get("hash"))
    shown = f"{kind}:{digest}" if kind and digest else digest
    return ModelSource(name, directory, url if url and url.startswith(("https://", "http://")) else None, shown)


def _nodes(ui: _Json) -> Iterator[_Json]:
    """The nodes of the document, of its subgraphs, however nested, and of its group nodes."""
    waiting: list[_Json] = [ui]
    while waiting:
        graph = waiting.pop()
        yield from (node for node in _items(graph.get("nodes")) if isinstance(node, dict))
        subgraphs = _items(_mapping(graph.get("definitions")).get("subgraphs"))
        groups = _mapping(_mapping(graph.get("extra")).get("groupNodes")).values()
        waiting.extend(inner for inner in (*subgraphs, *groups) if isinstance(inner, dict))


def _mapping(value: object) -> _Json:
    return value if isinstance(value, dict) else {}


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST else None
