"""What `/api/jobs` says of a prompt."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphengine.server.messages import PromptRun
from graphengine.server.queue_items import QueueItem

# Any: JSON.
Job = dict[str, Any]

STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")
_FAILURES = ("execution_error", "execution_interrupted")


def queued_job(item: QueueItem, started: int | None) -> Job:
    """The job of a prompt that waits, or runs since `started`."""
    return {
        "id": item.prompt_id,
        "status": "pending" if started is None else "in_progress",
        "priority": item.number,
        "create_time": item.created,
        "execution_start_time": started,
        "execution_end_time": None,
        "execution_error": None,
        "outputs_count": 0,
        "preview_output": None,
        "workflow_id": item.workflow_id,
    }


def finished_job(item: QueueItem, run: PromptRun, status: str, started: int, ended: int) -> Job:
    """The job of a prompt that has ended as `status` says."""
    shown = list(_shown_items(run.shown))
    preview = next((each for each in shown if each.get("type") == "output"), shown[0] if shown else None)
    failure = next((data for type_, data in run.log if type_ in _FAILURES), None)
    return {
        **queued_job(item, started),
        "status": status,
        "execution_end_time": ended,
        "execution_error": failure if status == "failed" else None,
        "outputs_count": len(shown),
        "preview_output": preview,
    }


def _shown_items(shown: Mapping[str, Mapping[str, Any]]) -> Iterator[Job]:
    """Every file that a node shows, with the node and the kind of list that it stands in."""
    for node_id, ui in shown.items():
        for kind, items in ui.items():
            for item in items if isinstance(items, list | tuple) else ():
                if isinstance(item, dict) and "filename" in item:
                    yield {**item, "nodeId": node_id, "mediaType": kind}
