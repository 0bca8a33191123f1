"""The watch, with changes and a clock that tests hold in their hands; files are real."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from errno import EACCES
from pathlib import Path

import pytest

from graphengine.cache.hashing import MemoryMemo
from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.errors import GraphEngineError, Problem
from graphengine.execution.events import Event, NodeFinished
from graphengine.execution.executor import LocalExecutor
from graphengine.foresight import Foresight
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.watch.changes import Place
from graphengine.watch.loop import QUIET, Watch, Wishes
from graphengine.workflow.models import NodeId, Workflow


@dataclass
class Hand:
    """A source of changes and a clock: a wait takes its time, or does the next action and reports its paths."""

    actions: list[Callable[[], Collection[Path]]] = field(default_factory=list)
    now: float = 0.0
    places: set[Place] = field(default_factory=set)
    ready: set[Path] = field(default_factory=set)

    def watch(self, places: Collection[Place]) -> None:
        self.places = set(places)

    def wait(self, seconds: float) -> set[Path]:
        if not self.ready and seconds > QUIET and self.actions:
            self.ready |= set(self.actions.pop(0)())
        found, self.ready = self.ready, set()
        if not found:
            self.now += seconds + 1e-6  # a clock is never exactly on time
        return found

    def clock(self) -> float:
        return self.now

    def close(self) -> None:
        pass


@dataclass
class Heard:
    """Writes down what it hears, in a few words."""

    lines: list[str] = field(default_factory=list)
    during: Callable[[Event], None] = lambda event: None

    def waits(self, file: Path, why: str) -> None:
        self.lines.append(f"waits: {why}")

    def refused(self, file: Path, error: GraphEngineError) -> None:
        self.lines.append(f"refused: {error.message}")

    def unchanged(self, file: Path) -> None:
        self.lines.append("unchanged")

    def planned(self, file: Path, foresight: Foresight) -> None:
        running = [node_id for node_id, each in foresight.of.items() if each.fate in ("runs", "perhaps")]
        self.lines.append(" ".join([f"plan {file.stem}:", *sorted(running)]))

    def happened(self, event: Event) -> None:
        if isinstance(event, NodeFinished):
            self.lines.append(f"ran {event.node_id} {event.ui.get('text', '')}".rstrip())
        self.during(event)

    def overtaken(self, file: Path) -> None:
        self.lines.append("overtaken")

    def finished(self, file: Path) -> None:
        self.lines.append("finished")

    def reloaded(self, packs: Collection[str], problems: Sequence[Problem]) -> None:
        self.lines.append(f"reloaded {' '.join(packs)}: {len(problems)} problems")


@pytest.fixture
def engine(registry: NodeRegistry, folders: Folders) -> Engine:
    return Engine(registry, MemoryStore(), folders, LocalExecutor(), device="cpu", memo=MemoryMemo())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A workflow: 2 + 3, shown."""
    return save(tmp_path / "flow.json", 2)


def save(file: Path, value: int, **more: object) -> Path:
    nodes = {
        "1": {"class_type": "Number", "inputs": {"value": value}},
        "2": {"class_type": "Number", "inputs": {"value": 3}},
        "3": {"class_type": "Add", "inputs": {"a": ["1", 0], "b": ["2", 0]}},
        "4": {"class_type": "Show", "inputs": {"value": ["3", 0]}},
        **more,
    }
    file.write_text(json.dumps(nodes))
    return file


def read(engine: Engine, file: Path) -> tuple[Workflow, Collection[NodeId] | None]:
    return engine.read(file).workflow, None


def watched(
    engine: Engine, files: list[Path], *actions: Callable[[], Collection[Path]], restart: bool = True,
    during: Callable[[Hand, Event], None] | None = None, again: Callable[[], bool] = lambda: False,
    kind: type[Hand] = Hand,
) -> list[str]:  # fmt: skip
    """What is told while the actions happen, each after the watch has come to rest."""
    hand = kind(list(actions))
    heard = Heard()
    if during is not None:
        heard.during = lambda event: during(hand, event)
    wishes = Wishes(restart, lambda: not hand.actions and not hand.ready and hand.now > 50, again)
    Watch(engine, files, read, hand, heard, wishes, clock=hand.clock).go()
    return heard.lines


FIRST = ["plan flow: 1 2 3 4", "ran 1", "ran 2", "ran 3", "ran 4 ['5']", "finished"]


