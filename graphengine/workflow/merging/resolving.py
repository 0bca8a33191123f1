"""Conflicts of a merged document: reading them, and settling one after the other."""

from typing import Any, Literal

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.canonical import canonical, is_ui
from graphengine.workflow.merging.documents import parts_of
from graphengine.workflow.merging.merge_nodes import WHOLE
from graphengine.workflow.merging.parts import GraphParts, api_nodes, ui_graph

# Any throughout: documents are open-ended JSON.
Json = dict[str, Any]
Choice = Literal["ours", "theirs"]


def conflicts_of(document: Json) -> list[Json]:
    """The conflicts that a document keeps; what is not in their form is left out."""
    if is_ui(document):
        extra = document.get("extra")
        found = extra.get("conflicts") if isinstance(extra, dict) else None
        return _readable(found)
    lists = (node["_meta"].get("conflicts") for node in document.values() if isinstance(node.get("_meta"), dict))
    return [each for found in lists for each in _readable(found)]


def _readable(found: Any) -> list[Json]:
    return [
        each
        for each in (found if isinstance(found, list) else [])
        if isinstance(each, dict)
        and all(isinstance(each.get(key), str) for key in ("graph", "node", "part", "input"))
    ]


def place_of(conflict: Json) -> str:
    """How people name a conflict: `6.seed`, `6` for a whole node, `extra.name` for the document."""
    if conflict["part"] == WHOLE:
        return str(conflict["node"])
    return f"{conflict['node']}.{conflict['input']}" if conflict["node"] else str(conflict["input"])


def settle(document: Json, conflict: Json, choice: Choice) -> Json:
    """The document with one conflict settled and gone from its list.

    Raises:
        WorkflowFormatError: its node or graph is not there any more.
    """
    without = _without(document, conflict)
    if conflict["part"].startswith("document:"):
        return canonical(_with_fact(without, conflict, choice))
    graph, parts = parts_of(without, conflict["graph"])
    key, part = conflict["node"], conflict["part"]
    if key not in parts.nodes:
        raise WorkflowFormatError(f"there is no node {key} any more", hint="merge anew, or edit the document")
    if part == WHOLE:
        if conflict.get(choice) == "deleted":
            del parts.nodes[key]
            _cut(parts, key)
    else:
        _set(parts, key, part, conflict, choice)
    if not is_ui(without):
        return canonical(api_nodes(parts))
    made = ui_graph(graph, parts, [parts.link_facts])
    if graph is without:
        return canonical(made)
    subgraphs = [made if each is graph else each for each in without["definitions"]["subgraphs"]]
    return canonical({**without, "definitions": {**without["definitions"], "subgraphs": subgraphs}})


def _set(parts: GraphParts, key: str, part: str, conflict: Json, choice: Choice) -> None:
    node = parts.nodes[key]
    if part.startswith("widget:"):
        at, values = int(part.partition(":")[2]), list(node.get("widgets", []))
        if at < len(values) and choice in conflict:
            values[at] = conflict[choice]
        node["widgets"] = values
    elif choice in conflict:
        node[part] = conflict[choice]
    else:
        node.pop(part, None)


def _cut(parts: GraphParts, gone: str) -> None:
    """Take away the links of API nodes to a node that is gone; those of the editor are left out when written."""
    for node in parts.nodes.values():
        for part in [name for name, value in node.items() if name.startswith("input:") and _leads_to(value, gone)]:
            del node[part]


def _leads_to(value: Any, key: str) -> bool:
    return isinstance(value, list) and len(value) == 2 and value[0] == key and isinstance(value[1], int)


def _without(document: Json, conflict: Json) -> Json:
    if is_ui(document):
        left = [each for each in document["extra"]["conflicts"] if each != conflict]
        extra = {name: value for name, value in document["extra"].items() if name != "conflicts"}
        return {**document, "extra": {**extra, **({"conflicts": left} if left else {})}}
    node = document[conflict["node"]]
    left = [each for each in node["_meta"]["conflicts"] if each != conflict]
    meta = {name: value for name, value in node["_meta"].items() if name != "conflicts"}
    meta |= {"conflicts": left} if left else {}
    bare = {name: value for name, value in node.items() if name != "_meta"}
    return {**document, conflict["node"]: {**bare, **({"_meta": meta} if meta else {})}}


def _with_fact(document: Json, conflict: Json, choice: Choice) -> Json:
    """The document with what stands beside its nodes; of subgraphs only ours can be kept."""
    if conflict["graph"]:
        return document
    name = conflict["input"]
    value = {name.removeprefix("extra."): conflict[choice]} if choice in conflict else {}
    if name.startswith("extra."):
        kept = {each: old for each, old in document["extra"].items() if f"extra.{each}" != name}
        return {**document, "extra": {**kept, **value}}
    return {**{each: old for each, old in document.items() if each != name}, **value}
