"""What waits for a socket: everything for a client that reads, a bounded rest for one that does not."""

import asyncio
import json
import struct
from typing import Any, cast

import pytest
from aiohttp import web

from graphengine.server.frames import Message, Picture, to_json
from graphengine.server.hub import BUSY, MOST, MOST_BYTES, Client, SocketHub


class Socket:
    """Takes frames while `opened` is set."""

    def __init__(self) -> None:
        self.frames: list[str | bytes] = []
        self.opened = asyncio.Event()

    async def send_str(self, text: str) -> None:
        await self.opened.wait()
        self.frames.append(text)

    async def send_bytes(self, data: bytes) -> None:
        await self.opened.wait()
        self.frames.append(data)

    @property
    def types(self) -> list[str]:
        return [json.loads(frame)["type"] for frame in self.frames]


class Aborted:
    """Remembers whether the connection was ended."""

    def __init__(self) -> None:
        self.called = False

    def __call__(self) -> None:
        self.called = True


def client_of(socket: Socket, abort: Aborted | None = None) -> Client:
    return Client("me", cast(web.WebSocketResponse, socket), abort or Aborted())


def progress(node: str, value: int) -> Message:
    nodes = {node: {"value": value}}
    return Message("progress_state", {"prompt_id": "p", "nodes": nodes}, key="progress_state")


async def sent(client: Client) -> list[str | bytes]:
    """What reaches a client once it reads."""
    socket = cast(Socket, client.socket)
    socket.opened.set()
    pump = asyncio.create_task(client.pump())
    while client.waiting:
        await asyncio.sleep(0)
    pump.cancel()
    await asyncio.wait([pump])
    return socket.frames


def test_a_client_that_reads_gets_every_message_in_order() -> None:
    async def run() -> None:
        client = client_of(Socket())
        for value in range(BUSY):
            client.send(progress("1", value))
        frames = await sent(client)
        assert [json.loads(frame)["data"]["nodes"]["1"]["value"] for frame in frames] == list(range(BUSY))

    asyncio.run(run())


def test_progress_that_a_slow_client_has_not_read_is_put_together() -> None:
    async def run() -> None:
        client = client_of(Socket())
        for number in range(BUSY):
            client.send(Message("executed", {"n": number}))
        for number in range(5 * BUSY):
            client.send(progress(str(number % 7), number))
        assert client.waiting == BUSY + 1
        frames = await sent(client)
        nodes = json.loads(frames[-1])["data"]["nodes"]
        assert {name: node["value"] for name, node in nodes.items()} == {
            str(number % 7): number for number in range(5 * BUSY - 7, 5 * BUSY)
        }

    asyncio.run(run())


def test_a_client_that_never_reads_is_cut_off() -> None:
    async def run() -> None:
        aborted = Aborted()
        client = client_of(Socket(), aborted)
        for number in range(MOST + 1):
            client.send(Message("executed", {"n": number}))
        assert aborted.called
        assert client.waiting == 0
        client.send(Message("executed", {}))
        assert client.waiting == 0

    asyncio.run(run())


def test_large_messages_count_by_their_size() -> None:
    async def run() -> None:
        aborted = Aborted()
        client = client_of(Socket(), aborted)
        text = "x" * (MOST_BYTES // 4)
        for _ in range(3):
            client.send(Message("executed", {"text": text}))
        assert not aborted.called
        for _ in range(2):
            client.send(Message("executed", {"text": text}))
        assert aborted.called

    asyncio.run(run())


def test_room_is_made_by_what_may_be_left_out() -> None:
    async def run() -> None:
        client = client_of(Socket())
        client.send(Message("executed", {}))
        for number in range(MOST):
            client.send(Message("progress", {}, key=number))
        assert [json.loads(frame)["type"] for frame in await sent(client)] == ["executed"]

    asyncio.run(run())


def test_of_several_pictures_only_the_last_waits() -> None:
    async def run() -> None:
        client = client_of(Socket())
        for data in (b"1", b"2", b"3"):
            client.send(Picture(data, "png", {"node_id": "7"}))
        assert await sent(client) == [struct.pack(">II", 1, 2) + b"3"]

    asyncio.run(run())


def test_a_client_that_asked_gets_pictures_with_their_node() -> None:
    async def run() -> None:
        client = client_of(Socket())
        client.wants_metadata = True
        client.send(Picture(b"\xff\xd8", "jpeg", {"node_id": "7"}))
        (frame,) = await sent(client)
        assert isinstance(frame, bytes)
        kind, length = struct.unpack(">II", frame[:8])
        assert kind == 4
        assert json.loads(frame[8 : 8 + length]) == {"node_id": "7", "image_type": "image/jpeg"}
        assert frame[8 + length :] == b"\xff\xd8"

    asyncio.run(run())


def test_a_second_socket_of_an_id_takes_its_place_and_outlives_the_first() -> None:
    async def run() -> None:
        hub = SocketHub()
        left: list[str] = []
        hub.on_leave(left.append)
        first, second = Socket(), Socket()
        old = hub.add("me", cast(web.WebSocketResponse, first), Aborted())
        new = hub.add("me", cast(web.WebSocketResponse, second), Aborted())
        hub.remove(old)
        assert hub.has("me")
        assert left == []
        hub.send(Message("status", {}), "me")
        assert (old.waiting, new.waiting) == (0, 1)
        hub.remove(new)
        assert (hub.has("me"), hub.wants(None), left) == (False, False, ["me"])

    asyncio.run(run())


# Any: values of nodes.
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": float("nan"), "b": [float("inf")]}, '{"a":null,"b":[null]}'),
        ({"a": {1}}, '{"a":"{1}"}'),
        ({(1, 2): 1, "b": 2}, '{"b":2}'),
        ({"a": "ü\n"}, '{"a":"\\u00fc\\n"}'),
    ],
)
def test_what_json_cannot_say_becomes_what_it_can(value: Any, text: str) -> None:
    assert to_json(value) == text


def test_a_value_that_contains_itself_becomes_text() -> None:
    value: list[object] = [1]
    value.append(value)
    assert json.loads(to_json(value)) == "[1, [...]]"
