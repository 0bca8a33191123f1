"""Node calls in several threads."""

from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread

from graphengine.execution.answers import Outcome
from graphengine.execution.call import NodeCall, call_node
from graphengine.execution.coroutines import CoroutineLoop
from graphengine.execution.executor import Instances

_Work = tuple[NodeCall, "Future[Outcome]"]


class ThreadExecutor:
    """Runs up to `jobs` calls at once; coroutines run on a loop beside them.

    The threads are daemons, unlike those of `concurrent.futures`: a node that never returns must not keep the
    process from ending. An abandoned call keeps its thread until it returns; another thread takes its place.
    """

    def __init__(self, jobs: int, instances: Instances) -> None:
        self.jobs = jobs
        self.instances = instances
        self._coroutines = CoroutineLoop()
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads = 0

    def submit(self, call: NodeCall) -> "Future[Outcome]":
        """Start the call as soon as a thread is free."""
        if call.is_async:
            return self._coroutines.submit(call, self.instances.of(call))
        if self._threads < self.jobs:
            self._start()
        future: Future[Outcome] = Future()
        self._work.put((call, future))
        return future

    def abandon(self, future: "Future[Outcome]") -> None:
        """Cancel a coroutine or a call that has not begun; leave one that has to itself."""
        if not future.cancel() and not future.done():
            self._start()

    def close(self) -> None:
        """Let the threads end when what they do is done."""
        for _ in range(self._threads):
            self._work.put(None)
        self._coroutines.close()

    def _start(self) -> None:
        self._threads += 1
        Thread(target=self._serve, name=f"graphengine node {self._threads}", daemon=True).start()

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            call, future = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call_node(call, self.instances.of(call)))
            except BaseException as error:  # noqa: BLE001 (a node may raise anything; the run raises it again)
                future.set_exception(error)
            del work, call, future  # while waiting, a thread holds no inputs and no outputs
