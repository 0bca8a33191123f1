"""The open sockets, and what waits to be sent to each.

A client that reads too slowly costs no memory: from `BUSY` waiting messages on, messages of one key stand for each
other; at `MOST` messages or `MOST_BYTES`, those with a key are left out; when that is not enough, the socket is
closed, and the client may come back and read the history. A healthy client gets every message in order.
"""

import asyncio
import itertools
import logging
import uuid
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, web

from graphengine.server.frames import Message, Picture

logger = logging.getLogger(__name__)

#: Messages that wait at a socket before newer ones replace older ones of their key.
BUSY = 1_000
#: Messages, and bytes of those that must not be left out, that wait at most.
MOST = 4_000
MOST_BYTES = 32 * 2**20
#: Characters of a client's id at most.
LONGEST_ID = 128
#: Open sockets at most.
MOST_SOCKETS = 256


def is_client_id(name: str) -> bool:
    """Whether a client may call itself so."""
    return 0 < len(name) <= LONGEST_ID and name.isprintable()


@dataclass(eq=False)
class Client:
    """One socket and what waits for it; `abort` ends its connection at once.

    `wants_metadata`: it sent the flag that it understands described previews.
    """

    sid: str
    socket: web.WebSocketResponse
    abort: Callable[[], None]
    wants_metadata: bool = False
    _waiting: dict[int, Message | Picture] = field(default_factory=dict)
    _places: dict[Hashable, int] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _bytes: int = 0
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _too_slow: bool = False

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    def send(self, message: Message | Picture) -> None:
        """Let the message wait its turn; never blocks."""
        if self._too_slow:
            return
        key = message.key
        if key is not None and (len(self._waiting) >= BUSY or isinstance(message, Picture)):
            message = self._instead_of_older(message, key)
        number = next(self._numbers)
        self._waiting[number] = message
        if key is not None:
            self._places[key] = number
        elif isinstance(message, Message):
            self._bytes += len(message.payload)
        if len(self._waiting) > MOST or self._bytes > MOST_BYTES:
            self._make_room()
        self._ready.set()

    def _instead_of_older(self, message: Message | Picture, key: Hashable) -> Message | Picture:
        older = self._waiting.pop(self._places.pop(key, -1), None)
        return message if older is None else message.after(older)

    def _make_room(self) -> None:
        self._waiting = {number: each for number, each in self._waiting.items() if each.key is None}
        self._places.clear()
        if len(self._waiting) > MOST // 2 or self._bytes > MOST_BYTES:
            logger.warning("socket %s reads too slowly: it is closed", self.sid)
            self._too_slow = True
            self._waiting.clear()
            self.abort()  # a close would wait behind what the client does not read

    async def pump(self) -> None:
        """Send what waits, for as long as the socket is open."""
        while not self._too_slow:
            await self._ready.wait()
            self._ready.clear()
            try:
                await self._send_all()
            except (ConnectionError, RuntimeError):  # it closed; the reader ends as well
                return

    async def _send_all(self) -> None:
        while self._waiting:
            number = next(iter(self._waiting))
            message = self._waiting.pop(number)
            if message.key is not None and self._places.get(message.key) == number:
                del self._places[message.key]
            if isinstance(message, Picture):
                await self.socket.send_bytes(message.described if self.wants_metadata else message.plain)
                continue
            if message.key is None:
                self._bytes -= len(message.payload)
            await self.socket.send_str(message.payload)


class SocketHub:
    """All clients by id. Used in the event loop only."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._sockets: set[Client] = set()
        self._listeners: list[Callable[[str], None]] = []

    def on_leave(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called with the id of each client that is gone."""
        self._listeners.append(listener)

    def add(self, sid: str | None, socket: web.WebSocketResponse, abort: Callable[[], None]) -> Client:
        """A new client. A second socket of the same id replaces the first, which gets nothing from then on.

        The first is left open: two windows that share an id would else close each other for ever.
        """
        client = Client(sid or uuid.uuid4().hex, socket, abort)
        self._clients[client.sid] = client
        self._sockets.add(client)
        return client

    def remove(self, client: Client) -> None:
        """Forget a client whose socket is closed."""
        self._sockets.discard(client)
        if self._clients.get(client.sid) is client:
            del self._clients[client.sid]
            for listener in self._listeners:
                listener(client.sid)

    @property
    def is_full(self) -> bool:
        """Whether as many sockets are open as may be."""
        return len(self._sockets) >= MOST_SOCKETS

    def wants(self, sid: str | None) -> bool:
        """Whether anybody would get a message to `sid`, or to everybody (None)."""
        return bool(self._clients) if sid is None else sid in self._clients

    def has(self, sid: str) -> bool:
        """Whether a client of this id is connected."""
        return sid in self._clients

    def send(self, message: Message | Picture, sid: str | None = None) -> None:
        """Send to one client, or to everybody (None)."""
        if sid is None:
            for client in self._clients.values():
                client.send(message)
        elif (one := self._clients.get(sid)) is not None:
            one.send(message)

    async def close(self) -> None:
        """Close every socket, as the server goes away."""
        closing: list[Any] = [
            client.socket.close(code=WSCloseCode.GOING_AWAY, message=b"the server stops")
            for client in tuple(self._sockets)
        ]
        await asyncio.gather(*closing, return_exceptions=True)
