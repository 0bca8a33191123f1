"""What a run gave, as text or JSON: files, texts, and the time of each node."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from graphengine.cli.console import plural, table
from graphengine.errors import GraphEngineError, ValidationFailed, node_label
from graphengine.execution.events import (
    Event,
    NodeCached,
    NodeFinished,
    NodeProgress,
    RunFinished,
)
from graphengine.execution.shown import shown_files
from graphengine.node.folders import Folders

_MANY = 40  # rows of the table; of more nodes the slowest are shown


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node of the run; `seconds` is None when its outputs came from the cache."""

    node_id: str
    class_type: str
    title: str | None
    seconds: float | None
    steps: int | None
    ui: Mapping[str, JsonValue]


@dataclass(slots=True)
class RunRecord:
    """Listens to a run and remembers what the summary needs."""

    status: str = "error"
    seconds: float = 0.0
    nodes: dict[str, NodeRecord] = field(default_factory=dict)
    _steps: dict[str, int] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Remember the event."""
        match event:
            case NodeProgress():
                self._steps[event.node_id] = event.total
            case NodeCached():
                self._add(NodeRecord(event.node_id, event.class_type, event.title, None, None, event.ui))
            case NodeFinished():
                steps = self._steps.get(event.node_id)
                self._add(NodeRecord(event.node_id, event.class_type, event.title, event.seconds, steps, event.ui))
            case RunFinished():
                self.status, self.seconds = event.status, event.seconds
            case _:
                pass

    def _add(self, record: NodeRecord) -> None:
        self.nodes[record.node_id] = record

    @property
    def executed(self) -> list[NodeRecord]:
        """The nodes that ran, in the order in which they ended."""
        return [record for record in self.nodes.values() if record.seconds is not None]

    @property
    def cached(self) -> list[NodeRecord]:
        """The nodes whose outputs came from the cache."""
        return [record for record in self.nodes.values() if record.seconds is None]

    def files(self, folders: Folders) -> list[Path]:
        """The files that nodes saved, each once."""
        return list(
            dict.fromkeys(path for record in self.nodes.values() for path in shown_files(record.ui, folders))
        )

    def texts(self) -> list[tuple[NodeRecord, str]]:
        """The texts that nodes showed."""
        return [
            (record, text)
            for record in self.nodes.values()
            for text in _items(record.ui.get("text"))
            if isinstance(text, str)
        ]


def _items(value: JsonValue | tuple[JsonValue, ...]) -> list[JsonValue]:
    return list(value) if isinstance(value, list | tuple) else []


def file_lines(record: RunRecord, folders: Folders, current: Path) -> list[str]:
    """Where each file is, relative to the current folder when it lies below."""
    return [str(shorten(path, current)) for path in record.files(folders)]


def shorten(path: Path, current: Path) -> Path:
    """The path relative to the current folder when it lies below."""
    return path.relative_to(current) if path.is_relative_to(current) else path


def summary_lines(record: RunRecord, folders: Folders, current: Path) -> Iterator[str]:
    """The whole summary: files, texts, the time of each node, and the total."""
    yield from file_lines(record, folders, current)
    for node, text in record.texts():
        yield f"{node_label(node.node_id, node.class_type)}: {text}"
    yield ""
    executed = record.executed
    if executed:
        yield from _node_table(executed)
    yield f"{record.seconds:.2f} s in all; {len(executed)} run, {len(record.cached)} from the cache"


def _node_table(executed: list[NodeRecord]) -> Iterator[str]:
    shown = executed
    if len(executed) > _MANY:
        slowest = {record.node_id for record in sorted(executed, key=lambda r: r.seconds or 0.0)[-_MANY:]}
        shown = [record for record in executed if record.node_id in slowest]
    rows = [("node", "class", "seconds", "")]
    rows += [(record.node_id, record.class_type, f"{record.seconds:.2f}", _steps(record)) for record in shown]
    yield from table(rows, right=[2])
    if len(shown) < len(executed):
        yield f"and {plural(len(executed) - len(shown), 'faster node')}"


def _steps(record: NodeRecord) -> str:
    if not record.steps or not record.seconds:
        return ""
    return f"{plural(record.steps, 'step')}, {record.steps / record.seconds:.1f} steps/s"


# Any: what `json` writes.
def summary_json(record: RunRecord, folders: Folders, error: GraphEngineError | None = None) -> dict[str, Any]:
    """The summary as a JSON object, with absolute paths; `error` is what ended the run."""
    return {
        "status": record.status,
        "seconds": round(record.seconds, 6),
        "files": [str(path) for path in record.files(folders)],
        "texts": [{"node_id": node.node_id, "text": text} for node, text in record.texts()],
        "nodes": [
            {
                "node_id": node.node_id,
                "class_type": node.class_type,
                "title": node.title,
                "cached": node.seconds is None,
                "seconds": node.seconds,
            }
            for node in record.nodes.values()
        ],
        **({"error": _error_json(error)} if error else {}),
    }


def _error_json(error: GraphEngineError) -> dict[str, Any]:
    problems = error.problems if isinstance(error, ValidationFailed) else ()
    return {"message": error.message, "hint": error.hint, "problems": [asdict(problem) for problem in problems]}
