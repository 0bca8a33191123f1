"""The official editor in a headless Chromium, and the server behind it: what a user does there, and what fails.

Nothing here waits for a time to pass: every step waits for what it needs to see.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.server.serving import Json

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

ROOT = Path(__file__).parents[2]
#: Nodes of the example workflow.
NODES = 10
#: Milliseconds after which a step has failed; the first prompt of a server imports torch.
PATIENCE = 180_000

#: What fails on a server that works, by a part of its address, and why it may.
EXPECTED = {
    "https://api.comfy.org/": "the editor asks for news; the browser of this test reaches nothing but the server",
    "/api/userdata?dir=": "the user has saved nothing yet; as in ComfyUI the answer is 404",
    "/api/userdata/comfy.templates.json": "the user has no templates yet",
    "/api/userdata/user.css": "the user has no style sheet",
    "/api/userdata/workflows%2F.index.json": "the user has marked no workflow yet",
}

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_PACKAGES = {"playwright": "playwright", "comfyui_frontend_package": "comfyui-frontend-package"}
#: The browser may ask nobody but this machine. Its sandbox does not work for root, as in a container.
_OPTIONS = ("--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")

_READY = "window.app?.graph && window.app.canvas && window.app.extensionManager && window.app.api.clientId"
_DROP = """([name, bytes]) => {
    const dataTransfer = new DataTransfer();
    const type = name.endsWith(".png") ? "image/png" : "application/json";
    dataTransfer.items.add(new File([new Uint8Array(bytes)], name, {type}));
    for (const type of ["dragenter", "dragover", "drop"])
        document.getElementById("graph-canvas").dispatchEvent(
            new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer, clientX: 600, clientY: 300}));
}"""
_WATCH_TITLES = """() => {
    window.seenTitles = [];
    new MutationObserver(() => window.seenTitles.push(document.title))
        .observe(document.querySelector("title"), {childList: true});
}"""
_NODE = "window.app.graph.nodes.find(node => node.type === type)"
_PLACE = f"""type => {{
    const node = {_NODE}, {{scale, offset}} = window.app.canvas.ds;
    const {{left, top}} = window.app.canvas.canvas.getBoundingClientRect();
    const [x, y] = [left + (node.pos[0] + offset[0]) * scale, top + (node.pos[1] + offset[1]) * scale];
    return [x, y, x + node.size[0] * scale, y + node.size[1] * scale].map(Math.round);
}}"""


def browser_path() -> str | None:
    """Where a Chromium is installed."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def what_is_missing() -> str | None:
    """What must be installed before the editor can be opened, as a sentence; None when all is there."""
    missing = [name for module, name in _PACKAGES.items() if find_spec(module) is None]
    steps = [f"pip install {' '.join(missing)}"] if missing else []
    if browser_path() is None:
        steps.append("apt-get install chromium")
    return f"the editor cannot be opened here; first: {', '.join(steps)}" if steps else None


def img2img(**changes: Any) -> bytes:
    """The example workflow as the editor saved it, with other values of the sampler's `seed` and `steps`."""
    document: Json = json.loads((ROOT / "workflows" / "img2img.json").read_bytes())
    sampler = next(node for node in document["nodes"] if node["type"] == "KSampler")
    for index, name in ((0, "seed"), (2, "steps")):
        sampler["widgets_values"][index] = changes.get(name, sampler["widgets_values"][index])
    return json.dumps(document).encode()


@contextmanager
def editor_server(base: Path, *options: str) -> Iterator[str]:
    """The address of a server process with the editor; all its files lie in `base`."""
    (base / "input").mkdir()
    shutil.copy(ROOT / "workflows" / "input" / "apple.png", base / "input")
    command = [sys.executable, "-m", "graphengine.cli", "serve", "--ui", "--port", "0", "--cpu"]
    with subprocess.Popen(
        [*command, "--base-dir", str(base), "--cache", str(base / "cache"), *options],
        stdout=subprocess.PIPE,
        text=True,
        cwd=base,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'nodes'}"},
    ) as process:
        try:
            assert process.stdout is not None
            announced = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", announced)
            assert address, f"the server did not start: {announced!r}"
            yield address[0]
        finally:
            process.terminate()


@contextmanager
def chromium(width: int, height: int) -> Iterator["BrowserContext"]:
    """A headless browser with a window of this many pixels, and a profile of its own."""
    from playwright.sync_api import sync_playwright  # installed for these tests only

    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=browser_path(), args=_OPTIONS) as browser,
        browser.new_context(viewport={"width": width, "height": height}) as context,
    ):
        context.set_default_timeout(PATIENCE)
        yield context


