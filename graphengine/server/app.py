"""The application: its parts, its routes, and their life from start to end."""

import logging
from collections.abc import AsyncIterator

from aiohttp import web

from graphengine.engine import Engine
from graphengine.server import (
    history,
    jobs,
    messages,
    openapi,
    pack_routes,
    prompts,
    queue_handlers,
    safety,
    services,
    sockets,
    static_files,
)
from graphengine.server.database import Database
from graphengine.server.endpoint import Endpoint
from graphengine.server.hub import SocketHub
from graphengine.server.queue import PromptQueue
from graphengine.server.state import CHECKS, DATABASE, ENGINE, HUB, QUEUE, SETTINGS, WORKER, ServerSettings
from graphengine.server.threads import DaemonThread
from graphengine.server.worker import Worker

logger = logging.getLogger(__name__)

#: Every module with endpoints. Each route is served at its path and below /api, those of /internal only there.
MODULES = (prompts, queue_handlers, history, jobs, sockets, services)


def make_app(engine: Engine, settings: ServerSettings) -> web.Application:
    """The server as an application; its queue is taken up when it starts.

    Raises:
        SettingsError: the settings would let anybody on the network in.
    """
    app = web.Application(
        middlewares=(*safety.middlewares(settings), pack_routes.answer_by_packs),
        client_max_size=settings.max_upload_bytes,
        logger=logger,
    )
    database, hub = Database(settings.database), SocketHub()
    queue = PromptQueue(database, settings.max_queue)
    queue.on_change(lambda remaining: hub.send(messages.status(remaining)))
    app[ENGINE], app[SETTINGS] = engine, settings
    app[DATABASE], app[QUEUE], app[HUB] = database, queue, hub
    app[WORKER] = Worker(engine, queue, hub, settings.run)
    app[CHECKS] = DaemonThread("checks")
    for module in MODULES:
        app.add_routes(_mounted(module.ROUTES))
    app.add_routes(static_files.ROUTES)  # last: the editor's files may have any name
    app[openapi.DOCUMENT] = openapi.as_bytes(description())
    services.prepare(app)
    pack_routes.prepare(app)
    app.cleanup_ctx.append(_life)
    app.on_shutdown.append(_shut_down)
    return app


def endpoints() -> tuple[Endpoint, ...]:
    """The endpoints of all modules."""
    return tuple(endpoint for module in (*MODULES, static_files) for endpoint in module.ENDPOINTS)


def description() -> openapi.Json:
    """The OpenAPI description of the server."""
    return openapi.document(endpoints())


def _mounted(routes: tuple[web.RouteDef, ...]) -> list[web.RouteDef]:
    """The routes at their own paths and below /api."""
    below = [
        web.RouteDef(route.method, f"/api{route.path}", route.handler, route.kwargs)
        for route in routes
        if not route.path.startswith("/internal/")
    ]
    return [*routes, *below]


async def _life(app: web.Application) -> AsyncIterator[None]:
    """Open the database and begin to work; close it at the end.

    Raises:
        SettingsError: the database is in use, or cannot be written.
    """
    await app[DATABASE].open()
    found = await app[QUEUE].load()
    if found:
        logger.info("%d prompts of the last run are in the queue", found)
    app[WORKER].start()
    yield
    await app[DATABASE].close()


async def _shut_down(app: web.Application) -> None:
    """Stop the running prompt, which stays in the queue, and close the sockets."""
    await app[WORKER].stop()
    app[CHECKS].stop()
    await app[HUB].close()
