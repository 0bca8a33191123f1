"""The official editor works with the server: a real Chromium opens it, and a user's steps are done there."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.server.editor_page import NODES, EditorPage, chromium, editor_server, img2img, what_is_missing

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(what_is_missing() is not None, reason=what_is_missing() or ""),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server's files."""
    return tmp_path_factory.mktemp("editor")


@pytest.fixture(scope="module")
def address(base: Path) -> Iterator[str]:
    """The address of a server with the editor."""
    with editor_server(base) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator["BrowserContext"]:
    """A browser."""
    with chromium(1920, 1000) as browser:
        yield browser


@pytest.fixture
def editor(browser: "BrowserContext", address: str) -> Iterator[EditorPage]:
    """The editor in a page of its own. Nothing may fail in it."""
    page = browser.new_page()
    editor = EditorPage(page, address)
    editor.open()
    yield editor
    assert editor.faults == []
    page.close()


def test_a_workflow_is_drawn_and_run_and_its_picture_shown(editor: EditorPage, tmp_path: Path) -> None:
    editor.drop("img2img.json", img2img())
    editor.watch_progress()
    editor.run()
    editor.wait_for_picture()
    editor.wait_until_idle()
    editor.fit()
    editor.page.screenshot(path=tmp_path / "editor.png")

    assert any("KSampler" in title for title in editor.seen_progress())
    assert editor.marked_nodes() == []
    assert editor.open_complaints() == []
    with Image.open(tmp_path / "editor.png") as shot:
        assert share_of_white(shot.crop(editor.place_of("KSampler"))) < 0.05
        assert share_of_white(shot.crop(editor.place_of("SaveImage"))) > 0.15  # the picture's ground


def share_of_white(picture: Image.Image) -> float:
    """How much of a picture is white or nearly so, 0..1."""
    counts = picture.convert("L").histogram()
    return sum(counts[230:]) / sum(counts)


def test_with_another_seed_only_what_depends_on_it_runs(editor: EditorPage) -> None:
    editor.drop("img2img.json", img2img(seed=11, steps=2))
    editor.run()
    first = editor.wait_for_picture()
    editor.set_widget("KSampler", "seed", 12)
    editor.run()
    second = editor.wait_for_picture(other_than=first)
    editor.wait_until_idle()

    assert second != first
    *_, last = editor.ask("/history").values()
    (cached,) = [data["nodes"] for name, data in last["status"]["messages"] if name == "execution_cached"]
    assert cached == ["1", "2", "3", "4", "5"]
    assert last["prompt"][2]["6"]["inputs"]["seed"] == 12


def test_a_page_that_is_loaded_anew_shows_the_running_prompt_and_can_stop_it(editor: EditorPage) -> None:
    editor.drop("img2img.json", img2img(seed=21, steps=10_000))
    editor.run()
    editor.wait_for_progress()
    editor.reload()
    editor.wait_for_progress()
    editor.page.get_by_role("button", name="Cancel current run").click()
    editor.wait_until_idle()

    newest = editor.ask("/api/jobs?limit=1")["jobs"][0]
    assert newest["status"] == "cancelled"
    assert editor.open_complaints() == []


def test_a_saved_workflow_is_listed_and_opened(editor: EditorPage, base: Path) -> None:
    editor.drop("img2img.json", img2img(seed=31))
    editor.page.keyboard.press("Control+s")
    editor.page.get_by_role("dialog").get_by_role("textbox").fill("pumpkin from apple")
    editor.page.keyboard.press("Enter")
    editor.page.wait_for_function("document.title.startsWith('pumpkin from apple')")
    assert [file.name for file in (base / "user/default/workflows").iterdir()] == ["pumpkin from apple.json"]

    editor.page.get_by_role("button", name="Create a new blank workflow").click()
    editor.wait_for_nodes(0)
    editor.reload()
    editor.page.get_by_test_id("workflows-tab-button").click()
    editor.page.get_by_role("treeitem", name="pumpkin from apple").first.click()
    editor.wait_for_nodes(NODES)
    assert editor.widget("KSampler", "seed") == 31


def test_a_picture_that_was_made_opens_as_its_workflow(editor: EditorPage, base: Path) -> None:
    editor.drop("img2img.json", img2img(seed=41, steps=2))
    editor.run()
    editor.wait_for_picture()
    editor.wait_until_idle()
    made = max((base / "output").glob("img2img_*.png"))
    editor.page.get_by_role("button", name="Create a new blank workflow").click()
    editor.wait_for_nodes(0)

    editor.drop(made.name, made.read_bytes())
    assert (editor.widget("KSampler", "seed"), editor.widget("KSampler", "steps")) == (41, 2)


def test_a_value_that_cannot_be_is_told_and_its_node_marked(editor: EditorPage) -> None:
    editor.drop("img2img.json", img2img())
    editor.set_widget("CheckpointLoaderSimple", "ckpt_name", "absent.safetensors")
    editor.run()
    editor.wait_for_complaint("absent.safetensors")

    assert editor.marked_nodes() == ["CheckpointLoaderSimple"]
    refused, editor.faults = editor.faults, []
    assert refused[0] == f"400: POST {editor.address}/api/prompt"


def test_with_a_token_the_link_opens_the_editor(browser: "BrowserContext", tmp_path: Path) -> None:
    with editor_server(tmp_path, "--token", "only-mine") as address:
        editor = EditorPage(browser.new_page(), address, token="only-mine")
        editor.open()
        editor.drop("img2img.json", img2img())
        assert editor.marked_nodes() == []
        assert editor.faults == []
        editor.page.close()