def test_a_save_runs_only_what_it_changed(engine: Engine, file: Path) -> None:
    lines = watched(engine, [file], lambda: [save(file, 4)])
    assert lines == [*FIRST, "plan flow: 1 3 4", "ran 1", "ran 3", "ran 4 ['7']", "finished"]


def test_a_touch_without_another_content_is_nothing(engine: Engine, file: Path) -> None:
    def touch() -> list[Path]:
        file.touch()
        return [file]

    assert watched(engine, [file], touch) == FIRST


def test_a_save_that_means_the_same_is_told_and_not_run(engine: Engine, file: Path) -> None:
    def indent() -> list[Path]:
        file.write_text(json.dumps(json.loads(file.read_text()), indent=4))
        return [file]

    assert watched(engine, [file], indent) == [*FIRST, "unchanged"]


def test_other_files_of_the_folder_do_not_count(engine: Engine, file: Path) -> None:
    assert watched(engine, [file], lambda: [save(file.with_name("other.json"), 4)]) == FIRST


def test_a_file_that_is_moved_into_place_counts(engine: Engine, file: Path) -> None:
    def replace() -> list[Path]:
        save(file.with_suffix(".swp"), 4).replace(file)
        return [file.with_suffix(".swp"), file]

    assert watched(engine, [file], replace)[-2:] == ["ran 4 ['7']", "finished"]


def test_a_half_written_file_waits_for_the_rest(engine: Engine, file: Path) -> None:
    def half() -> list[Path]:
        text = save(file, 4).read_text()
        file.write_text(text[:60])
        return [file]

    lines = watched(engine, [file], half, lambda: [save(file, 4)])
    assert lines[6].startswith("waits: not valid JSON")
    assert lines[7:] == ["plan flow: 1 3 4", "ran 1", "ran 3", "ran 4 ['7']", "finished"]


def test_a_file_that_goes_or_becomes_a_folder_is_waited_for_and_told_once(engine: Engine, file: Path) -> None:
    def remove() -> list[Path]:
        file.unlink()
        return [file]

    def make_folder() -> list[Path]:
        file.mkdir()
        return [file]

    def bring_back() -> list[Path]:
        file.rmdir()
        save(file, 2)
        return [file]

    lines = watched(engine, [file], remove, lambda: [file], make_folder, bring_back)
    assert lines == [*FIRST, "waits: is not there", "waits: is a folder", "unchanged"]


