"""What keys do, what is opened, and that changed packs are tested."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import JsonValue

from graphengine.cli import watch_session
from graphengine.cli.watch_keys import Keys
from graphengine.cli.watch_session import Answers, How, PackListener, open_file, session
from graphengine.cli.watch_tests import PackTests, TestResult
from graphengine.errors import Problem, SettingsError
from graphengine.execution.events import NodeFinished
from graphengine.node.folders import Folders
from graphengine.watch.board import Board, NodeView, PlanWords, Sight
from graphengine.workflow.models import NodeId
from tests.server.editor_page import ROOT

FILE = Path("/flows/flow.json")


class Typed:
    """A board and a user who types."""

    def __init__(self, folders: Folders) -> None:
        self.board = Board([FILE], folders, lambda foresight: PlanWords({}, (), ()))
        self.told: list[str] = []
        self.opened: list[Path] = []
        self.letters = b""
        self.answers = Answers(Keys(self.read), self.board, self.told.append, lambda: False, open=self.open)

    def read(self) -> bytes:
        typed, self.letters = self.letters, b""
        return typed

    def open(self, path: Path) -> str:
        self.opened.append(path)
        return f"opened {path.name}"

    def type(self, letters: bytes) -> bool:
        self.letters = letters
        return self.answers.stop()


@pytest.fixture
def typed(folders: Folders) -> Typed:
    return Typed(folders)


def test_q_quits_and_r_runs_once_more(typed: Typed) -> None:
    assert not typed.type(b"r")
    assert (typed.answers.again(), typed.answers.again()) == (True, False)
    assert not typed.type(b"xyz")
    assert typed.type(b"Q")


def test_o_opens_the_last_picture_that_was_made(typed: Typed, folders: Folders) -> None:
    typed.type(b"o")
    assert typed.told == ["there is no picture yet"]
    typed.board.waits(FILE, "")
    for name in ("a.png", "b.png"):
        ui: dict[str, JsonValue] = {"images": [{"filename": name, "type": "output"}]}
        typed.board.happened(NodeFinished(NodeId(name), "Save", 0.1, ui=ui))
    typed.board.finished(FILE)
    typed.type(b"o")
    assert (typed.opened, typed.told[1:]) == ([folders.output / "b.png"], ["opened b.png"])


def test_e_explains_why_nodes_ran_and_what_is_waited_for(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    (flow,) = typed.board.look().flows
    nodes = {
        "1": NodeView("1", "One", "Add", "cached", "its result is kept"),
        "2": NodeView("2", "Two", "Show", "done", "seed changed 1 → 2"),
    }
    seen = type(flow)(FILE, "failed", "no such model\ncopy it", nodes)
    monkeypatch.setattr(typed.board, "look", lambda: Sight(1, (seen,), ()))
    typed.type(b"e")
    assert typed.told == [
        "flow.json:",
        "  no such model",
        "  copy it",
        "  node 2 (Show) ran: seed changed 1 → 2",
        "  node 1 (Add) is cached: its result is kept",
    ]


def test_a_file_is_opened_without_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "xdg-open"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program.write_text(f'#!{sys.executable}\nimport sys\nopen({str(pipe)!r}, "w").write(repr(sys.argv[1:]))\n')
    program.chmod(0o755)
    monkeypatch.setattr(watch_session, "which", lambda name: str(program))
    told = open_file(Path("/a b/$(touch x); 'c'.png"))
    assert pipe.read_text() == repr(["/a b/$(touch x); 'c'.png"])
    assert told == "opened /a b/$(touch x); 'c'.png"


@pytest.mark.parametrize(("opens", "told"), [(True, "opened /a/b.png"), (False, "nothing opens /a/b.png")])
def test_where_no_program_opens_files_the_browser_does(
    monkeypatch: pytest.MonkeyPatch, opens: bool, told: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(watch_session, "which", lambda name: None)

    def browse(address: str) -> bool:
        asked.append(address)
        return opens

    monkeypatch.setattr("webbrowser.open", browse)
    assert open_file(Path("/a/b.png")) == told
    assert asked == ["file:///a/b.png"]


def test_changed_packs_that_are_there_are_tested(tmp_path: Path) -> None:
    started: list[Mapping[str, Path]] = []

    class Noted(PackTests):
        def start(self, packs: Mapping[str, Path]) -> None:
            started.append(packs)

    there = {"one": tmp_path, "two": tmp_path, "gone": tmp_path / "gone"}
    listener = PackListener(Noted(lambda result: None, 1.0), lambda: there)
    listener.reloaded(["one", "gone"], [])
    listener.reloaded(["gone"], [Problem("broken_pack", "no")])
    assert started == [{"one": tmp_path}]


def test_results_of_tests_are_told_written_as_events_and_noted(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(tests: PackTests, packs: Mapping[str, Path]) -> None:
        tests._results.put((0, TestResult("one", False, ("tests of one: 1 failed", "FAILED a"))))

    monkeypatch.setattr(PackTests, "start", start)
    events = tmp_path / "events"
    how = How(events=str(events), test_seconds=5.0)
    with session([FILE], folders, how, Keys(), lambda: False, lambda: {"one": tmp_path}) as (audience, answers):
        audience.reloaded(["one"], [])
        answers.stop()
        notes = [text for _, text in answers.board.look().notes]
    assert capsys.readouterr().err.splitlines()[-2:] == ["tests of one: 1 failed", "  FAILED a"]
    assert notes[-1] == "tests of one: 1 failed\nFAILED a"
    reloaded, tested = map(json.loads, events.read_text().splitlines())
    assert reloaded == {"kind": "watch_reloaded", "packs": ["one"], "problems": []}
    assert tested == {
        "kind": "watch_tested", "pack": "one", "good": False, "lines": ["tests of one: 1 failed", "FAILED a"]
    }  # fmt: skip


def test_without_aiohttp_the_page_says_what_to_install(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "graphengine.server.safety", raising=False)
    with (
        pytest.raises(SettingsError, match="--serve needs aiohttp") as caught,
        session([FILE], folders, How(port=0), Keys(), lambda: False, dict),
    ):
        pytest.fail("a page is served")
    assert caught.value.hint == "pip install 'graphengine-comfy[server]'"


@contextmanager
def on_a_terminal(folder: Path) -> Iterator[int]:
    """A watch on a terminal; its other end is given."""
    outside, inside = pty.openpty()
    env = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'nodes'}", "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-m", "graphengine.cli", "watch", "flow.json", "--device", "cpu", "--no-cache"],
        stdin=inside, stdout=inside, stderr=inside, cwd=folder, env={**os.environ, **env},
    ) as process:  # fmt: skip
        os.close(inside)
        try:
            yield outside
            assert process.wait(60) == 0
        finally:
            process.kill()
            os.close(outside)


def until(terminal: int, text: str) -> str:
    """What the terminal is sent up to a text; it says that it draws no pictures when it is asked."""
    found, late = b"", time.monotonic() + 120
    while text.encode() not in found:
        is_there = select.select([terminal], [], [], 60)[0] and time.monotonic() < late
        assert is_there, f"{text!r} did not come; before it came {found[-2000:]!r}"
        more = os.read(terminal, 65_536)
        if b"\x1b[c" in more:
            os.write(terminal, b"\x1b[?62;9c")
        found += more
    return found.decode()


def test_a_whole_watch_on_a_terminal(tmp_path: Path) -> None:
    nodes = {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": 1}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    (tmp_path / "flow.json").write_text(json.dumps(nodes))
    with on_a_terminal(tmp_path) as terminal:
        until(terminal, "; 2 run, 0 from the cache")  # a line that is told; the nodes below may be drawn later
        nodes["1"]["inputs"] = {"value": 2}
        (tmp_path / "flow.json").write_text(json.dumps(nodes))
        until(terminal, "value of node 1 (PrimitiveInt) changed 1")
        until(terminal, "; 2 run, 0 from the cache")
        os.write(terminal, b"e")
        until(terminal, "node 1 (PrimitiveInt) ran: value of node 1 (PrimitiveInt) changed 1")
        os.write(terminal, b"q")
        until(terminal, "\x1b[?25h")
