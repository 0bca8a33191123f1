"""The description of the server is whole, and the server keeps to it whatever is asked."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.folders import Folders
from graphengine.server import openapi
from graphengine.server.app import description, make_app
from graphengine.server.state import ServerSettings
from tests.sample_nodes import sample_registry
from tests.server.asking import Server

DOCUMENT = description()


def can_be_wrong(operation: openapi.Json) -> bool:
    """Whether the description leaves something out that a query or body could hold."""
    body = operation.get("requestBody", {"content": {}})
    in_query = any(parameter["in"] == "query" for parameter in operation["parameters"])
    return in_query or any(content.get("schema") for content in body["content"].values())


SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
#: Each operation but the socket, asked as described, and also otherwise where a body or query can be wrong.
QUESTIONS = [
    pytest.param(method, path, mode, id=f"{method.upper()} {path} {mode.value}")
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    for mode in GenerationMode
    if path != "/ws" and (mode.is_positive or can_be_wrong(operation))
]
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_every_route_is_described_and_nothing_else(server: Server) -> None:
    own = {(method, path) for method, path in server.routes if method != "HEAD" and not path.startswith("/api/")}
    assert own == {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}


def test_every_endpoint_says_what_it_does() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            assert operation["summary"].endswith("."), path
            assert set(operation["responses"]) >= {"400", "401", "403", "413"}, path


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))
    assert "get_userdata_by_file" in names


def test_the_description_is_served(server: Server) -> None:
    answer = server.get("/openapi.json")
    assert (answer.status, answer.json) == (200, json.loads(json.dumps(DOCUMENT)))


def test_the_description_is_one() -> None:
    SCHEMA.validate()


@contextmanager
def serving_in_a_thread(app: web.Application) -> Iterator[str]:
    """The address of the application while it runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(app, access_log=None)

    async def start() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over the sample nodes, with a file in each folder."""
    place = tmp_path_factory.mktemp("described")
    for name in ("input", "output", "temp", "checkpoints"):
        (place / name).mkdir()
        (place / name / "0").write_bytes(b"a file")
    folders = Folders((place / "input",), place / "output", place / "temp", {"0": (place / "checkpoints",)})
    engine = Engine(sample_registry(), MemoryStore(), folders, LocalExecutor(), device="cpu")
    with serving_in_a_thread(make_app(engine, ServerSettings(user=place / "user"))) as address:
        yield address


@pytest.mark.parametrize(("method", "path", "mode"), QUESTIONS)
def test_the_server_answers_as_described(method: str, path: str, mode: GenerationMode, address: str) -> None:
    @given(case=SCHEMA[path][method].as_strategy(mode))
    @settings(
        max_examples=10,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(base_url=address, checks=CHECKS)

    load_all_checks()
    ask()
