"""Hidden inputs: values a node asks for by type and no user can set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphengine.node.api import CONTEXT, NodeContext
from graphengine.node.definition import NodeDefinition
from graphengine.node.folders import Folders
from graphengine.workflow.api_format import workflow_to_api
from graphengine.workflow.models import NodeId, Workflow


@dataclass(slots=True)
class HiddenValues:
    """Makes the hidden inputs of a run's nodes. Documents and device are worked out when the first node asks."""

    workflow: Workflow
    folders: Folders
    choose_device: Callable[[], str]
    _prompt: dict[str, Any] | None = field(default=None, init=False)
    _device: str | None = field(default=None, init=False)

    def of(
        self,
        node_id: NodeId,
        definition: NodeDefinition,
        report: Callable[[int, int], None],
        is_cancelled: Callable[[], bool],
    ) -> dict[str, object]:
        """The hidden inputs of one node, by the name its class gives them; unknown kinds are None."""
        values: dict[str, object] = {}
        for name, kind in definition.hidden.items():
            match kind:
                case "UNIQUE_ID":
                    values[name] = node_id
                case "PROMPT":
                    values[name] = self._document()
                case "EXTRA_PNGINFO":
                    values[name] = self._extra_pnginfo()
                case _ if kind == CONTEXT:
                    values[name] = NodeContext(node_id, self.folders, self._chosen_device, report, is_cancelled)
                case _:
                    values[name] = None
        return values

    def _document(self) -> dict[str, Any]:
        if self._prompt is None:
            self._prompt = workflow_to_api(self.workflow)
        return self._prompt

    def _extra_pnginfo(self) -> Mapping[str, Any]:
        return {"workflow": self.workflow.ui} if self.workflow.ui is not None else {}

    def _chosen_device(self) -> str:
        if self._device is None:
            self._device = self.choose_device()
        return self._device
