"""`/jobs/cancel` and `/jobs/{id}/cancel`: what the cancel buttons of the editor ask."""

from collections.abc import Collection

from aiohttp import web

from graphengine.server.bodies import read_json_object
from graphengine.server.endpoint import NAMES, Endpoint, json, object_of, routes
from graphengine.server.queue_handlers import names
from graphengine.server.state import QUEUE, WORKER


async def cancel_many(request: web.Request) -> web.Response:
    """Take prompts out of the queue, or stop them; ids that neither wait nor run are left alone."""
    body = await read_json_object(request)
    return await _cancel(request, names(body, "job_ids"))


async def cancel_one(request: web.Request) -> web.Response:
    """Take a prompt out of the queue, or stop it; one that neither waits nor runs is left alone."""
    return await _cancel(request, [request.match_info["job_id"]])


async def _cancel(request: web.Request, ids: Collection[str]) -> web.Response:
    """Cancel these prompts and tell which of them were waiting or running."""
    queue, worker = request.app[QUEUE], request.app[WORKER]
    running = [queue.running] if queue.running is not None else []
    active = {item.prompt_id for item in (*queue.pending, *running)}
    await queue.delete(frozenset(ids))
    for prompt_id in ids:
        worker.interrupt(prompt_id)  # also reaches one that began to run while the others were taken out
    return web.json_response({"cancelled": [prompt_id for prompt_id in ids if prompt_id in active]})


_CANCELLED = {200: json(object_of({"cancelled": NAMES}))}
ENDPOINTS = (
    Endpoint("POST", "/jobs/cancel", cancel_many, answers=_CANCELLED, body=json(object_of({"job_ids": NAMES}))),
    Endpoint("POST", "/jobs/{job_id}/cancel", cancel_one, answers=_CANCELLED),
)
ROUTES = routes(ENDPOINTS)
