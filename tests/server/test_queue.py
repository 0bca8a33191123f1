"""The queue: its order, what is taken out of it, and how a running prompt is stopped."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from aiohttp import ClientWebSocketResponse
from hypothesis import given
from hypothesis import strategies as st

from graphengine.server.database import Database, PromptTables
from graphengine.server.queue import PromptQueue, QueueRefused
from graphengine.server.queue_items import ItemParts, QueueItem, make_item
from tests.server.serving import Client, Json, adding, engine_in, queue_prompt, serving, until_idle

ENDLESS: Json = {
    "1": {"class_type": "Endless", "inputs": {"start": 1}},
    "2": {"class_type": "Out", "inputs": {"value": ["1", 0]}},
}


def item(prompt_id: str, number: float, arrival: int) -> QueueItem:
    return make_item(prompt_id, number, arrival, 0, ItemParts({}, {}, ()), {})


@given(st.lists(st.one_of(st.integers(-3, 3), st.floats(-2, 2)), max_size=12))
def test_prompts_leave_by_number_and_then_by_arrival(numbers: list[float]) -> None:
    items = [item(str(arrival), number, arrival) for arrival, number in enumerate(numbers)]

    async def run() -> list[str]:
        queue = await opened(PromptQueue(database := Database(None), 100), database)
        for each in items:
            await queue.put(each)
        left = [await queue.take() for _ in items]
        await database.close()
        return [each.prompt_id for each in left if each is not None]

    assert asyncio.run(run()) == [
        each.prompt_id for each in sorted(items, key=lambda each: (each.number, each.arrival))
    ]


async def opened(queue: PromptQueue, database: Database) -> PromptQueue:
    await database.open()
    await queue.load()
    return queue


def test_clients_that_send_one_id_at_the_same_time_queue_one_prompt() -> None:
    async def run() -> list[object]:
        queue = await opened(PromptQueue(database := Database(None), 100), database)
        outcomes = await asyncio.gather(
            *(queue.put(item("same", 0, arrival)) for arrival in range(5)), return_exceptions=True
        )
        assert queue.remaining == 1
        await database.close()
        return [type(outcome) for outcome in outcomes]

    assert asyncio.run(run()) == [type(None), *[QueueRefused] * 4]


async def begun(client: Client) -> ClientWebSocketResponse:
    """A socket whose endless prompt runs."""
    socket = await client.ws_connect("/ws?clientId=me")
    await queue_prompt(client, ENDLESS, client_id="me", prompt_id="endless")
    while (await socket.receive_json(timeout=20))["type"] != "progress":
        pass
    return socket


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"delete": ["b", "unknown"]}, ["a", "c"]),
        ({"clear": True}, []),
        ({"clear": False}, ["a", "b", "c"]),
        ({"delete": ["endless"]}, ["a", "b", "c"]),
    ],
)
def test_waiting_prompts_are_deleted_and_the_running_one_stays(
    tmp_path: Path, body: Json, left: list[str]
) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            await begun(client)
            for name in "abc":
                await queue_prompt(client, adding(1, 2), prompt_id=name)
            response = await client.post("/queue", json=body)
            assert (response.status, await response.text()) == (200, "")
            queue = await (await client.get("/api/queue")).json()
            assert [each[1] for each in queue["queue_pending"]] == left
            assert [each[1] for each in queue["queue_running"]] == ["endless"]

    asyncio.run(run())


@pytest.mark.parametrize("body", ["[]", '{"delete": "a"}', '{"clear": 1}', "{", '{"delete": [1]}', ""])
def test_what_is_no_order_to_the_queue_is_refused(tmp_path: Path, body: str) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            response = await client.post("/queue", data=body)
            assert response.status == 400
            assert (await response.json())["error"]["message"]

    asyncio.run(run())


@pytest.mark.parametrize("body", [None, {}, {"prompt_id": "endless"}])
def test_an_interrupt_ends_the_prompt_and_everybody_hears_of_it(tmp_path: Path, body: Json | None) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            other = await client.ws_connect("/ws?clientId=other")
            socket = await begun(client)
            response = await (client.post("/interrupt") if body is None else client.post("/interrupt", json=body))
            assert response.status == 200
            assert [message["type"] for message in await until_idle(socket)] == [
                "execution_interrupted", "status", "executing",
            ]  # fmt: skip
            while (told := await other.receive_json(timeout=20))["type"] == "status":
                pass
            assert told["type"] == "execution_interrupted"
            assert (told["data"]["node_id"], told["data"]["node_type"]) == ("1", "Endless")
            entry = (await (await client.get("/history")).json())["endless"]
            assert entry["status"]["status_str"] == "error"
            assert entry["status"]["completed"] is False
            assert [name for name, _ in entry["status"]["messages"]][-1] == "execution_interrupted"
            (job,) = (await (await client.get("/api/jobs")).json())["jobs"]
            assert job["status"] == "cancelled"

    asyncio.run(run())


def test_an_interrupt_of_another_prompt_stops_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            await begun(client)
            assert (await client.post("/interrupt", json={"prompt_id": "other"})).status == 200
            assert (await client.post("/interrupt", json={"prompt_id": 5})).status == 400
            queue = await (await client.get("/queue")).json()
            assert [each[1] for each in queue["queue_running"]] == ["endless"]

    asyncio.run(run())


def test_an_interrupt_while_nothing_runs_does_not_reach_the_next_prompt(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            await client.post("/interrupt")
            await queue_prompt(client, adding(1, 2), client_id="me")
            assert "execution_success" in [message["type"] for message in await until_idle(socket)]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "cached"), [({"free_memory": True}, []), ({"unload_models": False}, ["0", "1", "out"])]
)
def test_memory_is_freed_before_the_next_prompt(tmp_path: Path, body: Json, cached: list[str]) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            for _ in range(2):
                await queue_prompt(client, adding(1, 2), client_id="me")
                messages = await until_idle(socket)
                assert (await client.post("/free", json=body)).status == 200
            found = next(message["data"]["nodes"] for message in messages if message["type"] == "execution_cached")
            assert sorted(found) == cached

    asyncio.run(run())


def test_a_failing_node_ends_its_prompt_and_the_next_one_runs(tmp_path: Path) -> None:
    failing = {
        "1": {"class_type": "Fail", "inputs": {"message": "broken"}},
        "2": {"class_type": "Out", "inputs": {"value": ["1", 0]}},
    }

    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            await queue_prompt(client, failing, client_id="me", prompt_id="bad")
            error = next(each["data"] for each in await until_idle(socket) if each["type"] == "execution_error")
            assert error["node_id"] == "1"
            assert error["exception_type"] == "RuntimeError"
            assert error["exception_message"].startswith("broken\n")
            assert error["current_inputs"] == {"message": ["broken"]}
            await queue_prompt(client, adding(1, 2), client_id="me", prompt_id="good")
            await until_idle(socket)
            history = await (await client.get("/history")).json()
            assert {name: entry["status"]["status_str"] for name, entry in history.items()} == {
                "bad": "error", "good": "success",
            }  # fmt: skip

    asyncio.run(run())


def test_the_worker_outlives_what_it_stumbles_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        engine = engine_in(tmp_path)
        monkeypatch.setattr(engine.store, "free_memory", lambda: 1 / 0)
        async with serving(engine, tmp_path) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            await client.post("/free", json={"free_memory": True})
            await queue_prompt(client, adding(1, 2), client_id="me")
            assert "execution_success" in [message["type"] for message in await until_idle(socket)]

    asyncio.run(run())


def test_a_prompt_that_cannot_be_written_down_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(tables: PromptTables, each: QueueItem) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            monkeypatch.setattr(PromptTables, "add", fail)
            response = await client.post("/prompt", json={"prompt": adding(1, 2)})
            assert response.status == 507
            assert (await response.json())["error"]["details"] == "database or disk is full"
            assert (await (await client.get("/queue")).json())["queue_pending"] == []

    asyncio.run(run())
