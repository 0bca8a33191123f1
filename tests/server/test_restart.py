"""A server that ends, in order or not, and the next one on the same file: no prompt is lost, none runs twice."""

import asyncio
import threading
from contextlib import closing
from pathlib import Path

import pytest

from graphengine.node.comfy_classes import define
from graphengine.server.database import PromptTables, open_tables
from tests.server.serving import Client, Json, adding, engine_in, queue_prompt, serving

ENDLESS: Json = {
    "0": {"class_type": "Write", "inputs": {"value": 1}},
    "1": {"class_type": "Endless", "inputs": {"start": ["0", 0]}},
    "2": {"class_type": "Out", "inputs": {"value": ["1", 0]}},
}


async def leave_running(client: Client) -> None:
    """Queue an endless prompt and three others, and wait until the first one runs."""
    socket = await client.ws_connect("/ws?clientId=me")
    await queue_prompt(client, ENDLESS, client_id="me", prompt_id="endless")
    while (await socket.receive_json(timeout=20))["type"] != "progress":
        pass
    await queue_prompt(client, adding(1, 1), prompt_id="a")
    await queue_prompt(client, adding(1, 2), prompt_id="b")
    await queue_prompt(client, adding(1, 3), prompt_id="c", front=True)


async def queued(client: Client) -> list[str]:
    answer = await (await client.get("/queue")).json()
    return [item[1] for item in (*answer["queue_running"], *answer["queue_pending"])]


def test_a_prompt_that_is_stopped_with_the_server_goes_on_from_the_cache(tmp_path: Path) -> None:
    async def run() -> None:
        engine = engine_in(tmp_path)
        async with serving(engine, tmp_path) as client:
            await leave_running(client)
            assert await queued(client) == ["endless", "c", "a", "b"]
        async with serving(engine, tmp_path) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            assert await (await client.get("/history/endless")).json() == {}
            while (message := await socket.receive_json(timeout=20))["type"] != "executing":
                pass
            assert (message["data"]["prompt_id"], message["data"]["node"]) == ("endless", "1")
            assert await queued(client) == ["endless", "a", "b"]
            await client.post("/interrupt")
            while await queued(client):
                await socket.receive(timeout=20)
            history = await (await client.get("/history")).json()
            assert list(history) == ["c", "endless", "a", "b"]
            answer = await queue_prompt(client, adding(1, 1))
            assert answer["number"] > 3
        assert (tmp_path / "output" / "calls.txt").read_text() == "1\n"

    asyncio.run(run())


def test_a_queue_in_memory_ends_with_its_server(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path, database=None) as client:
            await leave_running(client)
        async with serving(engine_in(tmp_path), tmp_path, database=None) as client:
            assert await queued(client) == []

    asyncio.run(run())


class Deaf:
    """Runs until `released`, whatever the run is asked."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    OUTPUT_NODE = True
    begun = threading.Event()
    released = threading.Event()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[str, dict[str, int]]]]:
        return {"required": {"value": ("INT", {})}}

    def run(self, value: int) -> tuple[int]:
        self.begun.set()
        self.released.wait(20)
        return (value,)


def test_a_node_that_does_not_stop_does_not_keep_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("graphengine.server.worker.GRACE", 0.01)
    engine = engine_in(tmp_path)
    engine.registry.add(define("Deaf", Deaf, version="1"))

    async def run() -> None:
        async with serving(engine, tmp_path) as client:
            await queue_prompt(client, {"1": {"class_type": "Deaf", "inputs": {"value": 1}}}, prompt_id="deaf")
            await asyncio.to_thread(Deaf.begun.wait, 20)

    try:
        asyncio.run(run())
    finally:
        Deaf.released.set()
    assert "the running node does not stop; its prompt runs again at the next start" in caplog.text
    with closing(open_tables(tmp_path / "queue.sqlite")) as connection:
        assert [item.prompt_id for item in PromptTables(connection).queued()] == ["deaf"]
