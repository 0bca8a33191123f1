"""The page of a watch in a real Chromium, while `graphengine watch --serve` runs and its files are saved."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from graphengine.engine import Engine
from graphengine.execution.events import NodeProgress, NodeStarted, RunStarted
from graphengine.node.comfy_classes import define
from graphengine.watch.board import Board
from graphengine.watch.page import WatchPage
from graphengine.workflow.models import NodeId
from tests.sample_nodes import Add, Show
from tests.server.editor_page import PATIENCE, ROOT, browser_path, chromium
from tests.watch.test_board import words
from tests.watch.test_loop import engine as engine
from tests.watch.test_page import GUARDS

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


def what_is_missing() -> str | None:
    """What must be installed before the page can be opened, as a sentence; None when all is there."""
    if find_spec("playwright") is None:
        return "the page cannot be opened here; first: pip install playwright"
    return "the page cannot be opened here; first: apt-get install chromium" if browser_path() is None else None


pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(what_is_missing() is not None, reason=what_is_missing() or ""),
]


@pytest.fixture(scope="module")
def browser() -> Iterator["BrowserContext"]:
    from playwright.sync_api import expect

    with chromium(1400, 900) as browser:
        expect.set_options(timeout=PATIENCE)
        yield browser
        expect.set_options(timeout=None)


@pytest.fixture
def page(browser: "BrowserContext") -> Iterator["Page"]:
    """A page in which nothing may fail."""
    page = browser.new_page()
    faults: list[str] = []
    page.on(
        "console",
        lambda told: faults.append(f"{told.location['url']}: {told.text}") if told.type == "error" else None,
    )
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: faults.append(f"{request.url}: {request.failure}"))
    yield page
    page.close()
    assert [fault for fault in faults if "/events" not in fault] == []  # it ends with the page, or the watch


@contextmanager
def watching(folder: Path) -> Iterator[str]:
    """The address of the page of a watch process."""
    command = [sys.executable, "-m", "graphengine.cli", "watch", "flow.json", "--serve", "0", "--device", "cpu"]
    with subprocess.Popen(
        [*command, "--cache", str(folder / "cache")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'nodes'}"},
    ) as process:
        assert process.stderr is not None
        try:
            told = [process.stderr.readline(), process.stderr.readline()]
            address = re.search(r"page: (http://127\.0\.0\.1:\d+)", told[1])
            assert address, f"no page is served: {told}"
            yield address[1]
        finally:
            process.terminate()
            process.stderr.read()
        assert process.wait(60) == 0


def save(folder: Path, colour: int) -> None:
    nodes = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 40, "height": 30, "batch_size": 1, "color": colour}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "made"}},
    }
    (folder / "flow.json").write_text(json.dumps(nodes))


def test_a_save_changes_the_picture_the_times_and_the_log(page: "Page", tmp_path: Path) -> None:
    from playwright.sync_api import expect

    save(tmp_path, 0xFF0000)
    with watching(tmp_path) as address:
        page.goto(address)
        picture = page.locator("#pictures img")
        expect(picture).to_have_attribute("alt", "made_00001_.png")
        expect(page.locator("#standing")).to_have_text("up to date")
        expect(page.locator("#nodes tr")).to_have_count(2)
        assert colour_at(page, "#pictures img", tmp_path / "shot.png") == (255, 0, 0)

        save(tmp_path, 0x00FF00)
        expect(picture).to_have_attribute("alt", "made_00002_.png")
        expect(page.locator("#runs li")).to_have_count(2)
        expect(page.locator("#changed li").first).to_contain_text("color of node 1 (EmptyImage) changed")
        expect(page.locator("#nodes tr").first).to_contain_text("done")
        assert colour_at(page, "#pictures img", tmp_path / "shot.png") == (0, 255, 0)

        (tmp_path / "flow.json").write_text("{")
        expect(page.locator("#trouble")).to_contain_text("not valid JSON")
        expect(page.locator("#standing")).to_have_text("waiting for the next save")
    expect(page.locator("#connection")).to_be_visible()  # the watch has ended


def colour_at(page: "Page", selector: str, shot: Path) -> tuple[int, ...]:
    """The colour in the middle of what a selector finds."""
    from playwright.sync_api import expect

    expect(page.locator(selector)).to_have_js_property("naturalWidth", 40)  # it is loaded
    page.locator(selector).screenshot(path=shot)
    with Image.open(shot) as picture:
        found = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))
    assert isinstance(found, tuple)
    return tuple(map(int, found))


def test_two_hundred_nodes_are_drawn_and_follow_the_run_and_texts_stay_texts(
    page: "Page", engine: Engine, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    engine.registry.add(define("Add <i>", Add))
    engine.registry.add(define("Show <i>", Show))
    evil = "<img src=x onerror=alert(1)>"
    file = tmp_path / "flow <b>.json"
    nodes: dict[str, object] = {
        f"n{number}": {
            "class_type": "Add <i>",
            "inputs": {"a": [f"n{number - 1}", 0] if number else 1, "b": number},
            "_meta": {"title": evil},
        }
        for number in range(199)
    }
    nodes["end"] = {"class_type": "Show <i>", "inputs": {"value": ["n198", 0], "note": evil}}
    file.write_text(json.dumps(nodes))
    board = Board([file], engine.folders, words)
    board.planned(file, engine.foresee(engine.read(file).workflow))
    board.note(evil)
    with WatchPage(board, GUARDS) as served:
        page.goto(served.address)
        boxes = page.locator("#graph svg > g > g")
        expect(boxes).to_have_count(200)
        expect(page.locator("#nodes tr")).to_have_count(200)
        expect(page.locator("#flows button")).to_have_text("flow <b>.json")
        expect(page.locator("#notes li")).to_contain_text(evil)
        expect(page.locator("#nodes tr").first).to_contain_text(evil)
        assert page.locator("img").count() == 0

        board.happened(RunStarted((NodeId("n7"),), ()))
        board.happened(NodeStarted(NodeId("n7"), "Add <i>"))
        board.happened(NodeProgress(NodeId("n7"), 3, 4))
        expect(page.locator("#nodes tr[data-state=running]")).to_have_count(1)
        expect(page.locator("#nodes tr[data-state=running]")).to_contain_text("3/4")
        expect(page.locator("#graph g.running")).to_contain_text("n7 · Add <i>")
        page.get_by_role("button", name="full size").click()
        expect(page.get_by_role("button", name="fit")).to_be_visible()
