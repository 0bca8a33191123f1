"""Paths that packs answer, and messages that they send."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graphengine.engine import Engine
from graphengine.packs.discover import custom_packs
from graphengine.packs.stand_ins import put_in_place
from tests.packs.place import forget_packs
from tests.server.asking import Server, running

PACK = """
import os
from aiohttp import web
from server import PromptServer

routes = PromptServer.instance.routes

@routes.get("/mine/hello/{name}")
async def hello(request):
    return web.json_response({"hello": request.match_info["name"], "asked": request.query.get("asked")})

@routes.post("/mine/twice")
async def twice(request):
    return web.json_response({"twice": 2 * (await request.json())["value"]})

@routes.get("/prompt")
async def take_over(request):
    return web.json_response({"taken": True})

@routes.get("/mine/broken")
async def broken(request):
    raise ValueError("no")

@routes.get("/mine/nothing")
def nothing(request):
    return None

@routes.get("no-slash")
async def no_slash(request):
    return web.Response()

PromptServer.instance.app.add_static("/mine/files", os.path.join(os.path.dirname(__file__), "files"))

class Tell:
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {})}}
    def run(self, value):
        PromptServer.instance.send_sync("mine.told", {"value": value})
        PromptServer.instance.send_sync(7, b"binary")
        return ()

NODE_CLASS_MAPPINGS = {"Tell": Tell}
"""


@pytest.fixture
def with_pack(engine: Engine, tmp_path: Path) -> Iterator[Engine]:
    """An engine that has loaded the pack."""
    put_in_place(["graphengine_comfy"])
    folder = tmp_path / "custom_nodes" / "mine"
    (folder / "files").mkdir(parents=True)
    (folder / "__init__.py").write_text(PACK)
    (folder / "files" / "a.txt").write_text("text")
    (folder / "secret.txt").write_text("secret")
    loading = replace(engine, custom=tuple(custom_packs([tmp_path / "custom_nodes"])))
    assert loading.load_all_packs() == []
    prompt_server = sys.modules["server"]
    yield loading
    prompt_server.PromptServer.instance.routes._routes.clear()  # there is one for the process
    forget_packs()


@pytest.fixture
def server(with_pack: Engine, tmp_path: Path) -> Iterator[Server]:
    with running(with_pack, tmp_path) as server:
        yield server


def test_a_pack_answers_at_its_path_and_below_api(server: Server) -> None:
    for prefix in ("", "/api"):
        answer = server.get(f"{prefix}/mine/hello/you?asked=1")
        assert (answer.status, answer.json) == (200, {"hello": "you", "asked": "1"})


def test_a_pack_reads_what_is_posted(server: Server) -> None:
    assert server.post("/mine/twice", json={"value": 21}).json == {"twice": 42}
    assert server.get("/mine/twice").status == 404


def test_a_pack_cannot_take_over_a_route_of_the_server(server: Server) -> None:
    assert server.get("/prompt").json == {"exec_info": {"queue_remaining": 0}}


def test_a_handler_that_fails_is_an_error_of_that_request(server: Server) -> None:
    assert server.get("/mine/broken").status == 500
    assert server.get("/mine/nothing").status == 500
    assert server.get("/mine/hello/still").status == 200


def test_files_of_a_folder_are_served_and_none_beside_it(server: Server) -> None:
    assert server.get("/mine/files/a.txt").body == b"text"
    for beside in ("/mine/files/../secret.txt", "/mine/files/%2e%2e/secret.txt", "/mine/files/b.txt"):
        assert server.get(beside).status in (400, 403, 404)


def test_the_token_counts_for_packs_too(with_pack: Engine, tmp_path: Path) -> None:
    with running(with_pack, tmp_path, token="secret") as server:
        assert server.get("/mine/hello/you").status == 401
        assert server.get("/mine/hello/you", headers={"Authorization": "Bearer secret"}).status == 200


def test_another_site_cannot_ask_a_pack(server: Server) -> None:
    assert server.post("/mine/twice", json={"value": 1}, headers={"Origin": "http://evil.example"}).status == 403


def test_a_route_that_is_added_later_is_served(server: Server) -> None:
    async def later(request: Any) -> Any:
        from aiohttp import web

        return web.json_response("late")

    sys.modules["server"].PromptServer.instance.routes.get("/mine/late")(later)
    assert server.get("/mine/late").json == "late"


def test_what_a_pack_sends_reaches_the_sockets(server: Server) -> None:
    async def told() -> list[Any]:
        async with server.client.ws_connect("/ws?clientId=me") as socket:
            prompt = {"1": {"class_type": "Tell", "inputs": {"value": 5}}}
            async with server.client.post("/prompt", json={"prompt": prompt, "client_id": "me"}) as response:
                assert response.status == 200
            found: list[Any] = []
            async with asyncio.timeout(30):
                while not any(message["type"] == "execution_success" for message in found):
                    found.append(await socket.receive_json())
            return [message["data"] for message in found if message["type"] == "mine.told"]

    assert server.runner.run(told()) == [{"value": 5}]
