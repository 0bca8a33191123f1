"""`/internal/logs`: the last lines of the log, for the editor's terminal panel and for sockets that subscribe."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from aiohttp import web

from graphengine.server.bodies import read_json_object
from graphengine.server.endpoint import OBJECT, TEXT, Endpoint, json, list_of, object_of, routes
from graphengine.server.frames import Message
from graphengine.server.hub import SocketHub
from graphengine.server.state import HUB

#: Lines that are kept, and characters that are kept of one.
MAX_LINES = 1000
MAX_CHARACTERS = 8192
#: Columns and rows of the terminal that there is none of; the panel wants a size.
SIZE = {"cols": 80, "rows": 24}

Line = dict[str, str]


class LogRing(logging.Handler):
    """Keeps the last lines of the log: `t` is the time (ISO 8601), `m` the text with its line feed.

    `on_line` is called in the thread that logs.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self._lines: deque[Line] = deque(maxlen=MAX_LINES)
        self.on_line: Callable[[], None] | None = None
        self.written = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's line."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a record that cannot be formatted must not end what logged it
            self.handleError(record)
            return
        time = datetime.fromtimestamp(record.created, UTC).isoformat()
        self._lines.append({"t": time, "m": text[:MAX_CHARACTERS] + "\n"})
        self.written += 1
        if self.on_line is not None:
            self.on_line()

    def lines(self, since: int = 0) -> list[Line]:
        """The lines that are kept, of those after the first `since` ones."""
        self.acquire()
        try:
            wanted = min(self.written - since, len(self._lines))
            return list(self._lines)[-wanted:] if wanted > 0 else []
        finally:
            self.release()


class Subscriptions:
    """The clients that get new lines over their sockets. Used in the event loop only, but for `wake`."""

    def __init__(self, ring: LogRing, hub: SocketHub) -> None:
        self._ring, self._hub = ring, hub
        self._clients: set[str] = set()
        self._sent = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_woken = False
        hub.on_leave(self._clients.discard)

    def start(self) -> None:
        """Begin to listen to the ring."""
        self._loop = asyncio.get_running_loop()
        self._ring.on_line = self.wake

    def stop(self) -> None:
        """Listen no longer."""
        self._ring.on_line = None
        self._loop = None

    def set(self, client: str, *, enabled: bool) -> None:
        """Send new lines to this client, or no longer. A client that is not connected is not remembered."""
        if not enabled:
            self._clients.discard(client)
        elif self._hub.has(client):
            if not self._clients:
                self._sent = self._ring.written
            self._clients.add(client)

    def wake(self) -> None:
        """Have the new lines sent soon; may be called in any thread."""
        loop = self._loop
        if loop is None or not self._clients or self._is_woken:
            return
        self._is_woken = True
        try:
            loop.call_soon_threadsafe(self._send)
        except RuntimeError:  # the loop has just been closed; nobody listens
            self._is_woken = False

    def _send(self) -> None:
        self._is_woken = False
        lines = self._ring.lines(self._sent)
        self._sent = self._ring.written
        if lines:
            message = Message("logs", {"entries": lines, "size": SIZE}, key="logs")
            for client in tuple(self._clients):
                self._hub.send(message, client)


LOGS = web.AppKey("logs", LogRing)
SUBSCRIPTIONS = web.AppKey("subscriptions", Subscriptions)


def prepare(app: web.Application) -> None:
    """Keep the log for as long as the server runs."""
    app[LOGS] = LogRing()
    app[SUBSCRIPTIONS] = Subscriptions(app[LOGS], app[HUB])
    app.cleanup_ctx.append(_listening)


async def _listening(app: web.Application) -> AsyncIterator[None]:
    root = logging.getLogger()
    root.addHandler(app[LOGS])
    app[SUBSCRIPTIONS].start()
    try:
        yield
    finally:
        app[SUBSCRIPTIONS].stop()
        root.removeHandler(app[LOGS])


async def text(request: web.Request) -> web.Response:
    """The last lines of the log as one text."""
    return web.json_response("".join(f"{line['t']} - {line['m']}" for line in request.app[LOGS].lines()))


async def raw(request: web.Request) -> web.Response:
    """The last lines of the log with their times."""
    return web.json_response({"entries": request.app[LOGS].lines(), "size": SIZE})


async def subscribe(request: web.Request) -> web.Response:
    """Send new lines of the log to the socket `clientId`, or no longer."""
    match await read_json_object(request):
        case {"clientId": str(client), "enabled": bool(enabled)}:
            request.app[SUBSCRIPTIONS].set(client, enabled=enabled)
            return web.Response()
        case _:
            raise web.HTTPBadRequest(text="the body must be {clientId: text, enabled: true or false}")


_RAW = object_of({"entries": list_of(object_of({"t": TEXT, "m": TEXT})), "size": OBJECT})
ENDPOINTS = (
    Endpoint("GET", "/internal/logs", text, answers={200: json(TEXT)}),
    Endpoint("GET", "/internal/logs/raw", raw, answers={200: json(_RAW)}),
    Endpoint(
        "PATCH",
        "/internal/logs/subscribe",
        subscribe,
        answers={200: None},
        body=json(object_of({"clientId": TEXT, "enabled": {"type": "boolean"}})),
    ),
)
ROUTES = routes(ENDPOINTS)
