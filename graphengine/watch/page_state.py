"""What the page of a watch is told: the board as JSON, and the drawing of a plan."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graphengine.graph.graph import Graph
from graphengine.graph.picture import make_picture
from graphengine.graph.picture_svg import to_svg
from graphengine.watch.board import FlowView, NodeView, RunView, Sight
from graphengine.workflow.models import Workflow

#: Nodes that are drawn at most; of more the list alone is shown.
MOST_DRAWN = 600
_MOST_FILES = 24  # that are shown of a run, the last ones
_MOST_RUNS = 30
_LONGEST = 2000  # letters of a text
#: The files that a page shows, by their ending: what it is shown in, and its media type.
SHOWN: Mapping[str, tuple[str, str]] = {
    ".png": ("img", "image/png"),
    ".jpg": ("img", "image/jpeg"),
    ".jpeg": ("img", "image/jpeg"),
    ".webp": ("img", "image/webp"),
    ".gif": ("img", "image/gif"),
    ".avif": ("img", "image/avif"),
    ".mp4": ("video", "video/mp4"),
    ".webm": ("video", "video/webm"),
    ".flac": ("audio", "audio/flac"),
    ".mp3": ("audio", "audio/mpeg"),
    ".opus": ("audio", "audio/ogg"),
    ".wav": ("audio", "audio/wav"),
}


# Any, here and below: what `json` writes.
def state_of(sight: Sight, now: float) -> dict[str, Any]:
    """All that the page shows; `now` is the time on the board's clock."""
    return {
        "version": sight.version,
        "current": next((i for i, flow in enumerate(sight.flows) if flow.file == sight.current), 0),
        "flows": [_flow(number, flow, now) for number, flow in enumerate(sight.flows)],
        "notes": [{"at": at, "text": text[:_LONGEST]} for at, text in reversed(sight.notes)],
    }


def shown_file(sight: Sight, flow: int, number: int) -> tuple[Path, str] | None:
    """A file that the last run of a flow gave, by its number, and its media type; None when it is not shown."""
    if not 0 <= flow < len(sight.flows) or not 0 <= number < len(sight.flows[flow].files):
        return None
    path = sight.flows[flow].files[number]
    kind = SHOWN.get(path.suffix.lower())
    return (path, kind[1]) if kind is not None and path.is_file() else None


def drawing_of(graph: Graph, title: str) -> str | None:
    """The plan as SVG, its boxes in the order of `boxes_of`; None when it has too many nodes."""
    if len(graph.nodes) > MOST_DRAWN:
        return None
    definitions = {definition.class_type: definition for definition in graph.definitions.values()}
    return to_svg(make_picture(Workflow(graph.nodes), definitions), title)


def boxes_of(graph: Graph) -> list[str]:
    """The nodes of a plan in the order in which they are drawn."""
    return [str(node_id) for node_id in graph.nodes]


def _flow(number: int, flow: FlowView, now: float) -> dict[str, Any]:
    return {
        "name": flow.file.name,
        "path": str(flow.file),
        "standing": flow.standing,
        "trouble": flow.trouble[:_LONGEST],
        "plan": flow.plan,
        "boxes": boxes_of(flow.graph) if flow.graph is not None and len(flow.graph.nodes) <= MOST_DRAWN else [],
        "nodes": [_node(node, now) for node in flow.nodes.values()],
        "changed": [text[:_LONGEST] for text in flow.changed],
        "files": list(_files(number, flow)),
        "runs": [_run(run) for run in flow.runs[:_MOST_RUNS]],
    }


def _node(node: NodeView, now: float) -> dict[str, Any]:
    return {
        "id": node.node_id,
        "title": node.title[:_LONGEST],
        "type": node.class_type,
        "state": node.state,
        "why": node.why[:_LONGEST],
        "value": node.value,
        "total": node.total,
        "seconds": node.seconds,
        "running": max(0.0, now - node.begun) if node.state == "running" else None,
    }


def _run(run: RunView) -> dict[str, Any]:
    return {
        "at": run.at,
        "outcome": run.outcome,
        "seconds": run.seconds,
        "executed": run.executed,
        "cached": run.cached,
        "changed": [text[:_LONGEST] for text in run.changed],
        "message": run.message[:_LONGEST],
    }


def _files(flow_number: int, flow: FlowView) -> Iterator[dict[str, Any]]:
    """The last files of a run, newest first; the address of one changes with its content."""
    for number in range(len(flow.files) - 1, max(-1, len(flow.files) - 1 - _MOST_FILES), -1):
        path = flow.files[number]
        shown = SHOWN.get(path.suffix.lower())
        try:
            status = path.stat()
        except OSError:  # removed since then
            continue
        stamp = f"{status.st_mtime_ns:x}-{status.st_size:x}"
        yield {
            "name": path.name,
            "path": str(path),
            "shown": shown[0] if shown is not None else None,
            "url": f"/file/{flow_number}/{number}?{stamp}" if shown is not None else None,
        }
