"""Sources that cannot be used while a watch goes on: the old code runs on, and what is wrong is told."""

import json
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from errno import EACCES
from pathlib import Path

import pytest

from graphengine.engine import Engine
from graphengine.errors import Problem
from graphengine.packs.import_policy import ImportPolicy
from graphengine.settings import Settings, load_settings
from graphengine.watch.code import renewed
from graphengine.watch.loop import Watch, Wishes
from tests.watch.test_code import PACK, read
from tests.watch.test_loop import Hand, Heard

Action = Callable[[], Collection[Path]]

NODE = PACK.format(name="Troubled", added=1).replace("value + 1", "value + AMOUNT")
INIT = "from .node import NODE_CLASS_MAPPINGS\n"


@dataclass
class Told(Heard):
    """Also what is wrong with packs."""

    problems: list[str] = field(default_factory=list)

    def reloaded(self, packs: Collection[str], problems: Sequence[Problem]) -> None:
        super().reloaded(packs, problems)
        self.problems += [problem.message for problem in problems]


class Place:
    """A project with a pack in a folder, and a workflow of its node."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pack = folder, folder / "custom_nodes" / "troubled"
        self.pack.mkdir(parents=True)
        self.file = folder / "flow.json"
        self.file.write_text(json.dumps({"1": {"class_type": "Troubled", "inputs": {"value": 5}}}))
        self.write("__init__.py", INIT)()
        self.write("node.py", f"from .amounts import AMOUNT\n{NODE}")()
        self.amount(1)()

    def write(self, name: str, text: str | bytes) -> Action:
        def action() -> Collection[Path]:
            path = self.pack / name
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            return [path]

        return action

    def amount(self, amount: int, before: str = "") -> Action:
        return self.write("amounts.py", f"{before}AMOUNT = {amount}\n")

    def remove(self, name: str) -> Action:
        def action() -> Collection[Path]:
            (self.pack / name).unlink()
            return [self.pack / name]

        return action

    def value(self, value: int) -> Action:
        """Another literal in the workflow."""

        def action() -> Collection[Path]:
            self.file.write_text(json.dumps({"1": {"class_type": "Troubled", "inputs": {"value": value}}}))
            return [self.file]

        return action

    def settings(self) -> Settings:
        settings = load_settings(base_dir=self.folder, cache=self.folder / "cache", device="cpu", environ={})
        settings = settings.trusting(["troubled", "moved"])
        return replace(settings, importing=ImportPolicy(timeout=0.5))

    def watch(self, *actions: Action) -> Told:
        hand, told = Hand(list(actions)), Told()
        wishes = Wishes(stop=lambda: not hand.actions and not hand.ready and hand.now > 50)
        watch = Watch(
            Engine.from_settings(self.settings()), [self.file], read, hand, told, wishes, clock=hand.clock,
            renew=lambda engine, packs: renewed(engine, self.settings(), packs),
        )  # fmt: skip
        watch.go()
        watch.engine.close()
        return told


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr("graphengine.engine.installed_packs", list)
    return Place(tmp_path)


def shown(told: Told) -> list[str]:
    return [line.partition("'")[2].removesuffix("']") for line in told.lines if line.startswith("ran 1")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AMOUNT = (\n", r"troubled/amounts\.py, line 1: '\(' was never closed"),
        ("\nAMOUNT = 1 / 0\n", r"ZeroDivisionError: division by zero \(troubled/amounts\.py, line 2\)"),
        ("import sys\nsys.exit('no')\n", r"ends the program .*'no'.*amounts\.py, line 2"),
        ("while True:\n    pass\n", r"still being imported after 0\.5 s \(troubled/amounts\.py, line [12]\)"),
        (b"NAME = 'caf\xe9'\nAMOUNT = 2\n", r"troubled/amounts\.py, line 1: it is not UTF-8: byte 0xe9 in line 1"),
        (b"AMOUNT = 2\0\n", r"troubled/amounts\.py"),
        ("import nowhere_at_all\n", r"'nowhere_at_all', which is not installed \(troubled/amounts\.py, line 1\)"),
        ("", r"cannot import name 'AMOUNT'.*\(troubled/node\.py, line 1\)"),
        ("x = " + "(" * 500 + ")" * 500, r"troubled/amounts\.py"),
    ],
    ids=["syntax", "raises", "exits", "hangs", "encoding", "null", "missing", "empty", "nested"],
)
def test_the_old_code_runs_on_until_the_new_one_is_mended(place: Place, text: str | bytes, message: str) -> None:
    told = place.watch(place.write("amounts.py", text), place.value(6), place.amount(3))
    (problem,) = told.problems
    assert place.pack.name in problem
    assert re.search(message, problem), problem
    assert shown(told) == ["6", "7", "9"]


def test_what_is_printed_at_import_is_no_result(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    told = place.watch(place.amount(2, before="print('hello from the pack')\n"))
    printed = capsys.readouterr()
    assert (printed.out, "hello from the pack" in printed.err) == ("", True)
    assert (shown(told), told.problems) == (["6", "7"], [])


def test_a_module_that_is_deleted_is_told_and_may_come_back(place: Place) -> None:
    told = place.watch(place.remove("amounts.py"), place.value(6), place.amount(1))
    assert "troubled/node.py, line 1" in told.problems[0]
    assert shown(told) == ["6", "7"]  # it came back as it was


def test_a_module_may_become_a_folder(place: Place) -> None:
    def become() -> Collection[Path]:
        place.remove("amounts.py")()
        (place.pack / "amounts").mkdir()
        return place.write("amounts/__init__.py", "AMOUNT = 4\n")()

    told = place.watch(become, place.write("amounts/__init__.py", "AMOUNT = 5\n"))
    assert (shown(told), told.problems) == (["6", "9", "10"], [])


def test_a_pack_whose_folder_is_renamed_is_found_under_its_new_name(place: Place) -> None:
    moved = place.pack.with_name("moved")

    def rename() -> Collection[Path]:
        place.pack.rename(moved)
        return [place.pack, moved]

    def edit() -> Collection[Path]:
        (moved / "amounts.py").write_text("AMOUNT = 7\n")
        return [moved / "amounts.py"]

    told = place.watch(rename, edit)
    assert shown(told) == ["6", "12"]


def test_a_pack_that_goes_is_waited_for(place: Place) -> None:
    away = place.folder / "away"

    def go() -> Collection[Path]:
        place.pack.rename(away)
        return [place.pack]

    def come() -> Collection[Path]:
        away.rename(place.pack)
        return place.amount(3)()

    told = place.watch(go, come)
    assert told.lines[3:5] == ["reloaded troubled: 0 problems", "refused: 1 problem in the workflow"]
    assert shown(told) == ["6", "8"]


def test_links_that_lead_in_a_circle_or_nowhere_are_passed_over(place: Place) -> None:
    def link() -> Collection[Path]:
        (place.pack / "loop").symlink_to(place.pack, target_is_directory=True)
        (place.pack / "self.py").symlink_to(place.pack / "self.py")
        (place.pack / ".#node.py").symlink_to("user@host.1234:5678")  # as Emacs marks a file that is edited
        return place.amount(2)()

    told = place.watch(link, place.amount(3))
    assert (shown(told), told.problems) == (["6", "7", "8"], [])


def test_a_file_that_may_not_be_read_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "amounts.py":
            raise PermissionError(EACCES, "Permission denied", str(path))
        return read_bytes(path)

    def lose() -> Collection[Path]:
        place.amount(2)()
        monkeypatch.setattr(Path, "read_bytes", refuse)
        return [place.pack / "amounts.py"]

    def get_back() -> Collection[Path]:
        monkeypatch.setattr(Path, "read_bytes", read_bytes)
        return [place.pack / "amounts.py"]

    told = place.watch(lose, place.value(6), get_back)
    assert "Permission denied" in told.problems[0]
    assert "amounts.py" in told.problems[0]
    assert shown(told) == ["6", "7", "8"]


def test_a_thousand_modules_are_no_trouble(place: Place) -> None:
    for n in range(1000):
        (place.pack / f"part{n}.py").write_text(f"PART = {n}\n")
    parts = "".join(f"from . import part{n}\n" for n in range(0, 1000, 10))
    place.write("__init__.py", INIT + parts)()
    spent: list[float] = []

    def edit(amount: int) -> Action:
        def action() -> Collection[Path]:
            spent.append(time.process_time())
            return place.amount(amount)()

        return action

    told = place.watch(*map(edit, (2, 3, 4)))
    assert shown(told) == ["6", "7", "8", "9"]
    assert spent[2] - spent[1] < 3.0  # seconds of CPU, from one edit to the next
