"""Documents in the terms of today's node types, by the rules of `upgrade_rules`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue

from graphengine.errors import node_label
from graphengine.workflow.api_format import ApiDocument, ApiNode
from graphengine.workflow.documents import Document
from graphengine.workflow.ui_models import UiDocument, parse_ui
from graphengine.workflow.upgrade_rules import RULES, Replacement, Rules


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was changed: in which document ("api" or "ui"), where, what and why."""

    document: str
    place: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what} ({self.why})"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A document after the change; without changes it is the one that was given."""

    document: Document
    changes: tuple[Change, ...] = ()


def upgrade_document(document: Document, rules: Rules = RULES) -> Upgrade:
    """The document with every rule applied that fits one of its nodes; the given one stays as it is."""
    changes: list[Change] = []
    upgraded = replace(
        document,
        api=_upgraded_api(document.api, rules, changes) if document.api is not None else None,
        ui=_upgraded_ui(document.ui, rules, changes) if document.ui is not None else None,
    )
    return Upgrade(upgraded, tuple(changes)) if changes else Upgrade(document)


def _upgraded_api(document: ApiDocument, rules: Rules, changes: list[Change]) -> ApiDocument:
    renamed = {rule.old: rule for rule in rules.replacements}
    nodes: dict[str, ApiNode] = {}
    for key, node in document.nodes.items():
        place = node_label(key, node.class_type)
        inputs, class_type = dict(node.inputs), node.class_type
        if rule := renamed.get(class_type):
            class_type, inputs = rule.new, _renamed_inputs(inputs, rule)
            changes.append(_replaced("api", place, rule))
        for added in rules.additions:
            if added.class_type == class_type and added.input_name not in inputs:
                inputs[added.input_name] = added.value
                what = f"input {added.input_name!r} is set to {added.value!r}"
                changes.append(Change("api", place, what, added.why))
        nodes[key] = node.model_copy(update={"class_type": class_type, "inputs": inputs})
    return document.model_copy(update={"nodes": nodes})


def _renamed_inputs(inputs: Mapping[str, Any], rule: Replacement) -> dict[str, Any]:
    """The inputs under their new names, without those that are gone."""
    names = {name: rule.inputs.get(name, name) for name in inputs}
    return {new: inputs[old] for old, new in names.items() if new is not None}


def _replaced(document: str, place: str, rule: Replacement) -> Change:
    return Change(document, place, f"is a {rule.new!r} now", rule.why)


def _upgraded_ui(document: UiDocument, rules: Rules, changes: list[Change]) -> UiDocument:
    renamed = {rule.old: rule for rule in rules.replacements}
    raw = json.loads(json.dumps(document.to_json()))  # a copy, several times as fast as deepcopy
    before = len(changes)
    for where, node in _ui_nodes(raw):
        rule = renamed.get(node["type"]) if isinstance(node.get("type"), str) else None
        if rule is not None:
            changes.append(_replaced("ui", f"node {node.get('id')} ({node['type']}){where}", rule))
            _replace_ui_node(node, rule)
    return parse_ui(raw) if len(changes) > before else document


# Any: nodes of the editor are open-ended JSON.
def _ui_nodes(raw: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node with the place it stands in: nothing, or ` in subgraph 'Refine'`."""
    waiting: list[tuple[str, Any]] = [("", raw)]
    while waiting:
        where, graph = waiting.pop()
        if not isinstance(graph, dict):
            continue
        nodes = graph.get("nodes")
        yield from ((where, node) for node in (nodes if isinstance(nodes, list) else ()) if isinstance(node, dict))
        match graph.get("definitions"):
            case {"subgraphs": list(subgraphs)}:
                waiting.extend((f" in subgraph {_name(each)!r}", each) for each in subgraphs)
        match graph.get("extra"):
            case {"groupNodes": dict(groups)}:
                waiting.extend((f" in group node {name!r}", each) for name, each in groups.items())


def _name(subgraph: object) -> object:
    return subgraph.get("name") or subgraph.get("id") if isinstance(subgraph, dict) else None


def _replace_ui_node(node: dict[str, Any], rule: Replacement) -> None:
    """Rename type, slots and values; slots of inputs that are gone stay, since links count slots."""
    node["type"] = rule.new
    match node.get("properties"):
        case {"Node name for S&R": name, **others} if name == rule.old:
            node["properties"] = {"Node name for S&R": rule.new, **others}
    for slot in node.get("inputs") or ():
        slot["name"] = rule.inputs.get(slot["name"]) or slot["name"]
        match slot.get("widget"):
            case {"name": str(name)} as widget:
                slot["widget"] = {**widget, "name": rule.inputs.get(name) or name}
    match node.get("widgets_values"):
        case dict() as values:
            node["widgets_values"] = _renamed_inputs(values, rule)
        case list() as values if rule.widgets:
            node["widgets_values"] = _reordered(values, rule)


def _reordered(values: list[JsonValue], rule: Replacement) -> list[JsonValue]:
    """The values in the order of today's widgets; a list of another length is of another version and stays."""
    if len(values) < len(rule.widgets):
        return values
    names = [rule.inputs.get(name, name) for name in rule.widgets]
    by_name = dict(zip(names, values, strict=False))
    return [by_name[name] for name in rule.order if name in by_name] + values[len(rule.widgets) :]
