"""`/api/jobs`: prompts that wait, run or have ended, as one list."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from aiohttp import web

from graphengine.server.database import PromptTables
from graphengine.server.endpoint import OBJECT, TEXT, Endpoint, Query, list_of, object_of, routes
from graphengine.server.endpoint import json as json_body
from graphengine.server.history import whole_number
from graphengine.server.job_records import STATUSES, Job, queued_job
from graphengine.server.queue_items import QueueItem
from graphengine.server.state import DATABASE, QUEUE, WORKER

_SORT_BY = ("created_at", "execution_duration")
_ORDERS = ("asc", "desc")
_MOST = 1_000  # jobs in one answer


@dataclass(frozen=True, slots=True)
class _Row:
    """What a list of jobs is filtered and sorted by; `item` is None for a prompt of the history."""

    prompt_id: str
    status: str
    workflow_id: str | None
    created: int
    duration: int
    item: QueueItem | None = None


async def get_jobs(request: web.Request) -> web.Response:
    """Jobs that match, newest first unless asked otherwise, with how many there are in all."""
    wanted = [each for each in request.query.get("status", "").split(",") if each]
    sort_by, order = request.query.get("sort_by", _SORT_BY[0]), request.query.get("sort_order", "desc")
    for name, values, known in (("status", wanted, STATUSES), ("sort_by", [sort_by], _SORT_BY),
                                ("sort_order", [order], _ORDERS)):  # fmt: skip
        _refuse_unknown(name, values, known)
    limit, offset = whole_number(request, "limit"), whole_number(request, "offset") or 0
    if (limit is not None and limit < 1) or offset < 0:
        raise web.HTTPBadRequest(text="limit must be at least 1, and offset at least 0")
    rows = [row for row in await _rows(request) if not wanted or row.status in wanted]
    if workflow_id := request.query.get("workflow_id"):
        rows = [row for row in rows if row.workflow_id == workflow_id]
    rows.sort(key=attrgetter("created" if sort_by == "created_at" else "duration"), reverse=order == "desc")
    count = min(limit or _MOST, _MOST)
    jobs = [await _job(request, row) for row in rows[offset : offset + count]]
    pagination = {"offset": offset, "limit": limit, "total": len(rows), "has_more": offset + count < len(rows)}
    return web.json_response({"jobs": [job for job in jobs if job is not None], "pagination": pagination})


async def get_job(request: web.Request) -> web.Response:
    """One job with its prompt, and when it has ended with its outputs."""
    prompt_id = request.match_info["job_id"]
    item = request.app[QUEUE].find(prompt_id)
    if item is not None:
        job, entry = _queued(request, item), {"prompt": json.loads(item.text)}
    else:
        found = await request.app[DATABASE].call(PromptTables.job, prompt_id)
        if found is None:
            raise web.HTTPNotFound(text=f"no job {prompt_id[:80]!a}")
        job, entry = json.loads(found[0]), json.loads(found[1])
    _, _, document, extra_data, _ = entry["prompt"]
    whole = {
        **job,
        "outputs": entry.get("outputs", {}),
        "execution_status": entry.get("status"),
        "execution_meta": entry.get("meta"),
        "workflow": {"prompt": document, "extra_data": extra_data},
    }
    return web.json_response(whole)


async def _rows(request: web.Request) -> list[_Row]:
    """All jobs. The queue is read first: a prompt that ends in between is then found once, as one that runs."""
    queue = request.app[QUEUE]
    running = queue.running
    items = [running, *queue.pending] if running is not None else list(queue.pending)
    queued = {
        item.prompt_id: _Row(
            item.prompt_id,
            "in_progress" if item is running else "pending",
            item.workflow_id,
            item.created,
            0,
            item,
        )
        for item in items
    }
    ended = await request.app[DATABASE].call(PromptTables.jobs)
    return [*(_Row(*row) for row in ended if row[0] not in queued), *queued.values()]


async def _job(request: web.Request, row: _Row) -> Job | None:
    """The job; None when its entry was deleted in between."""
    if row.item is not None:
        return _queued(request, row.item)
    found = await request.app[DATABASE].call(PromptTables.job, row.prompt_id)
    if found is None:
        return None
    job: Job = json.loads(found[0])
    return job


def _queued(request: web.Request, item: QueueItem) -> Job:
    is_running = item is request.app[QUEUE].running
    return queued_job(item, request.app[WORKER].started_at() if is_running else None)


def _refuse_unknown(name: str, values: Sequence[str], known: Sequence[str]) -> None:
    for value in values:
        if value not in known:
            raise web.HTTPBadRequest(text=f"{name} must be one of {', '.join(known)}, not {value[:40]!a}")


_NUMBER = Query({"type": "integer"})
_PAGE = object_of({"jobs": list_of(OBJECT), "pagination": OBJECT})
ENDPOINTS = (
    Endpoint(
        "GET",
        "/jobs",
        get_jobs,
        {200: json_body(_PAGE)},
        query={
            "status": Query(TEXT, description="one or several, with commas between"),
            "limit": _NUMBER,
            "offset": _NUMBER,
            "sort_by": Query({"type": "string", "enum": list(_SORT_BY)}),
            "sort_order": Query({"type": "string", "enum": list(_ORDERS)}),
            "workflow_id": Query(TEXT),
        },
    ),
    Endpoint("GET", "/jobs/{job_id}", get_job, {200: json_body(OBJECT)}),
)
ROUTES = routes(ENDPOINTS)
