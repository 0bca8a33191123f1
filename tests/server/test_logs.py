"""The last lines of the log, for who asks and for who subscribes."""

import logging
from collections.abc import Iterator

import pytest

from graphengine.server.logs import MAX_CHARACTERS, MAX_LINES, LogRing
from tests.server.asking import Server

logger = logging.getLogger("tests.logs")


@pytest.fixture
def ring() -> Iterator[LogRing]:
    """A ring that keeps what the tests log."""
    ring = LogRing()
    logger.addHandler(ring)
    yield ring
    logger.removeHandler(ring)


def test_the_ring_keeps_the_last_lines(ring: LogRing) -> None:
    for number in range(MAX_LINES + 5):
        logger.warning("line %d", number)
    lines = [line["m"] for line in ring.lines()]
    assert (len(lines), lines[0], lines[-1]) == (
        MAX_LINES,
        "WARNING tests.logs: line 5\n",
        f"WARNING tests.logs: line {MAX_LINES + 4}\n",
    )


def test_the_ring_gives_the_lines_after_a_number(ring: LogRing) -> None:
    for number in range(5):
        logger.warning("%d", number)
    assert [line["m"][-2] for line in ring.lines(since=3)] == ["3", "4"]
    assert ring.lines(since=5) == []


def test_a_long_line_is_cut(ring: LogRing) -> None:
    logger.warning("a" * 100_000)
    assert len(ring.lines()[0]["m"]) == MAX_CHARACTERS + 1


def test_the_log_is_told_as_text_and_as_lines(server: Server) -> None:
    logger.warning("something happened")
    assert "something happened\n" in server.get("/internal/logs").json
    raw = server.get("/internal/logs/raw").json
    assert raw["entries"][-1]["m"] == "WARNING tests.logs: something happened\n"
    assert set(raw["size"]) == {"cols", "rows"}


def test_a_subscriber_gets_new_lines_until_it_has_enough(server: Server) -> None:
    async def scenario() -> list[str]:
        client = server.client
        logger.warning("before")
        async with client.ws_connect("/ws?clientId=one") as socket:
            await socket.receive_json()
            await client.patch("/internal/logs/subscribe", json={"clientId": "one", "enabled": True})
            logger.warning("during")
            message = await socket.receive_json(timeout=5)
            await client.patch("/internal/logs/subscribe", json={"clientId": "one", "enabled": False})
            logger.warning("after")
            await client.post("/queue", json={"clear": True})
            assert message["type"] == "logs"
            return [line["m"] for line in message["data"]["entries"]]

    assert server.runner.run(scenario()) == ["WARNING tests.logs: during\n"]


@pytest.mark.parametrize("body", [{}, {"clientId": 5, "enabled": True}, {"clientId": "a", "enabled": 1}, []])
def test_a_subscription_needs_a_client_and_a_flag(body: object, server: Server) -> None:
    assert server.ask("PATCH", "/internal/logs/subscribe", json=body).status == 400


def test_the_handler_is_gone_when_the_server_is(engine: object, server: Server) -> None:
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, LogRing)]
    assert len(handlers) == 1
    server.runner.run(server.client.close())
    assert not [handler for handler in logging.getLogger().handlers if isinstance(handler, LogRing)]
