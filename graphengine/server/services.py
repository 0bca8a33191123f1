"""The endpoints beside those of the queue, taken together, and what they keep in the application."""

import asyncio

from aiohttp import web

from graphengine.server import (
    cancelling,
    logs,
    models,
    object_info,
    openapi,
    pack_web,
    static_files,
    system,
    uploads,
    userdata,
    users,
    view,
)

_MODULES = (cancelling, view, uploads, object_info, models, users, userdata, pack_web, system, logs, openapi)
ENDPOINTS = tuple(endpoint for module in _MODULES for endpoint in module.ENDPOINTS)
ROUTES = tuple(route for module in _MODULES for route in module.ROUTES)


def prepare(app: web.Application) -> None:
    """Set what the handlers keep in the application; engine, settings and hub are there already."""
    app[object_info.UNDESCRIBED] = set()
    app[view.DECODING] = asyncio.Semaphore(view.MAX_DECODING)
    app[users.WRITING] = asyncio.Lock()
    for module in (logs, pack_web, static_files):
        module.prepare(app)
