"""Many clients at once, a prompt of many nodes, and a server that is gone in the middle of its work."""

import asyncio
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from aiohttp import ClientWebSocketResponse

from tests.server.serving import Client, Json, adding, engine_in, queue_prompt, serving, until_idle


def writing(number: int) -> Json:
    return {"1": {"class_type": "Write", "inputs": {"value": number}}}


async def queue_in_order(client: Client, name: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        await queue_prompt(client, writing(number), prompt_id=f"{name}{number}")


async def until_left(socket: ClientWebSocketResponse, count: int) -> None:
    """Return when no more than `count` prompts run or wait."""
    while True:
        message = await socket.receive_json(timeout=20)
        if message["type"] == "status" and message["data"]["status"]["exec_info"]["queue_remaining"] <= count:
            return


async def until_begun(socket: ClientWebSocketResponse) -> None:
    """Return when the endless node runs."""
    while (message := await socket.receive_json(timeout=20))["type"] != "progress_state" or (
        message["data"]["nodes"].get("1", {}).get("max") != 4
    ):
        pass


async def come_and_go(client: Client, times: int) -> None:
    for _ in range(times):
        socket = await client.ws_connect("/ws?clientId=restless")
        await socket.receive(timeout=20)
        await socket.close()


async def names_in_history(client: Client) -> list[str]:
    return list(await (await client.get("/history")).json())


def test_many_clients_lose_nothing_and_keep_their_order(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            starts = dict(zip("abcde", range(0, 50, 10), strict=True))
            clients = [queue_in_order(client, name, range(at, at + 8)) for name, at in starts.items()]
            await asyncio.gather(*clients, *(come_and_go(client, 5) for _ in range(3)))
            watcher = await client.ws_connect("/ws")
            await until_left(watcher, 0)
            done = await names_in_history(client)
            for name, start in starts.items():
                mine = [each for each in done if each.startswith(name)]
                assert mine == [f"{name}{number}" for number in range(start, start + 8)]
            assert len(done) == 40
        calls = (tmp_path / "output" / "calls.txt").read_text().split()
        assert sorted(calls, key=int) == [str(start + n) for start in range(0, 50, 10) for n in range(8)]

    asyncio.run(run())


def test_a_server_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """The files as they are while prompts run are what a killed server leaves."""
    left_behind = tmp_path / "killed"
    left_behind.mkdir()

    async def first(engine_place: Path) -> list[str]:
        async with serving(engine_in(engine_place), engine_place) as client:
            watcher = await client.ws_connect("/ws")
            await queue_in_order(client, "p", range(10))
            await queue_prompt(client, ENDLESS, prompt_id="endless")
            await queue_in_order(client, "q", range(10, 20))
            await until_begun(watcher)
            done = await names_in_history(client)
            for file in engine_place.glob("queue.sqlite*"):
                shutil.copy(file, left_behind)
            return done

    async def second() -> None:
        async with serving(engine_in(left_behind), left_behind) as client:
            watcher = await client.ws_connect("/ws?clientId=me")
            await until_begun(watcher)
            answer = await (await client.get("/queue")).json()
            assert [item[1] for item in answer["queue_running"]] == ["endless"]
            assert [item[1] for item in answer["queue_pending"]] == [f"q{number}" for number in range(10, 20)]
            await client.post("/interrupt", json={"prompt_id": "endless"})
            await until_left(watcher, 0)
            assert await names_in_history(client) == [
                *(f"p{number}" for number in range(10)), "endless", *(f"q{number}" for number in range(10, 20)),
            ]  # fmt: skip

    assert asyncio.run(first(tmp_path)) == [f"p{number}" for number in range(10)]
    asyncio.run(second())


ENDLESS: Json = {
    "1": {"class_type": "Endless", "inputs": {"start": 1}},
    "2": {"class_type": "Out", "inputs": {"value": ["1", 0]}},
}


def test_the_messages_of_a_large_prompt_are_less_than_a_kilobyte_per_node(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            received: list[int] = []
            for size in (200, 400):
                await queue_prompt(client, adding(size // 10, *range(size)), client_id="me")
                messages = await until_idle(socket)
                assert [each["type"] for each in messages].count("executing") == size + 3
                received.append(sum(len(json.dumps(each)) for each in messages))
            assert received[1] - received[0] < 1000 * 200

    asyncio.run(run())
