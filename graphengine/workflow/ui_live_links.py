"""Links as the pack of the "Anything Everywhere" nodes sees them: past bypassed nodes, by inputs of equal type."""

from collections.abc import Mapping

from graphengine.workflow.models import NodeId
from graphengine.workflow.ui_graph import BYPASSED, UiGraph, input_at, node_id
from graphengine.workflow.ui_models import UiInput, UiLink, UiNode


class LiveLinks:
    """What the links of a graph bring; each link is followed once for each type."""

    def __init__(self, graph: UiGraph) -> None:
        self._graph = graph
        self._found: dict[tuple[str, str], UiLink | None] = {}
        self._inputs: dict[NodeId, Mapping[str, UiInput]] = {}

    def begin(self, link: UiLink, type_: str) -> UiLink | None:
        """The link before the bypassed nodes that one leads through, by inputs of its type; None without one."""
        passed = dict[tuple[str, str], None]()
        at: UiLink | None = link
        while at is not None:
            key = (str(at.id), type_)
            if key in self._found:
                at = self._found[key]
                break
            if key in passed:
                at = None
                break
            passed[key] = None
            origin = self._graph.nodes.get(NodeId(str(at.origin_id)))
            if origin is None or origin.mode != BYPASSED:
                break
            at = self._before(origin, at.origin_slot, type_)
        self._found.update(dict.fromkeys(passed, at))
        return at

    def is_linked(self, slot: UiInput) -> bool:
        """Whether an input is given something; a bypassed node that passes nothing on gives nothing."""
        link = self._graph.links.get(str(slot.link)) if slot.link is not None else None
        return link is not None and self.begin(link, str(slot.type)) is not None

    def _before(self, bypassed: UiNode, output: int, type_: str) -> UiLink | None:
        """The link into a bypassed node that counts for one of its outputs."""
        across = input_at(bypassed.inputs, output)
        if across is None or str(across.type) != type_:
            key = node_id(bypassed)
            if key not in self._inputs:
                self._inputs[key] = {str(slot.type): slot for slot in reversed(bypassed.inputs or ())}
            across = self._inputs[key].get(type_)
        return self._graph.links.get(str(across.link)) if across is not None and across.link is not None else None
