"""`/queue`, `/interrupt` and `/free`: what waits, and how to take it out, stop it, or free memory."""

from typing import Any

from aiohttp import web

from graphengine.server.bodies import read_json, read_json_object
from graphengine.server.endpoint import TEXT, Content, Endpoint, list_of, object_of, routes
from graphengine.server.endpoint import json as json_body
from graphengine.server.queue_items import QueueItem
from graphengine.server.state import QUEUE, WORKER


async def get_queue(request: web.Request) -> web.Response:
    """The prompt that runs and those that wait, each as `[number, id, prompt, extra_data, [output ids]]`."""
    queue = request.app[QUEUE]
    running = [queue.running] if queue.running is not None else []
    text = f'{{"queue_running":[{_joined(running)}],"queue_pending":[{_joined(queue.pending)}]}}'
    return web.Response(text=text, content_type="application/json")


def _joined(items: "list[QueueItem] | tuple[QueueItem, ...]") -> str:
    return ",".join(item.text for item in items)


async def post_queue(request: web.Request) -> web.Response:
    """Delete waiting prompts by id, or all of them with `clear`."""
    body = await read_json_object(request)
    queue = request.app[QUEUE]
    if flag(body, "clear"):
        await queue.delete(None)
    if ids := names(body, "delete"):
        await queue.delete(frozenset(ids))
    return web.Response()


async def post_interrupt(request: web.Request) -> web.Response:
    """Stop the prompt that runs; with `prompt_id` only if it is that one."""
    body = await read_optional_object(request)
    prompt_id = body.get("prompt_id")
    if prompt_id is not None and not isinstance(prompt_id, str):
        raise web.HTTPBadRequest(text=f"prompt_id must be a text, not {type(prompt_id).__name__}")
    request.app[WORKER].interrupt(prompt_id)
    return web.Response()


async def post_free(request: web.Request) -> web.Response:
    """Unload models, or drop kept outputs as well, before the next prompt runs."""
    body = await read_optional_object(request)
    outputs = flag(body, "free_memory")
    request.app[WORKER].free(models=flag(body, "unload_models") or outputs, outputs=outputs)
    return web.Response()


# Any: JSON of a client.
async def read_optional_object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body, an empty one when there is no body.

    Raises:
        web.HTTPBadRequest: the body is no JSON object.
    """
    if not request.can_read_body:
        return {}
    body = await read_json(request)
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text=f"the body must be a JSON object, not {type(body).__name__}")
    return body


def flag(body: dict[str, Any], name: str) -> bool:
    """A member that is true or false; false when it is absent.

    Raises:
        web.HTTPBadRequest: it is something else.
    """
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise web.HTTPBadRequest(text=f"{name} must be true or false, not {type(value).__name__}")
    return bool(value)


def names(body: dict[str, Any], name: str) -> list[str]:
    """A member that is a list of texts; empty when it is absent.

    Raises:
        web.HTTPBadRequest: it is something else.
    """
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise web.HTTPBadRequest(text=f"{name} must be a list of ids")
    return value


_BOOLEAN = {"type": "boolean"}
CLEAR_OR_DELETE = Content(object_of({}, {"clear": _BOOLEAN, "delete": list_of(TEXT)}))
_ITEMS = list_of({"type": "array"})

ENDPOINTS = (
    Endpoint(
        "GET", "/queue", get_queue, {200: json_body(object_of({"queue_running": _ITEMS, "queue_pending": _ITEMS}))}
    ),
    Endpoint("POST", "/queue", post_queue, {200: None}, body=CLEAR_OR_DELETE),
    Endpoint(
        "POST",
        "/interrupt",
        post_interrupt,
        {200: None},
        body=Content(object_of({}, {"prompt_id": TEXT}), required=False),
    ),
    Endpoint(
        "POST",
        "/free",
        post_free,
        {200: None},
        body=Content(object_of({}, {"unload_models": _BOOLEAN, "free_memory": _BOOLEAN}), required=False),
    ),
)
ROUTES = routes(ENDPOINTS)
