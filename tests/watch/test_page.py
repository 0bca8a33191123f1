"""The page of a watch: what it is told, who may ask, and how it starts and ends."""

import asyncio
import json
import re
import socket
import threading
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image
from pydantic import JsonValue

from graphengine.engine import Engine
from graphengine.errors import SettingsError
from graphengine.execution.events import NodeFinished, NodeStarted, RunFinished, RunStarted
from graphengine.node.comfy_classes import define
from graphengine.server.safety import middlewares
from graphengine.server.state import ServerSettings
from graphengine.watch.board import Board
from graphengine.watch.page import WatchPage, page_app
from graphengine.watch.page_state import MOST_DRAWN, drawing_of
from graphengine.workflow.models import NodeId
from tests.sample_nodes import Show
from tests.watch.test_board import words
from tests.watch.test_loop import engine as engine
from tests.watch.test_loop import file as file
from tests.watch.test_loop import save

# Any: JSON.
Json = dict[str, Any]
SVG = "{http://www.w3.org/2000/svg}"
GUARDS = middlewares(ServerSettings(user=Path()))


@pytest.fixture
def board(engine: Engine, file: Path) -> Board:
    """A board after a good run that gave a picture, a text, and a picture that was removed since then."""
    title = {"title": "<b>sum</b> & more"}
    save(file, 2, **{"3": {"class_type": "Add", "inputs": {"a": ["1", 0], "b": ["2", 0]}, "_meta": title}})
    board = Board([file], engine.folders, words, now=lambda: 7.0)
    workflow = engine.read(file).workflow
    board.planned(file, engine.foresee(workflow))
    for name in ("one.png", "gone.png"):
        Image.new("RGB", (8, 8), "red").save(engine.folders.output / name)
    (engine.folders.output / "text.txt").write_text("secret")
    board.happened(RunStarted((NodeId("3"),), ()))
    board.happened(NodeStarted(NodeId("3"), "Add"))
    named: list[JsonValue] = [{"filename": name, "type": "output"} for name in ("gone.png", "text.txt", "one.png")]
    board.happened(NodeFinished(NodeId("3"), "Add", 0.25, ui={"images": named}))
    board.happened(RunFinished("success", 1.5, 1, 0))
    board.finished(file)
    (engine.folders.output / "gone.png").unlink()
    return board


def answers(board: Board, *paths: str, **headers: str) -> list[tuple[int, str, str]]:
    """Status, media type and text of what the page's server answers."""

    async def ask() -> list[tuple[int, str, str]]:
        app = page_app(board, GUARDS, asyncio.Event())
        async with TestClient(TestServer(app)) as client:
            found = []
            for path in paths:
                async with client.get(path, headers=headers) as answer:
                    content = await answer.read()
                    found.append((answer.status, answer.content_type, content.decode("utf-8", "replace")))
            return found

    return asyncio.run(ask())


def state(board: Board) -> Json:
    ((status, media_type, text),) = answers(board, "/state")
    assert (status, media_type) == (200, "application/json")
    told: Json = json.loads(text)
    return told


def test_the_state_has_nodes_runs_and_what_changed(board: Board, file: Path) -> None:
    told = state(board)
    (flow,) = told["flows"]
    assert (flow["name"], flow["standing"], flow["trouble"], told["current"]) == ("flow.json", "done", "", 0)
    assert flow["boxes"] == ["1", "2", "3", "4"]
    sums = {"state": "done", "seconds": 0.25, "title": "<b>sum</b> & more", "type": "Add", "running": None}
    assert sums.items() <= next(node for node in flow["nodes"] if node["id"] == "3").items()
    assert flow["runs"] == [
        {"at": 7.0, "outcome": "done", "seconds": 1.5, "executed": 1, "cached": 0, "message": "",
         "changed": ["changed 1", "changed 2", "changed 3", "changed 4"]}
    ]  # fmt: skip


