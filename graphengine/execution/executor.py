"""Where node calls run."""

from concurrent.futures import Future
from typing import Protocol

from graphengine.cache.store import Outputs
from graphengine.execution.call import NodeCall, call_node


class Executor(Protocol):
    """Runs node calls, here or elsewhere. It never sees the run, the cache or the listeners."""

    def submit(self, call: NodeCall) -> "Future[Outputs]":
        """Start the call; its outcome is in the future."""


class LocalExecutor:
    """Runs each call at once, in this thread, so that Ctrl-C reaches the node."""

    def submit(self, call: NodeCall) -> "Future[Outputs]":
        """Run the call; an error is kept in the future."""
        future: Future[Outputs] = Future()
        try:
            future.set_result(call_node(call))
        except Exception as error:  # noqa: BLE001 (a node may raise anything)
            future.set_exception(error)
        return future
