"""`/ws`: a client connects, says what it understands, and from then on listens."""

import asyncio
import json
import logging
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from graphengine.server import messages
from graphengine.server.endpoint import TEXT, Endpoint, Query, routes
from graphengine.server.frames import Message
from graphengine.server.hub import Client, is_client_id
from graphengine.server.state import HUB, QUEUE, SETTINGS, WORKER, ServerSettings

logger = logging.getLogger(__name__)

#: Characters of a client's message that are read; longer ones are ignored.
MOST_TEXT = 16 * 1024
#: Bytes of a client's message beyond which the socket is closed.
MOST_BYTES = 2**20


async def listen(request: web.Request) -> web.WebSocketResponse:
    """Open a socket. The first message tells the client its id and how many prompts run or wait."""
    hub, queue = request.app[HUB], request.app[QUEUE]
    if hub.is_full:
        raise web.HTTPServiceUnavailable(text="too many sockets are open")
    socket = web.WebSocketResponse(max_msg_size=MOST_BYTES, compress=False)
    await socket.prepare(request)
    transport = request.transport
    client = hub.add(_client_id(request), socket, transport.abort if transport is not None else _nothing)
    pump = asyncio.create_task(client.pump())
    try:
        client.send(messages.status(queue.remaining, client.sid))
        for message in request.app[WORKER].greeting(client.sid):
            client.send(message)
        await _read(client, request.app[SETTINGS])
    finally:
        hub.remove(client)
        pump.cancel()
        await asyncio.wait([pump])
    return socket


def _client_id(request: web.Request) -> str | None:
    """The id that the client chose; None, so that it gets one, when it chose none that can be used."""
    sid = request.query.get("clientId", "")
    return sid if is_client_id(sid) else None


def _nothing() -> None:
    """The connection is gone already."""


async def _read(client: Client, settings: ServerSettings) -> None:
    """Answer the client's messages until it leaves; those that mean nothing are ignored, and logged once."""
    has_complained = False
    async for message in client.socket:
        data = _understood(message)
        if data is None:
            if not has_complained:
                logger.warning("socket %s: a message that means nothing here was ignored", ascii(client.sid))
            has_complained = True
            continue
        client.wants_metadata = data.get("supports_preview_metadata") is True
        client.send(Message("feature_flags", feature_flags(settings)))


def feature_flags(settings: ServerSettings) -> dict[str, Any]:
    """What the server can do, for clients that ask."""
    return {"supports_preview_metadata": True, "max_upload_size": settings.max_upload_bytes}


# Any: JSON of a client.
def _understood(message: WSMessage) -> dict[str, Any] | None:
    """The flags in a `feature_flags` message, None for any other."""
    if message.type is not WSMsgType.TEXT or len(message.data) > MOST_TEXT:
        return None
    try:
        value = json.loads(message.data)
    except (ValueError, RecursionError):
        return None
    match value:
        case {"type": "feature_flags", "data": dict(flags)}:
            return flags
        case _:
            return None


ENDPOINTS = (Endpoint("GET", "/ws", listen, {101: None}, query={"clientId": Query(TEXT)}),)
ROUTES = routes(ENDPOINTS)