def test_pictures_are_served_and_nothing_else(board: Board, engine: Engine) -> None:
    (flow,) = state(board)["flows"]
    assert [(each["name"], each["shown"]) for each in flow["files"]] == [("one.png", "img"), ("text.txt", None)]
    picture = (engine.folders.output / "one.png").read_bytes().decode("utf-8", "replace")
    served, gone, text, none, elsewhere = answers(
        board, flow["files"][0]["url"], "/file/0/0", "/file/0/1", "/file/0/9", "/file/0/..%2f..%2fflow.json"
    )
    assert served == (200, "image/png", picture)
    assert [each[0] for each in (gone, text, none, elsewhere)] == [404, 404, 404, 404]


def test_the_drawing_has_a_box_for_each_node_in_their_order(board: Board) -> None:
    (status, media_type, text), (absent, _, _) = answers(board, "/graph/0.svg", "/graph/1.svg")
    assert (status, media_type, absent) == (200, "image/svg+xml", 404)
    groups = ET.fromstring(text).findall(f"{SVG}g/{SVG}g")
    places = [group.findall(f"{SVG}text")[1].text for group in groups]
    assert places == ["1 · Number", "2 · Number", "3 · Add", "4 · Show"]
    assert groups[2].findall(f"{SVG}text")[0].text == "<b>sum</b> & more"


def test_a_graph_of_very_many_nodes_is_not_drawn(engine: Engine, file: Path) -> None:
    engine.registry.add(define("Many", Show))
    many = {f"m{number}": {"class_type": "Many", "inputs": {"value": 1}} for number in range(MOST_DRAWN)}
    graph = engine.foresee(engine.read(save(file, 2, **many)).workflow).plan.graph
    assert drawing_of(graph, "") is None


def test_the_page_loads_nothing_from_elsewhere(board: Board) -> None:
    pages = answers(board, "/", "/page.js", "/page.css")
    assert [(status, kind) for status, kind, _ in pages] == [
        (200, "text/html"), (200, "text/javascript"), (200, "text/css"),
    ]  # fmt: skip
    addresses = {found for _, _, text in pages for found in re.findall(r"\w+://[^\s\"']+", text)}
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, which nothing is loaded from
    assert "<script>" not in pages[0][2]


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_pages_of_others_get_nothing(board: Board, headers: dict[str, str]) -> None:
    assert [status for status, _, _ in answers(board, "/state", "/graph/0.svg", "/file/0/2", **headers)] == [
        403
    ] * 3


def test_a_page_may_run_its_own_script_alone(page: WatchPage) -> None:
    with urllib.request.urlopen(page.address, timeout=20) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")


def test_nothing_can_be_changed_through_it(board: Board) -> None:
    app = page_app(board, GUARDS, asyncio.Event())
    assert {route.method for route in app.router.routes()} == {"GET", "HEAD"}


@pytest.fixture
def page(board: Board) -> Iterator[WatchPage]:
    with WatchPage(board, GUARDS) as page:
        yield page


def test_what_changes_is_told_to_an_open_page(page: WatchPage, board: Board, file: Path) -> None:
    with urllib.request.urlopen(f"{page.address}/events", timeout=20) as stream:
        first = json.loads(stream.readline().removeprefix(b"data: "))
        assert stream.readline() == b"\n"
        board.waits(file, "is half written")
        second = json.loads(stream.readline().removeprefix(b"data: "))
    assert first["flows"][0]["standing"] == "done"
    assert second["flows"][0]["trouble"] == "is half written"
    assert second["version"] > first["version"]


def test_it_ends_while_a_page_is_open_and_leaves_no_thread(board: Board) -> None:
    with WatchPage(board, GUARDS) as page:
        stream = urllib.request.urlopen(f"{page.address}/events", timeout=20)
        assert stream.readline().startswith(b"data: ")
    assert not any(thread.name == "watch page" for thread in threading.enumerate())
    stream.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(page.address, timeout=5)


def test_a_port_in_use_is_told(board: Board) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=rf"cannot listen on 127\.0\.0\.1:{port}"),
            WatchPage(board, GUARDS, port),
        ):
            pytest.fail("it listens")


def test_there_is_an_end_to_pages_that_are_open(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphengine.watch.page._MOST_PAGES", 0)
    ((status, _, text),) = answers(board, "/events")
    assert (status, "close some" in text) == (503, True)


def test_only_this_machine_is_listened_to(page: WatchPage) -> None:
    assert page.address.startswith("http://127.0.0.1:")
