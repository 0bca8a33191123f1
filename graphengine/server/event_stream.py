"""Events on their way from the worker's thread to the event loop, in batches."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from graphengine.execution.events import Event

#: Events that are handed on before the loop does something else.
BATCH = 100
#: Events that wait at most; then the run waits for the loop.
MOST = 10_000
_PATIENCE = 1.0  # seconds after which a waiting run looks again


class EventStream:
    """Takes events in one thread and hands them on in the loop's, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Callable[[Event], None]) -> None:
        self._loop = loop
        self._receive = receive
        self._events: deque[Event] = deque()
        self._is_scheduled = False
        self._room = threading.Event()

    def __call__(self, event: Event) -> None:
        """Take an event, in the worker's thread; waits while too many are on their way."""
        while len(self._events) >= MOST and not self._loop.is_closed():
            self._room.clear()
            self._room.wait(_PATIENCE)
        self._events.append(event)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon_threadsafe(self._hand_on)

    def _hand_on(self) -> None:
        self._is_scheduled = False  # before looking: an event that comes now schedules the next look
        for _ in range(min(BATCH, len(self._events))):
            self._receive(self._events.popleft())
        if len(self._events) < MOST // 2:
            self._room.set()
        if self._events and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._hand_on)

    async def drain(self) -> None:
        """Return when every event was handed on."""
        while self._events:
            self._hand_on()
            await asyncio.sleep(0)  # lets the sockets send
