"""Blocking, the prompt as it grows, and the errors of a graph."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from graphengine.node.api import ExecutionBlocker

__all__ = [
    "DependencyCycleError",
    "DynamicPrompt",
    "ExecutionBlocker",
    "NodeInputError",
    "NodeNotFoundError",
    "get_input_info",
]


class DependencyCycleError(Exception):
    """Nodes that a node made by expansion wait for each other."""


class NodeInputError(Exception):
    """A node asked for an input that cannot be given."""


class NodeNotFoundError(Exception):
    """No node of the prompt has that id."""


# Any: nodes of a prompt are open-ended JSON.
@runtime_checkable
class DynamicPrompt(Protocol):
    """The nodes of a run: those of the document, and those that nodes made by expansion.

    A node that lists the hidden input `DYNPROMPT` is given an object of this shape.
    """

    def get_node(self, node_id: str) -> Mapping[str, Any]:
        """The node: `class_type` and `inputs`."""

    def has_node(self, node_id: str) -> bool:
        """Whether there is such a node."""

    def get_real_node_id(self, node_id: str) -> str:
        """The node of the document behind it."""

    def get_parent_node_id(self, node_id: str) -> str | None:
        """The node that made it, or None for a node of the document."""

    def get_display_node_id(self, node_id: str) -> str:
        """The node that is shown in its place."""

    def all_node_ids(self) -> set[str]:
        """The ids of all nodes, made ones included."""

    def get_original_prompt(self) -> Mapping[str, Any]:
        """The nodes of the document alone."""


def get_input_info(
    class_def: type[Any], input_name: str, valid_inputs: Mapping[str, Any] | None = None
) -> tuple[Any, str, Mapping[str, Any]] | tuple[None, None, None]:
    """Type, section ("required", "optional", "hidden") and options of an input of a node class.

    Three times None for an input that it does not declare. `valid_inputs` is what `INPUT_TYPES` gave, if at hand.
    """
    declared = class_def.INPUT_TYPES() if valid_inputs is None else valid_inputs
    for section in ("required", "optional", "hidden"):
        spec = (declared.get(section) or {}).get(input_name)
        if spec is not None:
            parts = spec if isinstance(spec, tuple | list) else (spec,)
            return parts[0], section, parts[1] if len(parts) > 1 else {}
    return None, None, None
