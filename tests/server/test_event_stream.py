"""Events between the worker's thread and the loop: none lost, in order, and not without end."""

import asyncio

import pytest

from graphengine.execution.events import Event, NodeProgress
from graphengine.server import event_stream
from graphengine.server.event_stream import EventStream
from graphengine.server.threads import DaemonThread
from graphengine.workflow.models import NodeId


@pytest.mark.parametrize("most", [10, 10_000])
def test_every_event_arrives_in_order_however_few_may_wait(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MOST", most)
    monkeypatch.setattr(event_stream, "BATCH", 3)
    received: list[int] = []
    waiting: list[int] = []

    def receive(event: Event) -> None:
        assert isinstance(event, NodeProgress)
        received.append(event.value)

    async def run() -> None:
        stream = EventStream(asyncio.get_running_loop(), receive)
        thread = DaemonThread("test")

        def send() -> None:
            for value in range(2000):
                stream(NodeProgress(NodeId("1"), value, 2000))
                waiting.append(value + 1 - len(received))

        await thread.call(send)
        await stream.drain()
        thread.stop()

    asyncio.run(run())
    assert received == list(range(2000))
    assert max(waiting) <= most + 1


def test_what_the_thread_raises_reaches_the_caller_and_the_thread_goes_on() -> None:
    async def run() -> int:
        thread = DaemonThread("test")
        with pytest.raises(ZeroDivisionError):
            await thread.call(lambda: 1 // 0)
        with pytest.raises(KeyboardInterrupt):
            await thread.call(interrupt)
        answer = await thread.call(lambda: 42)
        thread.stop()
        return answer

    def interrupt() -> int:
        raise KeyboardInterrupt

    assert asyncio.run(run()) == 42
