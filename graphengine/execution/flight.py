"""Calls under way: started, waited for, tried again, given up."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from graphengine.execution.answers import Finished, Outcome
from graphengine.execution.call import NodeCall
from graphengine.execution.executor import Executor
from graphengine.execution.peaks import PeakGauge
from graphengine.execution.steps import Step

_POLL_SECONDS = 0.05


@dataclass(slots=True)
class Flight:
    """A call under way, or done: `future` holds its outcome."""

    step: Step
    call: NodeCall
    future: "Future[Outcome]"
    begun: float

    @property
    def seconds(self) -> float:
        """How long ago it began."""
        return time.perf_counter() - self.begun


@dataclass(slots=True)
class Flights:
    """The calls of one run that are under way."""

    executor: Executor
    _under_way: "dict[Future[Outcome], Flight]" = field(default_factory=dict)
    _gauge: PeakGauge = field(default_factory=PeakGauge)
    _done: "SimpleQueue[Future[Outcome]]" = field(default_factory=SimpleQueue)

    def __bool__(self) -> bool:
        return bool(self._under_way)

    @property
    def is_full(self) -> bool:
        """Whether no more calls may start that are no coroutines."""
        return sum(not flight.call.is_async for flight in self._under_way.values()) >= self.executor.jobs

    def start(self, step: Step, call: NodeCall) -> Flight | None:
        """Start a call; gives it back when it is done at once."""
        step.tries += 1
        begun = time.perf_counter()
        if self.executor.jobs > 1 or call.is_async or self._under_way:
            flight = Flight(step, call, self.executor.submit(call), begun)
        else:
            self._gauge.begin()
            flight = Flight(step, call, self.executor.submit(call), begun)
            step.peak = step.peak.joined(self._gauge.end())
        if flight.future.done():
            return flight
        self._under_way[flight.future] = flight
        flight.future.add_done_callback(self._done.put)
        return None

    def wait(self) -> Flight | None:
        """The next call that is done, None when none is for a while."""
        try:
            future = self._done.get(timeout=_POLL_SECONDS)
        except Empty:
            return None
        return self._under_way.pop(future, None)  # None: it was abandoned

    def overdue(self, limit: float) -> Flight | None:
        """A call that takes longer than `limit` seconds, abandoned."""
        for future, flight in self._under_way.items():
            if flight.seconds > limit:
                del self._under_way[future]
                self.executor.abandon(future)
                return flight
        return None

    def settle(self) -> Iterator[tuple[Step, Finished]]:
        """End: coroutines are cancelled, other calls waited for; gives what they still finish."""
        self._gauge.close()
        for future, flight in list(self._under_way.items()):
            if flight.call.is_async:
                del self._under_way[future]
                self.executor.abandon(future)
        while self._under_way:
            flight_done = self._under_way.pop(self._done.get(), None)
            if flight_done is None or flight_done.future.exception() is not None:
                continue
            outcome = flight_done.future.result()
            if isinstance(outcome, Finished):
                yield flight_done.step, outcome
