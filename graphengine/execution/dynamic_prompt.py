"""The prompt of a run as nodes see it: the document's nodes and those that expansion has added."""

from collections.abc import Mapping
from typing import Any

from graphengine.execution.events import Expanded
from graphengine.execution.open_documents import Define, OpenDocuments, unknown
from graphengine.workflow.api_format import workflow_to_api
from graphengine.workflow.models import NodeId, Workflow


class DynamicPrompt:
    """What a node with the hidden input DYNPROMPT may ask about the graph it runs in.

    Nodes are given as the API document has them: `{"class_type": …, "inputs": {…}}`. Method names are ComfyUI's.
    """

    # Any throughout: nodes of an API document, and what authors put into the inputs of nodes they add.

    def __init__(self, workflow: Workflow, define: Define = unknown) -> None:
        """`define` gives the definition of a class, as far as one is known: it may declare secrets."""
        self.workflow = workflow
        self.open = OpenDocuments(workflow, define)
        self._original: dict[str, Any] | None = None
        self._added: dict[NodeId, tuple[Mapping[str, Any], Expanded]] = {}

    def get_original_prompt(self) -> dict[str, Any]:
        """The document's nodes."""
        if self._original is None:
            self._original = workflow_to_api(self.workflow)
        return self._original

    def get_node(self, node_id: str) -> Mapping[str, Any]:
        """The node.

        Raises:
            KeyError: there is none of that id.
        """
        added = self._added.get(NodeId(node_id))
        if added is not None:
            return added[0]
        node: Mapping[str, Any] = self.get_original_prompt()[node_id]
        return node

    def has_node(self, node_id: str) -> bool:
        """Whether there is such a node."""
        return node_id in self._added or node_id in self.workflow.nodes

    def all_node_ids(self) -> set[str]:
        """The ids of all nodes there are now."""
        return {*self.workflow.nodes, *self._added}

    def get_real_node_id(self, node_id: str) -> str:
        """The node of the document behind a node: itself, or the one that first expanded."""
        added = self._added.get(NodeId(node_id))
        return node_id if added is None else added[1].real

    def get_parent_node_id(self, node_id: str) -> str | None:
        """The node that added a node, None for nodes of the document."""
        added = self._added.get(NodeId(node_id))
        return None if added is None else added[1].parent

    def get_display_node_id(self, node_id: str) -> str:
        """The node to show in a node's place."""
        added = self._added.get(NodeId(node_id))
        return node_id if added is None else added[1].display

    def add(self, node_id: NodeId, node: Mapping[str, Any], place: Expanded) -> None:
        """Add a node that an expansion made."""
        self._added[node_id] = (node, place)
