"""`/history`: what the prompts that have ended gave. Entries are sent as they were written down."""

import json
from collections.abc import Iterable

from aiohttp import web

from graphengine.server.bodies import read_json_object
from graphengine.server.database import PromptTables
from graphengine.server.endpoint import OBJECT, Endpoint, Query, routes
from graphengine.server.endpoint import json as json_body
from graphengine.server.queue_handlers import CLEAR_OR_DELETE, flag, names
from graphengine.server.state import DATABASE

_AT_ONCE = 20  # entries of a long history that are read at once


async def get_history(request: web.Request) -> web.StreamResponse:
    """The entries by prompt id, in the order in which the prompts ended; a negative offset gives the last ones."""
    limit = whole_number(request, "max_items")
    offset = whole_number(request, "offset")
    if limit is not None and limit < 0:
        limit = None
    database = request.app[DATABASE]
    ids = await database.call(PromptTables.ended, limit, -1 if offset is None else offset)
    if len(ids) <= _AT_ONCE:
        return _answer(await database.call(PromptTables.entries, ids))
    return await _stream(request, ids)


async def _stream(request: web.Request, ids: list[str]) -> web.StreamResponse:
    """A long history in parts, so that memory holds a few entries at a time."""
    answer = web.StreamResponse()
    answer.content_type = "application/json"
    await answer.prepare(request)
    separator = "{"
    for start in range(0, len(ids), _AT_ONCE):
        entries = await request.app[DATABASE].call(PromptTables.entries, ids[start : start + _AT_ONCE])
        for prompt_id, entry in entries:
            await answer.write(f"{separator}{json.dumps(prompt_id)}:{entry}".encode())
            separator = ","
    await answer.write(b"}" if separator == "," else b"{}")
    return answer


async def get_entry(request: web.Request) -> web.Response:
    """The entry of one prompt; an empty object when there is none."""
    prompt_id = request.match_info["prompt_id"]
    entry = await request.app[DATABASE].call(PromptTables.entry, prompt_id)
    return _answer([] if entry is None else [(prompt_id, entry)])


async def post_history(request: web.Request) -> web.Response:
    """Delete entries by prompt id, or all of them with `clear`."""
    body = await read_json_object(request)
    database = request.app[DATABASE]
    if flag(body, "clear"):
        await database.call(PromptTables.forget, None)
    if ids := names(body, "delete"):
        await database.call(PromptTables.forget, ids)
    return web.Response()


def whole_number(request: web.Request, name: str) -> int | None:
    """A whole number in the query, None when it is absent.

    Raises:
        web.HTTPBadRequest: it is no whole number, or one of many digits.
    """
    text = request.query.get(name)
    if not text:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        raise web.HTTPBadRequest(text=f"{name} must be a whole number, not {text[:40]!a}")
    return int(text)


def _answer(entries: Iterable[tuple[str, str]]) -> web.Response:
    text = ",".join(f"{json.dumps(prompt_id)}:{entry}" for prompt_id, entry in entries)
    return web.Response(text=f"{{{text}}}", content_type="application/json")


_NUMBER = Query({"type": "integer"})
ENDPOINTS = (
    Endpoint(
        "GET",
        "/history",
        get_history,
        {200: json_body(OBJECT)},
        query={"max_items": _NUMBER, "offset": _NUMBER},
    ),
    Endpoint("GET", "/history/{prompt_id}", get_entry, {200: json_body(OBJECT)}),
    Endpoint("POST", "/history", post_history, {200: None}, body=CLEAR_OR_DELETE),
)
ROUTES = routes(ENDPOINTS)
