"""A workflow as lines of text, a line for each node and input, so that git can compare them line by line.

Git starts a process for each version of each file, so nothing is imported here but the standard library: the
models of documents alone would take five times as long as all the rest.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

# Any throughout: documents are open-ended JSON.
Json = Mapping[str, Any]

_MOST_BYTES = 64 * 1024**2
_MOST_BRACKETS = 4_000_000  # of objects and lists, each of which takes far more memory than text
_STATES = {2: " (muted)", 4: " (bypassed)"}


def write_outline(file: str, stream: BinaryIO) -> None:
    """Write the outline of a file to a stream; a file that is no workflow is written as it is."""
    with open(file, "rb") as source:
        data = source.read()
    lines = outline_of(data)
    stream.write(data if lines is None else ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
    stream.flush()


def outline_of(data: bytes) -> list[str] | None:
    """The outline of a JSON text, None when it is no workflow."""
    if len(data) > _MOST_BYTES or data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] != b"{":
        return None
    if data.count(b"{") + data.count(b"[") > _MOST_BRACKETS:
        return None
    try:
        raw = json.loads(data.decode("utf-8-sig"))
        return list(outline(raw)) or None
    except (ValueError, RecursionError, TypeError, AttributeError, KeyError):  # in some other form: shown as text
        return None


def outline(raw: Json) -> Iterator[str]:
    """What a document says; where things are drawn is left out. Values without a name are numbered.

    Raises:
        TypeError, AttributeError, KeyError: the document is in no form that is known.
    """
    if isinstance(raw.get("nodes"), list):
        graphs = (raw.get("definitions") or {}).get("subgraphs") or []
        names = {str(graph["id"]): str(graph.get("name")) for graph in graphs}
        yield from _graph(raw, names)
        for graph in sorted(graphs, key=lambda each: str(each["id"])):
            yield f"subgraph {_text(graph.get('name'))}"
            yield from _graph(graph, names)
        return
    inner = raw.get("prompt")
    nodes = inner if isinstance(inner, dict) and "class_type" not in inner else raw
    for key in sorted((key for key, node in nodes.items() if _is_api_node(node)), key=_order):
        node = nodes[key]
        title = (node.get("_meta") or {}).get("title")
        yield f"node {key} {node['class_type']}" + (f" {_text(title)}" if title else "")
        for name, value in (node.get("inputs") or {}).items():
            yield from _value(name, value)


def _is_api_node(node: Any) -> bool:
    return isinstance(node, dict) and "class_type" in node


def _order(id_: Any) -> tuple[int, int, str]:
    text = str(id_)
    return (0, int(text), text) if text.isdecimal() and len(text) < 20 else (1, 0, text)


def _graph(graph: Json, names: Mapping[str, str]) -> Iterator[str]:
    links = {str(_ends(link)[0]): _ends(link) for link in graph.get("links") or [] if link}
    for node in sorted(graph["nodes"], key=lambda each: _order(each["id"])):
        title = f" {_text(node['title'])}" if node.get("title") else ""
        type_ = names.get(node["type"], node["type"])
        yield f"node {node['id']} {type_}{title}{_STATES.get(node.get('mode') or 0, '')}"
        values = node.get("widgets_values") or []
        named = values.items() if isinstance(values, dict) else enumerate(values, 1)
        for name, value in named:
            yield from _value(name if isinstance(name, str) else f"widget {name}", value)
        for slot in node.get("inputs") or []:
            if (link := links.get(str(slot.get("link")))) is not None:
                yield from _value(slot["name"], list(link[1:3]))
    yield from (f"{key} {slot.get('name')}" for key in ("inputs", "outputs") for slot in graph.get(key) or [])


def _ends(link: Any) -> tuple[Any, Any, Any]:
    """The id of a link, and where it begins."""
    if isinstance(link, dict):
        return link["id"], link["origin_id"], link["origin_slot"]
    return link[0], link[1], link[2]


def _value(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, str) and "\n" in value:
        yield f"  {name} ="
        yield from (f"    {line}" for line in value.splitlines())
    else:
        yield f"  {name} = {_text(value)}"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
