"""Nodes that are coroutines, on an event loop in a thread of its own."""

from concurrent.futures import Future
from threading import Lock, Thread
from typing import TYPE_CHECKING

from graphengine.execution.answers import Outcome
from graphengine.execution.call import NodeCall, call_async_node

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class CoroutineLoop:
    """Runs coroutine nodes side by side. The loop and its thread exist from the first such node on."""

    def __init__(self) -> None:
        self._loop: AbstractEventLoop | None = None
        self._lock = Lock()

    def submit(self, call: NodeCall, node: object) -> "Future[Outcome]":
        """Start the call; cancelling the future cancels the coroutine."""
        import asyncio  # a twentieth of a second to import, which few workflows need

        return asyncio.run_coroutine_threadsafe(call_async_node(call, node), self._running())

    def _running(self) -> "AbstractEventLoop":
        import asyncio  # as above

        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # daemon: a node that never ends must not keep the process from ending
                Thread(target=_serve, args=(self._loop,), name="graphengine coroutines", daemon=True).start()
            return self._loop

    def close(self) -> None:
        """Stop the loop; calls under way are cancelled."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._loop = None


def _serve(loop: "AbstractEventLoop") -> None:
    import asyncio  # as above

    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.close()
