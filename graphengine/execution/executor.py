"""Where node calls run: in this thread, in several threads, and coroutines on a loop of their own."""

from collections.abc import Collection
from concurrent.futures import Future
from threading import Lock
from typing import Any, Protocol

from graphengine.execution.answers import Outcome
from graphengine.execution.call import NodeCall, call_node
from graphengine.execution.coroutines import CoroutineLoop


class Executor(Protocol):
    """Runs node calls, here or elsewhere. It never sees the run, the cache or the listeners."""

    @property
    def instances(self) -> "Instances":
        """The objects that it calls nodes on."""

    @property
    def jobs(self) -> int:
        """How many calls that are no coroutines may be under way at once."""

    def submit(self, call: NodeCall) -> "Future[Outcome]":
        """Start the call; its outcome is in the future."""

    def abandon(self, future: "Future[Outcome]") -> None:
        """Stop waiting for a call, and stop it where that is possible."""

    def close(self) -> None:
        """Let go of threads; calls under way are left behind."""


class Instances:
    """The objects that nodes are called on. A node keeps its object as long as its id is in use, as in ComfyUI."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], tuple[type[Any], object]] = {}
        self._lock = Lock()

    def of(self, call: NodeCall) -> object:
        """The object for a call, made anew when the class has changed."""
        node_class = call.load()
        place = (call.node_id, call.class_type)
        with self._lock:
            found = self._objects.get(place)
        if found is not None and found[0] is node_class:
            return found[1]
        made = node_class()
        with self._lock:
            self._objects[place] = (node_class, made)
        return made

    def keep(self, node_ids: Collection[str]) -> None:
        """Let go of the objects of all other nodes."""
        with self._lock:
            for place in [place for place in self._objects if place[0] not in node_ids]:
                del self._objects[place]


class LocalExecutor:
    """Runs each call at once, in this thread, so that Ctrl-C reaches the node; coroutines run on a loop."""

    jobs = 1

    def __init__(self, instances: Instances | None = None) -> None:
        self.instances = instances or Instances()
        self._coroutines = CoroutineLoop()

    def submit(self, call: NodeCall) -> "Future[Outcome]":
        """Run the call; an error is kept in the future."""
        if call.is_async:
            return self._coroutines.submit(call, self.instances.of(call))
        future: Future[Outcome] = Future()
        try:
            future.set_result(call_node(call, self.instances.of(call)))
        except Exception as error:  # noqa: BLE001 (a node may raise anything)
            future.set_exception(error)
        return future

    def abandon(self, future: "Future[Outcome]") -> None:
        """Cancel a coroutine; other calls have ended when this can be asked."""
        future.cancel()

    def close(self) -> None:
        """End the loop of the coroutines."""
        self._coroutines.close()
