"""The documents of a workflow as others may see them: in pictures, records and listings no secret stands.

A secret is the value of an input that is named or declared so (see `node.secrets`), the texts that a node gives to
such an input over a link, and whatever looks like a token. Nodes are called with the real values.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from graphengine.node.definition import NodeDefinition
from graphengine.node.secrets import (
    HIDDEN,
    has_token,
    is_secret_name,
    secret_inputs,
    without_secret,
    without_tokens,
)
from graphengine.workflow.api_format import workflow_to_api
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
from graphengine.workflow.ui_models import UiNode
from graphengine.workflow.ui_widgets import widget_values

Define = Callable[[str], NodeDefinition | None]
_SHORTEST = 6  # characters of a secret that is looked for inside of other texts
_MOST_BEHIND = 64  # nodes that give texts to one secret input


def unknown(class_type: str) -> None:
    """The definition of a class where none is known."""


# No slots: parts are worked out when they are asked for.
@dataclass(frozen=True)
class OpenDocuments:
    """A workflow's documents without secrets. `define` gives the definition of a class as far as it is known."""

    workflow: Workflow
    define: Define = field(default=unknown, repr=False)

    @property
    def hidden(self) -> Mapping[NodeId, frozenset[str]]:
        """The inputs that hold secrets, by node."""
        return self._secrets[0]

    @property
    def givers(self) -> frozenset[NodeId]:
        """The nodes that give a secret to others: what they give is not to be kept either."""
        return self._secrets[1]

    @cached_property
    def _secrets(self) -> tuple[Mapping[NodeId, frozenset[str]], frozenset[NodeId]]:
        found: dict[NodeId, set[str]] = {}
        givers: set[NodeId] = set()
        of_class: dict[str, frozenset[str]] = {}
        for node_id, node in self.workflow.nodes.items():
            names = of_class.get(node.class_type)
            if names is None:
                definition = self.define(node.class_type)
                names = frozenset(secret_inputs(definition.inputs)) if definition is not None else frozenset()
                of_class[node.class_type] = names
            secret = {name for name in node.inputs if name in names or is_secret_name(name)}
            if secret:
                found.setdefault(node_id, set()).update(secret)
                for source, texts in self._behind(node.inputs[name] for name in secret):
                    found.setdefault(source, set()).update(texts)
                    givers.add(source)
        return {node_id: frozenset(names) for node_id, names in found.items() if names}, frozenset(givers)

    @cached_property
    def nodes(self) -> Mapping[NodeId, WorkflowNode]:
        """The nodes, secrets replaced; those that hold none are the same objects."""
        made = dict(self.workflow.nodes)
        for node_id, node in made.items():
            names = self.hidden.get(node_id, frozenset())
            changed = {
                name: replaced
                for name, value in node.inputs.items()
                if type(value) is not Link and (replaced := self._open(value, is_secret=name in names)) != value
            }
            if changed:
                made[node_id] = replace(node, inputs={**node.inputs, **changed})
        return made

    @cached_property
    def api(self) -> dict[str, Any]:
        """The API document."""
        return workflow_to_api(Workflow(self.nodes))

    @cached_property
    def drawn(self) -> Mapping[str, Any] | None:
        """The editor's document, None where there is none."""
        return None if self.workflow.ui is None else self.of_editor(self.workflow.ui)

    # Any throughout: documents are open-ended JSON.
    def of_editor(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """An editor's document without secrets; one that holds none is the same object."""
        slots = {id(node): texts for node in _drawn_nodes(document) if (texts := self._texts_of_drawn(node))}
        text = json.dumps(document, ensure_ascii=False, default=str)
        written = (json.dumps(each, ensure_ascii=False)[1:-1] for each in self._texts)
        if not slots and not has_token(text) and not any(each in text for each in written):
            return document
        made: dict[str, Any] = _Replacing(self, slots).of(document)
        return made

    def text(self, text: str) -> str:
        """A text with the workflow's secrets, and what looks like one, replaced."""
        for secret in self._texts:
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, HIDDEN)
        return HIDDEN if text in self._texts else without_tokens(text)

    def value(self, node_id: str, name: str, value: Any) -> Any:
        """The value of an input as it may be written down."""
        return self._open(value, is_secret=name in self.hidden.get(NodeId(node_id), ()) or is_secret_name(name))

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        """The secret texts, longest first."""
        nodes = self.workflow.nodes
        values = (nodes[node_id].inputs[name] for node_id, names in self.hidden.items() for name in names)
        texts = {value for value in values if isinstance(value, str) and value.strip()}
        return tuple(sorted(texts, key=lambda text: (-len(text), text)))

    def _open(self, value: Any, *, is_secret: bool) -> Any:
        if is_secret:
            return without_secret(value)
        if type(value) is str:
            return self.text(value)
        return _Replacing(self, {}).of(value) if isinstance(value, list | dict) else value

    def _behind(self, values: Iterable[object]) -> Iterable[tuple[NodeId, set[str]]]:
        """The nodes that give the text of a secret input, with their own texts."""
        waiting = [value.source for value in values if type(value) is Link]
        seen: set[NodeId] = set()
        while waiting and len(seen) < _MOST_BEHIND:
            node_id = waiting.pop()
            node = self.workflow.nodes.get(node_id)
            if node is None or node_id in seen:
                continue
            seen.add(node_id)
            definition = self.define(node.class_type)
            texts = {
                name: value
                for name, value in node.inputs.items()
                if definition is None or (name in definition.inputs and definition.inputs[name].type == "STRING")
            }
            yield node_id, {name for name, value in texts.items() if type(value) is str}
            waiting += [value.source for value in texts.values() if type(value) is Link]

    def _texts_of_drawn(self, node: Mapping[str, Any]) -> frozenset[str]:
        """The texts among a drawn node's values that are secrets by the names of its widgets."""
        values, definition = node.get("widgets_values"), self.define(str(node.get("type")))
        if not isinstance(values, list | dict) or not values:
            return frozenset()
        if any(is_secret_name(name) for name in _widgets_of_outputs(node)):  # a value that is drawn by itself
            return frozenset(value for value in values if isinstance(value, str) and value)
        declared = frozenset(secret_inputs(definition.inputs)) if definition is not None else frozenset()
        if not declared and not any(is_secret_name(name) for name in _names(node)):
            return frozenset()
        try:
            named = widget_values(UiNode.model_validate(node), definition, [])
        except ValueError:  # no node as editors write it
            named = dict(values) if isinstance(values, dict) else {}
        found = (value for name, value in named.items() if name in declared or is_secret_name(name))
        return frozenset(value for value in found if isinstance(value, str) and value)


