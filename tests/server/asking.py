"""A server that tests ask without being coroutines: a question runs the loop until its answer is there."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from graphengine.engine import Engine
from graphengine.server.app import make_app
from graphengine.server.state import ServerSettings

Client = TestClient[Any, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    # Any: JSON.
    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The text of an error."""
        return str(self.json["error"]["message"])


class Server:
    """A running server and its client."""

    def __init__(self, runner: asyncio.Runner, client: Client) -> None:
        self.runner, self.client = runner, client

    @property
    def routes(self) -> set[tuple[str, str]]:
        """Method and path of each route."""
        routes = self.client.app.router.routes() if self.client.app is not None else ()
        return {(route.method, route.resource.canonical) for route in routes if route.resource is not None}

    # Any: what aiohttp's client takes.
    def ask(self, method: str, url: Any, **given: Any) -> Answer:
        return self.runner.run(self._ask(method, url, given))

    def get(self, url: Any, **given: Any) -> Answer:
        return self.ask("GET", url, **given)

    def post(self, url: Any, **given: Any) -> Answer:
        return self.ask("POST", url, **given)

    async def _ask(self, method: str, url: Any, given: dict[str, Any]) -> Answer:
        async with self.client.request(method, url, allow_redirects=False, **given) as response:
            return Answer(response.status, response.headers, await response.read())


@contextmanager
def running(engine: Engine, place: Path, **settings: Any) -> Iterator[Server]:
    """A server that runs while a question is open; its user's folder lies in `place`."""
    with asyncio.Runner() as runner:
        app = make_app(engine, ServerSettings(user=place / "user", **settings))
        client = runner.run(_started(app))
        try:
            yield Server(runner, client)
        finally:
            runner.run(client.close())


async def _started(app: web.Application) -> Client:
    client = TestClient(TestServer(app))
    await client.start_server()
    return client
