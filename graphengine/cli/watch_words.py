"""What a plan means, in the words of `explain`; found once for all who tell of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graphengine.cli.console import plural
from graphengine.cli.foreseeing import fate_text
from graphengine.cli.plan import node_text, reasons_of
from graphengine.errors import node_label

if TYPE_CHECKING:
    from graphengine.foresight import Foresight
    from graphengine.watch.board import FlowView, NodeView, PlanWords

#: Nodes of a plan that are told of.
MANY = 12
_EXPLAINED = 40  # nodes that are explained at once
_READS = "what it reads has changed"
_STATES = {
    "waiting": "will run",
    "running": "runs",
    "done": "ran",
    "failed": "failed",
    "blocked": "was not called",
    "cached": "is cached",
    "unneeded": "is not needed",
}


def words_of(foresight: "Foresight") -> "PlanWords":
    """Why each node runs or does not, and what changed."""
    from graphengine.watch.board import PlanWords  # with the engine behind it, which help does not need

    reasons = reasons_of(foresight)
    running = {node_id for node_id, each in foresight.of.items() if each.fate in ("runs", "perhaps")}
    why = {
        node_id: node_text(node_id, foresight, reasons) if node_id in running else fate_text(node_id, foresight)
        for node_id in foresight.of
    }
    itself = tuple(node_id for node_id in foresight.of if reasons.get(node_id, _READS) != _READS)
    labels: dict[str, list[str]] = {}
    for node_id in itself:
        labels.setdefault(why[node_id], []).append(foresight.now.label(node_id))
    changed = tuple(_changed(text, of) for text, of in list(labels.items())[:MANY])
    ran = {
        node_id: f"node {each.of} gave something else"
        for node_id, each in foresight.of.items()
        if each.why == "cut off"
    }
    return PlanWords(why, itself, changed, ran)


def _changed(text: str, labels: list[str]) -> str:
    """What changed, and in which nodes unless the text says so."""
    if len(labels) > 1:
        return f"{plural(len(labels), 'node')}: {text}"
    return text if labels[0] in text else f"{labels[0]}: {text}"


class LastWords:
    """Gives `words_of`, found anew only for another plan."""

    def __init__(self) -> None:
        self._last: tuple[Foresight, PlanWords] | None = None

    def __call__(self, foresight: "Foresight") -> "PlanWords":
        """The words of a plan."""
        if self._last is None or self._last[0] is not foresight:
            self._last = (foresight, words_of(foresight))
        return self._last[1]


def explaining_lines(flow: "FlowView") -> Iterator[str]:
    """Why each node of a file ran, will run or does not, or what the file waits for."""
    yield f"{flow.file.name}:"
    if flow.trouble:
        yield from (f"  {line}" for line in flow.trouble.splitlines())
    nodes = sorted(flow.nodes.values(), key=lambda node: node.state in ("cached", "unneeded"))
    for node in nodes[:_EXPLAINED]:
        yield f"  {_label(node)} {_STATES[node.state]}: {node.why}" if node.why else f"  {_label(node)}"
    if len(nodes) > _EXPLAINED:
        yield f"  and {plural(len(nodes) - _EXPLAINED, 'more node')}"


def _label(node: "NodeView") -> str:
    return node_label(node.node_id, node.class_type)