def test_a_file_that_is_not_there_at_first_is_run_when_it_comes(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    assert watched(engine, [file], lambda: [save(file, 2)]) == ["waits: is not there", *FIRST]


def test_100_mb_are_refused_and_the_watch_goes_on(engine: Engine, file: Path) -> None:
    def grow() -> list[Path]:
        with file.open("r+b") as stream:
            stream.truncate(100_000_000)
        return [file]

    lines = watched(engine, [file], grow, lambda: [save(file, 4)])
    assert lines[6].startswith("waits: ")
    assert "MiB" in lines[6]
    assert lines[-1] == "finished"


def test_a_file_without_permission_is_waited_for(
    engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> list[Path]:
        monkeypatch.setattr(Path, "open", no_permission)
        return [file]

    def no_permission(path: Path, *arguments: object) -> None:
        raise PermissionError(EACCES, "Permission denied", str(path))

    assert watched(engine, [file], refuse)[-1] == "waits: cannot be read: Permission denied"


def test_links_in_a_circle_are_waited_for(engine: Engine, file: Path) -> None:
    def circle() -> list[Path]:
        file.unlink()
        file.symlink_to(file)
        return [file]

    assert watched(engine, [file], circle)[-1].startswith("waits: cannot be read: Too many levels")


def test_an_unknown_node_is_refused_until_the_next_save(engine: Engine, file: Path) -> None:
    unknown = {"class_type": "Nowhere", "inputs": {}}
    lines = watched(engine, [file], lambda: [save(file, 2, **{"3": unknown})], lambda: [save(file, 2)])
    assert lines == [*FIRST, "refused: 1 problem in the workflow", "unchanged"]


def test_a_node_that_raises_is_told_and_the_next_save_runs(engine: Engine, file: Path) -> None:
    broken = {"class_type": "Fail", "inputs": {"message": "no"}}
    lines = watched(engine, [file], lambda: [save(file, 2, **{"2": broken})], lambda: [save(file, 2)])
    assert lines == [
        *FIRST,
        "plan flow: 2 3 4",
        "refused: node 2 (Fail): ValueError: no",
        "plan flow:",
        "finished",
    ]


def test_a_newer_save_ends_the_run_and_starts_over(engine: Engine, file: Path) -> None:
    lines = watched(engine, [file], lambda: [save(file, 4)], during=saving_again(file))
    assert lines[6:] == [
        "plan flow: 1 3 4", "ran 1", "ran 3", "overtaken",
        "plan flow: 1 3 4", "ran 1", "ran 3", "ran 4 ['8']", "finished"
    ]  # fmt: skip


def saving_again(file: Path) -> Callable[[Hand, Event], None]:
    """Saves once more when the second run has finished its first node, and lets time pass."""
    count = 0

    def during(hand: Hand, event: Event) -> None:
        nonlocal count
        count += isinstance(event, NodeFinished)
        if isinstance(event, NodeFinished) and count == 5:
            hand.ready.add(save(file, 5))
        hand.now += 0.06

    return during


def test_with_queue_the_run_ends_first(engine: Engine, file: Path) -> None:
    lines = watched(engine, [file], lambda: [save(file, 4)], during=saving_again(file), restart=False)
    assert lines[6:] == [
        "plan flow: 1 3 4", "ran 1", "ran 3", "ran 4 ['7']", "finished",
        "plan flow: 1 3 4", "ran 1", "ran 3", "ran 4 ['8']", "finished",
    ]  # fmt: skip


def test_a_half_written_save_ends_no_run(engine: Engine, file: Path) -> None:
    def during(hand: Hand, event: Event) -> None:
        if isinstance(event, NodeFinished) and event.node_id == "1":
            file.write_text("{")
            hand.ready.add(file)
        hand.now += 0.06

    lines = watched(engine, [file], during=during)
    assert lines[:6] == FIRST


def test_a_hundred_saves_in_ten_seconds_give_the_last_state(engine: Engine, file: Path) -> None:
    def saving(value: int) -> Callable[[], list[Path]]:
        return lambda: [save(file, value)]

    lines = watched(engine, [file], *map(saving, range(100)))
    assert lines[-2:] == ["ran 4 ['102']", "finished"]


def test_changes_that_never_end_are_looked_at_all_the_same(engine: Engine, file: Path) -> None:
    class Busy(Hand):
        def wait(self, seconds: float) -> set[Path]:
            self.now += min(seconds, 0.05)
            return {save(file, int(self.now * 20) % 100)}

    hand, heard = Busy(), Heard()
    Watch(engine, [file], read, hand, heard, Wishes(False, lambda: hand.now > 5), clock=hand.clock).go()
    assert heard.lines.count("finished") == 3


def test_two_files_run_each_for_itself(engine: Engine, file: Path) -> None:
    other = save(file.with_name("other.json"), 7)
    lines = watched(engine, [file, other], lambda: [save(other, 8)])
    assert [line for line in lines if line.startswith("plan")] == [
        "plan flow: 1 2 3 4", "plan other: 1 3 4", "plan other: 1 3 4"
    ]  # fmt: skip


def test_a_wish_runs_all_once_more(engine: Engine, file: Path) -> None:
    wishes = iter([True])
    lines = watched(engine, [file], again=lambda: next(wishes, False))
    assert lines == [*FIRST, "plan flow:", "finished"]


def test_an_input_file_counts_by_its_content(engine: Engine, file: Path, folders: Folders) -> None:
    checkpoint = folders.models["checkpoints"][0] / "a.safetensors"
    choose = {"class_type": "Choose", "inputs": {"mode": "fast", "strength": 1.0, "ckpt_name": checkpoint.name}}
    show = {"class_type": "Show", "inputs": {"value": ["5", 0]}}
    save(file, 2, **{"5": choose, "6": show})

    def write(text: str) -> Callable[[], list[Path]]:
        def action() -> list[Path]:
            checkpoint.write_text(text)
            return [checkpoint]

        return action

    lines = watched(engine, [file], write("a"), write("a"), write("b"))
    assert lines[0] == "refused: 1 problem in the workflow"
    assert [line for line in lines if line.startswith("plan")] == ["plan flow: 1 2 3 4 5 6", "plan flow: 5 6"]
