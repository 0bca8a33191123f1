"""What happens to files, clocks and packs while they are watched; the watch goes on and says what it waits for."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphengine.engine import Engine
from graphengine.execution.events import Event, NodeFinished
from graphengine.node.comfy_classes import define
from tests.sample_nodes import Number
from tests.watch.test_code import FIRST as FIRST_OF_PACKS
from tests.watch.test_code import Place
from tests.watch.test_code import place as place
from tests.watch.test_code import watched as watched_packs
from tests.watch.test_loop import FIRST, Hand, save, watched
from tests.watch.test_loop import engine as engine
from tests.watch.test_loop import file as file

CHANGED = ["plan flow: 1 3 4", "ran 1", "ran 3", "ran 4 ['7']", "finished"]


class Leave(Number):
    """Ends the program."""

    def run(self, value: int) -> tuple[int]:
        sys.exit(value)


@pytest.mark.parametrize("seconds", [-(10**9), 0, 10**9])
def test_the_date_of_a_file_may_be_anything(engine: Engine, file: Path, seconds: int) -> None:
    before = file.stat()

    def replace() -> list[Path]:
        save(file, 4)
        moved = before.st_mtime_ns + seconds * 10**9
        os.utime(file, ns=(moved, moved))
        return [file]

    assert watched(engine, [file], replace) == [*FIRST, *CHANGED]


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_clock_that_jumps_delays_no_save(engine: Engine, file: Path, seconds: float) -> None:
    jumped: list[float] = []

    class Jumping(Hand):
        def wait(self, seconds_left: float) -> set[Path]:
            found = super().wait(seconds_left)
            if found and not jumped:
                jumped.append(self.now)
            elif jumped == [self.now]:  # the first look after the save
                self.now += seconds
            return found

    assert watched(engine, [file], lambda: [save(file, 4)], kind=Jumping)[len(FIRST) :] == CHANGED


def test_a_clock_that_goes_back_during_a_run_lets_a_newer_save_end_it(engine: Engine, file: Path) -> None:
    saved: list[float] = []

    def during(hand: Hand, event: Event) -> None:
        if isinstance(event, NodeFinished) and not saved:
            hand.ready.add(save(file, 4))
            saved.append(hand.now)
        elif saved == [hand.now]:
            hand.now -= 3600

    lines = watched(engine, [file], during=during)
    assert "overtaken" in lines
    assert lines[-5:] == CHANGED


def test_a_node_that_ends_the_program_does_not_end_the_watch(engine: Engine, file: Path) -> None:
    engine.registry.add(define("Leave", Leave))
    leave = {"class_type": "Leave", "inputs": {"value": 3}}
    lines = watched(engine, [file], lambda: [save(file, 2, **{"2": leave})], lambda: [save(file, 4)])
    assert lines[len(FIRST) + 1] == "refused: a node ends the program: sys.exit(3)"
    assert lines[-2:] == ["ran 4 ['7']", "finished"]


def test_links_in_a_circle_in_a_pack_are_no_trouble(place: Place) -> None:
    folder = place.folder / "custom_nodes" / "WatchedOne"
    place.path("WatchedOne").rename(place.folder / "one.py")
    folder.mkdir()
    (place.folder / "one.py").rename(folder / "__init__.py")
    (folder / "again").symlink_to(folder, target_is_directory=True)

    def edit() -> list[Path]:
        init = folder / "__init__.py"
        init.write_text(init.read_text().replace("+ 1", "+ 2"))
        return [init]

    lines = watched_packs(place, edit)
    assert lines[len(FIRST_OF_PACKS) :] == [
        "reloaded WatchedOne: 0 problems", "plan flow: WatchedOne", "ran WatchedOne ['7']", "finished"
    ]  # fmt: skip


def circle(place: Place) -> list[Path]:
    path = place.path("WatchedOne")
    path.unlink()
    path.symlink_to(path)
    return [path]


def gone(place: Place) -> list[Path]:
    place.path("WatchedOne").unlink()
    return [place.path("WatchedOne")]


def code(text: str) -> Callable[[Place], list[Path]]:
    def write(place: Place) -> list[Path]:
        path = place.path("WatchedOne")
        path.write_text(text)
        return [path]

    return write


@pytest.mark.parametrize(
    "breaks",
    [code("import sys\nsys.exit('no')"), code("while True: pass"), code("import time\ntime.sleep(600)")],
    ids=["exits", "loops", "sleeps"],
)
def test_a_pack_that_cannot_be_imported_waits_for_the_next_save(
    place: Place, breaks: Callable[[Place], list[Path]]
) -> None:
    def mend() -> list[Path]:
        place.path("WatchedOne").unlink()
        return place.write("WatchedOne", 3)

    place.import_timeout = 0.2
    lines = watched_packs(place, lambda: breaks(place), mend)
    assert lines[len(FIRST_OF_PACKS) :] == [
        "reloaded WatchedOne: 1 problems",
        "reloaded WatchedOne: 0 problems", "plan flow: WatchedOne", "ran WatchedOne ['8']", "finished",
    ]  # fmt: skip


@pytest.mark.parametrize("takes", [gone, circle], ids=["removed", "a link to itself"])
def test_a_pack_that_is_taken_away_is_waited_for(place: Place, takes: Callable[[Place], list[Path]]) -> None:
    def alone() -> list[Path]:
        place.file.write_text(json.dumps({"WatchedOne": {"class_type": "WatchedOne", "inputs": {"value": 5}}}))
        return [place.file]

    def bring_back() -> list[Path]:
        place.path("WatchedOne").unlink(missing_ok=True)
        return place.write("WatchedOne", 3)

    lines = watched_packs(place, alone, lambda: takes(place), bring_back)
    assert lines[len(FIRST_OF_PACKS) :] == [
        "plan flow:", "finished",
        "reloaded WatchedOne: 0 problems", "refused: 1 problem in the workflow",
        "reloaded WatchedOne: 0 problems", "plan flow: WatchedOne", "ran WatchedOne ['8']", "finished",
    ]  # fmt: skip


def test_what_a_pack_prints_when_it_is_imported_is_no_result(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    def talk() -> list[Path]:
        path = place.path("WatchedOne")
        path.write_text("print('loading')\n" + path.read_text().replace("+ 1", "+ 2"))
        return [path]

    lines = watched_packs(place, talk)
    assert lines[-2:] == ["ran WatchedOne ['7']", "finished"]
    told = capsys.readouterr()
    assert (told.out, "loading" in told.err) == ("", True)


def test_a_workflow_of_another_shape_waits(engine: Engine, file: Path) -> None:
    def write(text: str) -> Callable[[], list[Path]]:
        def action() -> list[Path]:
            file.write_text(text)
            return [file]

        return action

    deep = "[" * 100_000
    lines = watched(engine, [file], write("[]"), write(deep), write("\0"), lambda: [save(file, 4)])
    assert [line.partition(":")[0] for line in lines[len(FIRST) : -5]] == ["waits"] * 3
    assert lines[-5:] == CHANGED
