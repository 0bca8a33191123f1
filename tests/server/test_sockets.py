"""/ws: who hears of what, and what a client may say."""

import asyncio
import json
import logging
import struct
from pathlib import Path

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from graphengine.server.sockets import MOST_TEXT
from tests.server.serving import Client, Json, adding, engine_in, queue_prompt, serving, until_idle


def previewing(size: int = 200) -> Json:
    return {
        "0": {"class_type": "Chequers", "inputs": {"size": size}},
        "1": {"class_type": "Endless", "inputs": {"start": 1, "image": ["0", 0]}},
        "2": {"class_type": "Out", "inputs": {"value": ["1", 0]}},
    }


async def next_picture(socket: ClientWebSocketResponse) -> bytes:
    while True:
        message = await socket.receive(timeout=20)
        if message.type is WSMsgType.BINARY:
            data: bytes = message.data
            return data


async def next_of(socket: ClientWebSocketResponse, type_: str) -> Json:
    """The data of the next message of a type; pictures in between are passed over."""
    while True:
        message = await socket.receive(timeout=20)
        if message.type is WSMsgType.TEXT and (value := json.loads(message.data))["type"] == type_:
            data: Json = value["data"]
            return data


def test_the_first_message_tells_the_client_its_id(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            for query, sid in (
                ("?clientId=me", "me"),
                ("", None),
                ("?clientId=", None),
                (f"?clientId={'x' * 200}", None),
            ):
                socket = await client.ws_connect(f"/ws{query}")
                first = await socket.receive_json(timeout=20)
                assert first["type"] == "status"
                assert first["data"]["status"] == {"exec_info": {"queue_remaining": 0}}
                assert first["data"]["sid"] == sid or (sid is None and len(first["data"]["sid"]) == 32)

    asyncio.run(run())


def test_a_prompt_is_told_to_its_client_in_the_measured_order(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            socket = await client.ws_connect("/api/ws?clientId=me")
            await queue_prompt(client, adding(7), client_id="me")
            messages = await until_idle(socket)
            assert [each["type"] for each in messages] == [
                "status", "status", "status", "execution_start", "execution_cached",
                "progress_state", "executing", "progress_state",
                "progress_state", "executing", "executed", "progress_state",
                "execution_success", "status", "executing",
            ]  # fmt: skip
            remaining = [
                each["data"]["status"]["exec_info"]["queue_remaining"]
                for each in messages
                if each["type"] == "status"
            ]
            assert remaining == [0, 1, 1, 0]

    asyncio.run(run())


def test_other_clients_hear_only_how_many_prompts_there_are(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            other = await client.ws_connect("/ws?clientId=other")
            mine = await client.ws_connect("/ws?clientId=me")
            await queue_prompt(client, adding(1, 2), client_id="me")
            await until_idle(mine)
            assert [(await other.receive_json(timeout=20))["type"] for _ in range(4)] == ["status"] * 4
            with pytest.raises(TimeoutError):
                await other.receive(timeout=0.01)

    asyncio.run(run())


def test_progress_of_a_prompt_without_a_client_goes_to_everybody(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            sockets = [await client.ws_connect(f"/ws?clientId={name}") for name in "ab"]
            await queue_prompt(client, previewing())
            for socket in sockets:
                assert (await next_of(socket, "progress"))["value"] == 1
                assert await next_picture(socket)
            await client.post("/interrupt")
            for socket in sockets:
                while (message := await socket.receive_json(timeout=20))["type"] != "execution_interrupted":
                    assert message["type"] in ("status", "progress_state")

    asyncio.run(run())


def test_a_client_that_comes_back_learns_where_its_prompt_is(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            await queue_prompt(client, previewing(), client_id="me", prompt_id="p1")
            await next_of(socket, "progress")
            await socket.close()
            again = await client.ws_connect("/ws?clientId=me")
            assert (await next_of(again, "execution_start"))["prompt_id"] == "p1"
            assert set((await next_of(again, "progress_state"))["nodes"]) == {"0", "1"}
            assert await next_of(again, "executing") == {"node": "1", "display_node": "1", "prompt_id": "p1"}
            stranger = await client.ws_connect("/ws?clientId=stranger")
            await stranger.receive_json(timeout=20)
            with pytest.raises(TimeoutError):
                await stranger.receive(timeout=0.01)

    asyncio.run(run())


@pytest.mark.parametrize("flag", [True, False])
def test_previews_come_in_the_form_that_the_client_understands(tmp_path: Path, flag: bool) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path, max_upload_bytes=1000) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": flag}})
            assert await next_of(socket, "feature_flags") == {
                "supports_preview_metadata": True, "max_upload_size": 1000,
            }  # fmt: skip
            await queue_prompt(client, previewing(), client_id="me", prompt_id="p1")
            frame = await next_picture(socket)
            if not flag:
                assert struct.unpack(">II", frame[:8]) == (1, 2)
                assert frame[8:].startswith(b"\x89PNG")
                return
            kind, length = struct.unpack(">II", frame[:8])
            assert kind == 4
            assert json.loads(frame[8 : 8 + length]) == {
                "node_id": "1", "prompt_id": "p1", "display_node_id": "1", "parent_node_id": None,
                "real_node_id": "1", "image_type": "image/png",
            }  # fmt: skip
            assert frame[8 + length :].startswith(b"\x89PNG")

    asyncio.run(run())


def test_what_a_client_should_not_say_is_ignored_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nonsense = [
        "",
        "{",
        "[]",
        "[" * 10_000,
        '{"type": "run"}',
        '{"type": "feature_flags", "data": 5}',
        "x" * MOST_TEXT * 2,
    ]

    async def run(client: Client) -> None:
        socket = await client.ws_connect("/ws?clientId=me")
        for text in nonsense:
            await socket.send_str(text)
        await socket.send_bytes(b"\0\1")
        await socket.send_json({"type": "feature_flags", "data": {}})
        assert await next_of(socket, "feature_flags")

    async def serve() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            await run(client)

    with caplog.at_level(logging.WARNING):
        asyncio.run(serve())
    assert [record.getMessage() for record in caplog.records] == [
        "socket 'me': a message that means nothing here was ignored"
    ]


def test_no_more_sockets_than_the_limit_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphengine.server.hub.MOST_SOCKETS", 2)

    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            sockets = [await client.ws_connect("/ws") for _ in range(2)]
            assert (await client.get("/ws")).status == 503
            assert all(not socket.closed for socket in sockets)

    asyncio.run(run())
