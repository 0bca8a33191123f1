"""A server in the test's own process, with the sample nodes, and clients that talk to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientWebSocketResponse
from aiohttp.test_utils import TestClient, TestServer

from graphengine.cache.store import CacheStore, MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.server.app import make_app
from graphengine.server.state import ServerSettings
from tests.server.arithmetic import arithmetic

# Any: JSON.
Json = dict[str, Any]
Client = TestClient[Any, Any]


def engine_in(place: Path, store: CacheStore | None = None) -> Engine:
    """An engine with the nodes of `arithmetic`, and folders below `place`."""
    return sample_engine(place, arithmetic(), store)


def sample_engine(place: Path, registry: NodeRegistry, store: CacheStore | None = None) -> Engine:
    """An engine with these nodes, and folders below `place`."""
    for name in ("input", "output", "temp"):
        (place / name).mkdir(exist_ok=True)
    return Engine(
        registry=registry,
        store=store or MemoryStore(),
        folders=Folders(input=(place / "input",), output=place / "output", temp=place / "temp"),
        executor=LocalExecutor(),
        device="cpu",
    )


@asynccontextmanager
async def serving(engine: Engine, place: Path, **settings: Any) -> AsyncIterator[Client]:
    """A client of a server that keeps its queue in `place`."""
    chosen = ServerSettings(user=place / "user", **{"database": place / "queue.sqlite", **settings})
    async with TestClient(TestServer(make_app(engine, chosen))) as client:
        yield client


async def until_idle(socket: ClientWebSocketResponse) -> list[Json]:
    """The messages up to the one that ends a prompt."""
    received: list[Json] = []
    while not received or (received[-1]["type"], received[-1]["data"].get("node", "")) != ("executing", None):
        received.append(await socket.receive_json(timeout=20))
    return received


async def queue_prompt(client: Client, prompt: Json, **rest: Any) -> Json:
    """Queue a prompt and give the answer; it must be taken."""
    response = await client.post("/prompt", json={"prompt": prompt, **rest})
    answer: Json = await response.json()
    assert response.status == 200, answer
    return answer


def adding(*numbers: int) -> Json:
    """A prompt that adds numbers one after the other and shows the sum as node "out"."""
    prompt: Json = {"0": {"class_type": "Number", "inputs": {"value": numbers[0]}}}
    for index, number in enumerate(numbers[1:], start=1):
        prompt[str(index)] = {"class_type": "Add", "inputs": {"a": [str(index - 1), 0], "b": number}}
    prompt["out"] = {"class_type": "Out", "inputs": {"value": [str(len(numbers) - 1), 0]}}
    return prompt