class _Replacing:
    """Copies JSON with secrets replaced, by a stack: nesting may be deep."""

    def __init__(self, documents: OpenDocuments, slots: Mapping[int, frozenset[str]]) -> None:
        self._documents = documents
        self._slots = slots

    def of(self, value: Any) -> Any:
        """A copy of the value, or the value itself when it holds no list or object."""
        root: list[Any] = [None]
        waiting: list[tuple[Any, Any, Any, frozenset[str]]] = [(root, 0, value, frozenset())]
        while waiting:
            holder, place, member, secrets = waiting.pop()
            if isinstance(member, dict):
                holder[place] = made = dict(member)
                inner = self._slots.get(id(member), secrets)
                waiting += [(made, key, each, inner) for key, each in member.items()]
            elif isinstance(member, list):
                holder[place] = copied = list(member)
                waiting += [(copied, index, each, secrets) for index, each in enumerate(member)]
            elif isinstance(member, str):
                holder[place] = HIDDEN if member in secrets else self._documents.text(member)
            else:
                holder[place] = member
        return root[0]


def _drawn_nodes(document: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The nodes of an editor's document and of its subgraphs."""
    definitions = document.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    for graph in (document, *(subgraphs if isinstance(subgraphs, list) else ())):
        nodes = graph.get("nodes") if isinstance(graph, Mapping) else None
        yield from (node for node in (nodes if isinstance(nodes, list) else ()) if isinstance(node, dict))


def _names(node: Mapping[str, Any]) -> Iterable[str]:
    """The names that a drawn node has for its values."""
    values, slots = node.get("widgets_values"), node.get("inputs")
    if isinstance(values, dict):
        yield from values
    for slot in slots if isinstance(slots, list) else ():
        match slot:
            case {"widget": {"name": str(name)}} | {"name": str(name)}:
                yield name


def _widgets_of_outputs(node: Mapping[str, Any]) -> Iterable[str]:
    """The names of widgets whose values a drawn node stands for, as `PrimitiveNode` does."""
    slots = node.get("outputs")
    for slot in slots if isinstance(slots, list) else ():
        match slot:
            case {"widget": {"name": str(name)}}:
                yield name
