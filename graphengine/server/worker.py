"""Runs one prompt after the other in a thread, and tells the sockets and the history of it.

An end is written down before anybody hears of it. A prompt that is stopped because the server ends is not written
down: it is still in the queue for the next start, and what its nodes gave is in the cache.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from dataclasses import dataclass

from graphengine.engine import Engine
from graphengine.errors import GraphEngineError, RunCancelled
from graphengine.execution.events import Event, NodePreview
from graphengine.execution.hidden import RunExtra
from graphengine.execution.policy import RunOptions
from graphengine.server import messages
from graphengine.server.event_stream import EventStream
from graphengine.server.frames import Audience, Message, to_json
from graphengine.server.hub import SocketHub
from graphengine.server.job_records import finished_job
from graphengine.server.messages import PromptRun
from graphengine.server.previews import Previews
from graphengine.server.prompt_document import workflow_of
from graphengine.server.queue import PromptQueue
from graphengine.server.queue_items import FinishedPrompt, ItemParts, QueueItem, history_entry
from graphengine.server.threads import DaemonThread

logger = logging.getLogger(__name__)

#: Seconds that a node may take to stop when the server ends.
GRACE = 10.0


@dataclass(frozen=True, slots=True)
class _Current:
    """The prompt that runs, since `started` (milliseconds since 1970)."""

    item: QueueItem
    parts: ItemParts
    run: PromptRun
    started: int


class Worker:
    """Takes prompts from the queue for as long as the server runs."""

    def __init__(self, engine: Engine, queue: PromptQueue, hub: SocketHub, options: RunOptions) -> None:
        self._engine = engine
        self._options = options
        self._queue = queue
        self._hub = hub
        self._thread = DaemonThread("worker")
        self._previews = Previews(hub)
        self._cancel = threading.Event()
        self._is_stopping = False
        self._free: dict[str, bool] = {}
        self._current: _Current | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to take prompts."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Ask the running node to stop and wait a little for it."""
        self._is_stopping = True
        self._cancel.set()
        self._queue.wake()
        if self._task is not None:
            _, unfinished = await asyncio.wait([self._task], timeout=GRACE)
            if unfinished:
                logger.warning("the running node does not stop; its prompt runs again at the next start")
                self._task.cancel()
                await asyncio.wait([self._task])
        self._thread.stop()

    def interrupt(self, prompt_id: str | None = None) -> None:
        """Stop the running prompt, whichever it is or only when it has this id."""
        running = self._queue.running
        if running is not None and prompt_id in (None, running.prompt_id):
            self._cancel.set()

    def free(self, *, models: bool, outputs: bool) -> None:
        """Have memory freed before the next prompt."""
        self._free = {
            "models": models or self._free.get("models", False),
            "outputs": outputs or self._free.get("outputs", False),
        }
        self._queue.wake()

    def started_at(self) -> int | None:
        """When the running prompt began, in milliseconds since 1970."""
        return self._current.started if self._current is not None else None

    def greeting(self, sid: str) -> list[Message]:
        """What a client that connects must know of its running prompt."""
        current = self._current
        if current is None or current.parts.client_id not in (None, sid):
            return []
        run = current.run
        if current.parts.client_id is None:
            return [messages.snapshot(run)] if run.nodes else []
        return messages.catch_up(run)

    async def _work(self) -> None:
        while not self._is_stopping:
            try:
                await self._free_memory()
                item = await self._queue.take()
                if item is None:
                    await self._queue.wait()
                else:
                    await self._run_item(item)
            except Exception:  # whatever one prompt came to, the next one runs
                logger.exception("the worker goes on after an error")

    async def _free_memory(self) -> None:
        wanted, self._free = self._free, {}
        if any(wanted.values()):
            await self._thread.call(lambda: self._engine.free(**wanted))

    async def _run_item(self, item: QueueItem) -> None:
        self._cancel.clear()  # before anything is awaited: from now on an interrupt is meant for this prompt
        if self._is_stopping:  # asked while the prompt was taken
            self._cancel.set()
        try:
            parts = await self._thread.call(item.parts)
            class_types = {node_id: node["class_type"] for node_id, node in parts.document.items()}
            run = PromptRun(item.prompt_id, class_types, frozenset(parts.outputs))
            self._current = current = _Current(item, parts, run, _now())
            await self._carry_out(current)
        finally:
            self._current = None
            self._queue.leave()
        self._send([messages.last(run)], parts.client_id)

    async def _carry_out(self, current: _Current) -> None:
        item, run = current.item, current.run
        logger.info("prompt %s begins: %d nodes", item.prompt_id, len(run.class_types))
        self._send(messages.start(run, current.started), current.parts.client_id)
        outcome = await self._execute(current)
        self._previews.forget()
        cancelled = isinstance(outcome, RunCancelled | KeyboardInterrupt)
        if cancelled and self._is_stopping:
            return
        ending = messages.conclude(run, outcome, _now(), cancelled=cancelled)
        status = "cancelled" if cancelled else "completed" if outcome is None else "failed"
        await self._write_down(current, status)
        self._send(ending, current.parts.client_id)
        logger.info("prompt %s: %s after %.2f s", item.prompt_id, status, (_now() - current.started) / 1000)

    async def _execute(self, current: _Current) -> BaseException | None:
        """Run the prompt in the thread; what it raised."""
        item, parts = current.item, current.parts
        stream = EventStream(asyncio.get_running_loop(), lambda event: self._on_event(current, event))
        try:
            await self._thread.call(lambda: self._run_engine(item, parts, stream))
        except GraphEngineError as error:
            return error
        except (Exception, KeyboardInterrupt) as error:
            logger.exception("prompt %s failed unexpectedly", item.prompt_id)
            return error
        finally:
            await stream.drain()
        return None

    def _run_engine(self, item: QueueItem, parts: ItemParts, stream: EventStream) -> None:
        workflow = workflow_of(parts.document, self._engine.registry, parts.editor_document)
        self._engine.run(
            workflow,
            targets=[target for target in workflow.nodes if target in parts.outputs],
            on_event=stream,
            is_cancelled=self._cancel.is_set,
            extra=RunExtra(
                prompt_id=item.prompt_id,
                extra_pnginfo=parts.extra_pnginfo,
                secrets={name.upper(): secret for name, secret in item.secrets.items()},
            ),
            options=self._options,
        )

    def _on_event(self, current: _Current, event: Event) -> None:
        client_id = current.parts.client_id
        if isinstance(event, NodePreview):
            self._previews.show(current.run, event, client_id)
            return
        wanted = self._hub.wants(client_id)
        self._send(messages.translate(current.run, event, _now(), wanted=wanted), client_id)

    def _send(self, told: list[Message], client_id: str | None) -> None:
        for message in told:
            match message.audience:
                case Audience.ALL:
                    self._hub.send(message)
                case Audience.CLIENT_OR_ALL:
                    self._hub.send(message, client_id)
                case Audience.CLIENT if client_id is not None:
                    self._hub.send(message, client_id)

    async def _write_down(self, current: _Current, status: str) -> None:
        item, run, ended = current.item, current.run, _now()
        entry = history_entry(item, run.shown, run.meta, run.log, success=status == "completed")
        job = finished_job(item, run, status, current.started, ended)
        done = FinishedPrompt(
            prompt_id=item.prompt_id,
            status=status,
            number=item.number,
            workflow_id=item.workflow_id,
            created=item.created,
            started=current.started,
            ended=ended,
            entry=entry,
            job=to_json(job),
        )
        try:
            await self._queue.finish(done)
        except sqlite3.Error:
            logger.exception("the end of prompt %s could not be written down", item.prompt_id)


def _now() -> int:
    return time.time_ns() // 1_000_000
