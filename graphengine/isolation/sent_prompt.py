"""The hidden inputs that are no plain data, as they go to a worker and as nodes there see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphengine.execution.dynamic_prompt import DynamicPrompt
from graphengine.node.api import NodeContext

#: What stands for an argument that is made anew in the worker.
CONTEXT_ARGUMENT, PROMPT_ARGUMENT = "context", "prompt"


@dataclass(frozen=True, slots=True)
class SentPrompt:
    """What a node in a worker may ask about the graph it runs in, as it was when it was called.

    `places` has for each node that expansion added the nodes behind it: parent, shown and real. Method names are
    ComfyUI's, as in `DynamicPrompt`.
    """

    # Any throughout: nodes of an API document.
    original: Mapping[str, Any]
    added: Mapping[str, Any]
    places: Mapping[str, tuple[str, str, str]]

    def get_original_prompt(self) -> Mapping[str, Any]:
        """The document's nodes."""
        return self.original

    def get_node(self, node_id: str) -> Mapping[str, Any]:
        """The node.

        Raises:
            KeyError: there is none of that id.
        """
        node: Mapping[str, Any] = self.added[node_id] if node_id in self.added else self.original[node_id]
        return node

    def has_node(self, node_id: str) -> bool:
        """Whether there is such a node."""
        return node_id in self.added or node_id in self.original

    def all_node_ids(self) -> set[str]:
        """The ids of all nodes there are."""
        return {*self.original, *self.added}

    def get_real_node_id(self, node_id: str) -> str:
        """The node of the document behind a node."""
        return self.places[node_id][2] if node_id in self.places else node_id

    def get_parent_node_id(self, node_id: str) -> str | None:
        """The node that added a node, None for nodes of the document."""
        return self.places[node_id][0] if node_id in self.places else None

    def get_display_node_id(self, node_id: str) -> str:
        """The node to show in a node's place."""
        return self.places[node_id][1] if node_id in self.places else node_id


def taken_out(arguments: Mapping[str, object]) -> tuple[dict[str, object], dict[str, str]]:
    """The arguments that can be sent, and what the others stand for, by name; a prompt is sent as its parts."""
    plain: dict[str, object] = {}
    special: dict[str, str] = {}
    for name, value in arguments.items():
        match value:
            case NodeContext():
                special[name] = CONTEXT_ARGUMENT
            case DynamicPrompt():
                special[name] = PROMPT_ARGUMENT
                plain[name] = _parts(value)
            case _:
                plain[name] = value
    return plain, special


def put_back(arguments: dict[str, Any], special: Mapping[str, str], context: NodeContext) -> dict[str, Any]:
    """The arguments as the node is to have them."""
    for name, kind in special.items():
        if kind == CONTEXT_ARGUMENT:
            arguments[name] = context
        else:
            parts = arguments[name]
            arguments[name] = SentPrompt(parts["original"], parts["added"], parts["places"])
    return arguments


def _parts(prompt: DynamicPrompt) -> dict[str, object]:
    original = prompt.get_original_prompt()
    added = [node_id for node_id in prompt.all_node_ids() if node_id not in original]
    return {
        "original": original,
        "added": {node_id: dict(prompt.get_node(node_id)) for node_id in added},
        "places": {
            node_id: (
                prompt.get_parent_node_id(node_id) or node_id,
                prompt.get_display_node_id(node_id),
                prompt.get_real_node_id(node_id),
            )
            for node_id in added
        },
    }
