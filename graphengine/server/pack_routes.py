"""Paths that packs answer, and messages that packs send.

Packs add routes to `PromptServer.instance.routes` when they are loaded, some later. A request that no route of the
server's own takes is looked up among them, at its path and below /api; so no pack can take a route over. Who may
ask is decided before, as for all requests. Handlers run in the server's loop, as packs expect.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

# Any: handlers and messages are the packs'.
from typing import Any

from aiohttp import web

from graphengine.packs.stand_ins import PackRoute, Surroundings, in_place
from graphengine.server.endpoint import Handler
from graphengine.server.frames import Message
from graphengine.server.paths import below, file_parts
from graphengine.server.state import ENGINE, HUB
from graphengine.server.static_files import editor_file, trusted_file

logger = logging.getLogger(__name__)


class PackRoutes:
    """The routes of packs by path; made anew when packs have added some."""

    def __init__(self) -> None:
        self._count = 0
        self._dispatcher = web.UrlDispatcher()

    async def find(self, request: web.Request) -> web.UrlMappingMatchInfo | None:
        """The route of a pack that answers a request, or None."""
        finder = in_place()
        routes = finder.routes() if finder is not None else ()
        if len(routes) != self._count:
            self._dispatcher, self._count = _dispatcher(routes), len(routes)
        if not routes:
            return None
        found = await self._dispatcher.resolve(request)
        return found if found.http_exception is None else None


#: The routes of packs.
_TABLE = web.AppKey("pack_routes", PackRoutes)


def prepare(app: web.Application) -> None:
    """Set what is kept in the application, and let packs send messages while it runs."""
    app[_TABLE] = PackRoutes()
    app.cleanup_ctx.append(_messages)


@web.middleware
async def answer_by_packs(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a pack answer what the server has no answer of its own to."""
    own = request.match_info
    if own.http_exception is None and own.handler is not editor_file:
        return await handler(request)
    found = await request.app[_TABLE].find(request)
    if found is None:
        return await handler(request)
    own.clear()  # handlers read there what stood in their path
    own.update(found)
    answer = await found.handler(request)
    if not isinstance(answer, web.StreamResponse):
        raise web.HTTPInternalServerError(text=f"the pack's handler of {request.path!a} gave no response")
    return answer


def _dispatcher(routes: Sequence[PackRoute]) -> web.UrlDispatcher:
    table = web.UrlDispatcher()
    for route in routes:
        for prefix in ("", "/api"):
            path = prefix + route.path
            try:
                if route.method == "STATIC":
                    table.add_route("GET", f"{path.rstrip('/')}/{{file:.+}}", _files_of(Path(route.handler)))
                else:
                    table.add_route(route.method, path, _coroutine(route.handler))
            except (ValueError, RuntimeError, TypeError, AssertionError) as error:
                logger.warning("the route %s %s of a pack is not served: %s", route.method, route.path, error)
    return table


def _coroutine(handler: Any) -> Any:
    """The handler as aiohttp wants it: a class of its own, or a function that is a coroutine."""
    if isinstance(handler, type) or inspect.iscoroutinefunction(handler):
        return handler

    async def called(request: web.Request) -> Any:
        answer = handler(request)
        return await answer if inspect.isawaitable(answer) else answer

    return called


def _files_of(folder: Path) -> Handler:
    async def file(request: web.Request) -> web.StreamResponse:
        """A file of a folder that a pack serves."""
        return trusted_file(below(folder, file_parts(request.match_info["file"])))

    return file


async def _messages(app: web.Application) -> AsyncIterator[None]:
    """While the server runs, what packs send goes to its sockets."""
    packs, hub, loop = app[ENGINE].packs, app[HUB], asyncio.get_running_loop()

    def send(event: str | int, data: Any, client: str | None) -> None:
        if not isinstance(event, str) or not isinstance(data, Mapping):
            logger.debug("a message %r of a pack is not sent: it is no JSON object with a name", event)
            return
        message = Message(event, data)
        _ = message.payload  # in the thread of the pack, which may change the data later
        if not loop.is_closed():
            loop.call_soon_threadsafe(hub.send, message, client)

    before = packs.surroundings
    packs.connect(replace(before or Surroundings(app[ENGINE].folders, app[ENGINE].registry), send=send))
    yield
    if before is not None:
        packs.connect(before)
