"""The queue: which prompt runs and which wait. Lives in the event loop; every change is committed first."""

import asyncio
from bisect import insort
from collections.abc import Callable, Collection

from graphengine.errors import GraphEngineError
from graphengine.server.database import Database, PromptTables
from graphengine.server.queue_items import FinishedPrompt, QueueItem

#: Bytes of all waiting prompts together.
MOST_BYTES = 512 * 2**20


class QueueRefused(GraphEngineError):
    """The queue does not take the prompt; `type` is what the protocol calls the reason."""

    def __init__(self, type_: str, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.type = type_


class PromptQueue:
    """Prompts by number and arrival. `on_change` is called after each change, with how many are left."""

    def __init__(self, database: Database, most: int) -> None:
        self._database = database
        self._most = most
        self._pending: list[QueueItem] = []
        self._running: QueueItem | None = None
        self._bytes = 0
        self._numbers = 0
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[int], None]] = []

    async def load(self) -> int:
        """Take up what the last server left; how many prompts that are."""
        self._pending = await self._database.call(PromptTables.queued)
        self._bytes = sum(len(item.text) for item in self._pending)
        arrivals = [item.arrival for item in self._pending]
        self._numbers = max([await self._database.call(PromptTables.last_number), *arrivals]) + 1
        self._changed.set()
        return len(self._pending)

    def on_change(self, listener: Callable[[int], None]) -> None:
        """Have `listener` called after each change."""
        self._listeners.append(listener)

    @property
    def running(self) -> QueueItem | None:
        """The prompt that runs."""
        return self._running

    @property
    def pending(self) -> tuple[QueueItem, ...]:
        """The prompts that wait, in order."""
        return tuple(self._pending)

    @property
    def remaining(self) -> int:
        """How many prompts run or wait."""
        return len(self._pending) + (self._running is not None)

    def next_number(self) -> int:
        """A number greater than all before it; it orders prompts that name none, and those of one number."""
        self._numbers += 1
        return self._numbers - 1

    def find(self, prompt_id: str) -> QueueItem | None:
        """The prompt that runs or waits under this id."""
        if self._running is not None and self._running.prompt_id == prompt_id:
            return self._running
        return next((item for item in self._pending if item.prompt_id == prompt_id), None)

    def refuse_if_full(self) -> None:
        """Raise when no prompt more is taken.

        Raises:
            QueueRefused: as many prompts wait as may.
        """
        if len(self._pending) >= self._most or self._bytes >= MOST_BYTES:
            raise QueueRefused(
                "queue_full",
                f"the queue is full: {len(self._pending)} prompts wait, {self._bytes / 2**20:.0f} MiB",
                "wait until some have run, or clear the queue",
            )

    async def put(self, item: QueueItem) -> None:
        """Queue a prompt.

        Raises:
            QueueRefused: the queue is full, or a prompt of this id runs or waits.
            sqlite3.Error: it could not be written down.
        """
        async with self._lock:
            self.refuse_if_full()
            if self.find(item.prompt_id) is not None:
                raise QueueRefused(
                    "duplicate_prompt_id",
                    f"a prompt with the id {item.prompt_id!r} is in the queue",
                    "leave prompt_id out, or give each prompt its own",
                )
            await self._database.call(PromptTables.add, item)
            insort(self._pending, item, key=lambda each: each.place)
            self._bytes += len(item.text)
            self._tell()

    async def take(self) -> QueueItem | None:
        """The next prompt, which now runs; None when none waits. It stays written down until it ends."""
        async with self._lock:
            if not self._pending:
                return None
            self._running = self._pending.pop(0)
            self._bytes -= len(self._running.text)
            self._tell()
            return self._running

    async def wait(self) -> None:
        """Return after the next change, or at once when something changed since the last call."""
        await self._changed.wait()
        self._changed.clear()

    def wake(self) -> None:
        """Let `wait` return."""
        self._changed.set()

    async def finish(self, done: FinishedPrompt) -> None:
        """Write down how the running prompt ended; `leave` takes it out.

        Raises:
            sqlite3.Error: it could not be written down.
        """
        async with self._lock:
            await self._database.call(PromptTables.finish, done)

    def leave(self) -> None:
        """Nothing runs any more."""
        self._running = None
        self._tell()

    async def delete(self, prompt_ids: Collection[str] | None) -> None:
        """Take waiting prompts out, all of them for None; the one that runs is interrupted, not deleted.

        Raises:
            sqlite3.Error: it could not be written down.
        """
        async with self._lock:
            gone = {item.prompt_id for item in self._pending if prompt_ids is None or item.prompt_id in prompt_ids}
            if not gone:
                return
            await self._database.call(PromptTables.remove, gone)
            self._pending = [item for item in self._pending if item.prompt_id not in gone]
            self._bytes = sum(len(item.text) for item in self._pending)
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        for listener in self._listeners:
            listener(self.remaining)