class EditorPage:
    """The editor in a page of a browser. `faults` lists what failed there and is not in `EXPECTED`."""

    def __init__(self, page: "Page", address: str, token: str | None = None) -> None:
        self.page, self.address, self.token = page, address, token
        self.faults: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.faults.append(f"error in the page: {error}"))
        page.on("response", self._see)
        page.on("requestfailed", self._miss)

    def open(self) -> None:
        """Open the editor, and close the choice of templates that it shows to a new user."""
        is_new = not self.ask("/settings/Comfy.TutorialCompleted")
        self.page.goto(self.address if self.token is None else f"{self.address}/?token={self.token}")
        self.page.wait_for_function(_READY)
        if is_new:
            self.page.get_by_role("button", name="Close dialog").click()
            self.page.get_by_role("dialog").wait_for(state="hidden")

    def reload(self) -> None:
        """Load the page anew, as with F5."""
        self.page.reload()
        self.page.wait_for_function(_READY)

    def drop(self, name: str, data: bytes) -> None:
        """Drop a file that holds the example workflow on the canvas, and wait until it is drawn."""
        self.page.evaluate(_DROP, [name, list(data)])
        self.page.wait_for_function("name => document.title.includes(name)", arg=Path(name).stem)
        self.wait_for_nodes(NODES)

    def wait_for_nodes(self, count: int) -> None:
        """Wait until the graph has this many nodes."""
        self.page.wait_for_function("count => window.app.graph.nodes.length === count", arg=count)

    def run(self) -> None:
        """Press the button that queues the workflow."""
        self.page.get_by_test_id("queue-button").click()

    def wait_for_picture(self, *, other_than: str = "") -> str:
        """Wait until SaveImage shows a picture; its address."""
        found = self.page.wait_for_function(
            f"""shown => {{
                const type = "SaveImage", [picture] = {_NODE}.imgs ?? [];
                return picture?.complete && picture.naturalWidth && picture.src !== shown && picture.src;
            }}""",
            arg=other_than,
        )
        return str(found.json_value())

    def wait_for_progress(self) -> None:
        """Wait until the sampler is drawn with its progress."""
        self.page.wait_for_function("type => " + _NODE + "?.progress > 0", arg="KSampler")

    def wait_until_idle(self) -> None:
        """Wait until the editor says that no prompt runs or waits."""
        self.page.get_by_test_id("queue-overlay-toggle").filter(has_text="0 active").wait_for()

    def fit(self) -> None:
        """Bring the whole graph into view."""
        scale = self.page.evaluate("window.app.canvas.ds.scale")
        self.page.get_by_role("button", name="Fit View").click()
        self.page.wait_for_function("scale => window.app.canvas.ds.scale !== scale", arg=scale)
        self.page.wait_for_function(
            """() => {
                const {scale, offset} = window.app.canvas.ds, now = `${scale} ${offset}`, before = window.seenView;
                window.seenView = now;
                return now === before;
            }""",
            polling=100,
        )

    def watch_progress(self) -> None:
        """Note from now on what the title of the window tells of progress."""
        self.page.evaluate(_WATCH_TITLES)

    def seen_progress(self) -> list[str]:
        """The titles of the window that told of a node's progress."""
        titles: list[str] = self.page.evaluate("window.seenTitles")
        return [title for title in titles if re.fullmatch(r"\[\d+%\]\[\d+%\] \w+", title)]

    def widget(self, type_: str, name: str) -> Any:  # Any: whatever the widget holds
        """The value of a widget of the only node of a type."""
        return self.page.evaluate(
            f"([type, name]) => {_NODE}.widgets.find(widget => widget.name === name).value", [type_, name]
        )

    def set_widget(self, type_: str, name: str, value: Any) -> None:
        """Set a widget of the only node of a type, with what follows from it."""
        self.page.evaluate(
            f"""([type, name, value]) => {{
                const widget = {_NODE}.widgets.find(widget => widget.name === name);
                widget.value = value;
                widget.callback?.(value);
            }}""",
            [type_, name, value],
        )

    def marked_nodes(self) -> list[str]:
        """Types of the nodes that are drawn as wrong or as unknown."""
        marked: list[str] = self.page.evaluate(
            "window.app.graph.nodes.filter(node => node.has_errors).map(node => node.type)"
        )
        return marked

    def place_of(self, type_: str) -> tuple[int, int, int, int]:
        """Where the only node of a type is drawn: left, top, right and bottom in pixels of the window."""
        left, top, right, bottom = self.page.evaluate(_PLACE, type_)
        return left, top, right, bottom

    def open_complaints(self) -> Sequence[str]:
        """The texts of open dialogs, and of messages that tell of an error."""
        dialogs, overlay = self.page.get_by_role("dialog"), self.page.get_by_test_id("error-overlay")
        toasts = self.page.locator(".p-toast-message-error")
        return [text for each in (dialogs, overlay, toasts) for text in each.all_inner_texts()]

    def wait_for_complaint(self, text: str) -> None:
        """Wait until the editor tells of an error."""
        self.page.get_by_test_id("error-overlay").filter(has_text=text).wait_for()

    def ask(self, path: str) -> Any:  # Any: JSON
        """What the server answers."""
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.address}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def _hear(self, message: "ConsoleMessage") -> None:
        if message.type == "error":
            self._note(f"console: {message.text} ({message.location.get('url', '')})")

    def _see(self, response: "Response") -> None:
        if response.status >= 400:
            self._note(f"{response.status}: {response.request.method} {response.url}")

    def _miss(self, request: "Request") -> None:
        if request.failure != "net::ERR_ABORTED":  # the page let go of it: it reads no body, or was loaded anew
            self._note(f"{request.failure}: {request.method} {request.url}")

    def _note(self, fault: str) -> None:
        if not any(address in fault for address in EXPECTED):
            self.faults.append(fault)
