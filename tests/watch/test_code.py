"""The code of packs that are in use: a real folder of packs, edited between two runs."""

import gc
import json
import sys
import weakref
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from graphengine.engine import Engine
from graphengine.settings import Settings, load_settings
from graphengine.watch.code import renewed
from graphengine.watch.loop import Watch, Wishes
from graphengine.workflow.models import NodeId, Workflow
from tests.watch.test_loop import Hand, Heard

PACK = """
class {name}:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"value": ("INT", {{"default": 1}})}}}}

    def run(self, value):
        return {{"ui": {{"text": [str(value + {added})]}}, "result": (value + {added},)}}

NODE_CLASS_MAPPINGS = {{"{name}": {name}}}
"""


class Place:
    """A project with two packs of a node each, both trusted by name, and a workflow of both nodes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.import_timeout: float | None = None
        (folder / "custom_nodes").mkdir()
        self.write("WatchedOne", 1)
        self.write("WatchedTwo", 10)
        self.file = folder / "flow.json"
        nodes = {name: {"class_type": name, "inputs": {"value": 5}} for name in ("WatchedOne", "WatchedTwo")}
        self.file.write_text(json.dumps(nodes))

    def path(self, name: str) -> Path:
        return self.folder / "custom_nodes" / f"{name}.py"

    def write(self, name: str, added: int) -> list[Path]:
        self.path(name).write_text(PACK.format(name=name, added=added))
        return [self.path(name)]

    def settings(self) -> Settings:
        settings = load_settings(base_dir=self.folder, cache=self.folder / "cache", device="cpu", environ={})
        return settings.trusting(["WatchedOne", "WatchedTwo"]).importing_with([], self.import_timeout)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr("graphengine.engine.installed_packs", list)
    return Place(tmp_path)


def read(engine: Engine, file: Path) -> tuple[Workflow, Collection[NodeId] | None]:
    workflow = engine.read(file).workflow
    engine.load_packs({node.class_type for node in workflow.nodes.values()})
    return workflow, None


def watched(place: Place, *actions: Callable[[], Collection[Path]]) -> list[str]:
    hand, heard = Hand(list(actions)), Heard()
    wishes = Wishes(stop=lambda: not hand.actions and not hand.ready and hand.now > 50)
    watch = Watch(
        Engine.from_settings(place.settings()), [place.file], read, hand, heard, wishes, clock=hand.clock,
        renew=lambda engine, packs: renewed(engine, place.settings(), packs),
    )  # fmt: skip
    watch.go()
    watch.engine.close()
    return heard.lines


FIRST = ["plan flow: WatchedOne WatchedTwo", "ran WatchedOne ['6']", "ran WatchedTwo ['15']", "finished"]


def test_new_code_runs_the_nodes_of_its_pack_alone(place: Place) -> None:
    lines = watched(place, lambda: place.write("WatchedOne", 2))
    assert lines == [
        *FIRST, "reloaded WatchedOne: 0 problems", "plan flow: WatchedOne", "ran WatchedOne ['7']", "finished"
    ]  # fmt: skip


def test_code_of_the_same_length_within_a_second_is_not_taken_for_the_old_one(place: Place) -> None:
    lines = watched(place, *(lambda n=n: place.write("WatchedOne", n) for n in (2, 3, 4)))
    assert [line for line in lines if line.startswith("ran WatchedOne")] == [
        f"ran WatchedOne ['{5 + n}']" for n in (1, 2, 3, 4)
    ]


def test_code_that_cannot_be_loaded_is_told_and_the_old_code_runs_on(place: Place) -> None:
    def break_it() -> list[Path]:
        place.path("WatchedOne").write_text("def broken(:\n")
        return [place.path("WatchedOne")]

    def other_value() -> list[Path]:
        place.file.write_text(place.file.read_text().replace("5", "6"))
        return [place.file]

    lines = watched(place, break_it, other_value, lambda: place.write("WatchedOne", 3))
    assert lines[4] == "reloaded WatchedOne: 1 problems"
    assert lines[5:9] == [FIRST[0], "ran WatchedOne ['7']", "ran WatchedTwo ['16']", "finished"]
    assert lines[9:] == [
        "reloaded WatchedOne: 0 problems", "plan flow: WatchedOne", "ran WatchedOne ['9']", "finished"
    ]  # fmt: skip


def test_saving_the_same_code_again_is_nothing(place: Place) -> None:
    assert watched(place, lambda: place.write("WatchedOne", 1)) == FIRST


def test_results_and_loaded_models_are_those_of_before(place: Place) -> None:
    engine = Engine.from_settings(place.settings())
    read(engine, place.file)
    place.write("WatchedOne", 2)
    fresh, problems = renewed(
        engine, place.settings(), [pack for pack in engine.custom if pack.name == "WatchedOne"]
    )
    assert not problems
    assert fresh.registry is not engine.registry
    assert (fresh.store, fresh.memory, fresh.executor) == (engine.store, engine.memory, engine.executor)
    fresh.close()


def test_a_pack_that_is_not_trusted_as_it_is_now_keeps_its_old_code(place: Place) -> None:
    engine = Engine.from_settings(place.settings())
    read(engine, place.file)
    place.write("WatchedOne", 2)
    none_trusted = load_settings(base_dir=place.folder, cache=place.folder / "cache", device="cpu", environ={})
    kept, problems = renewed(engine, none_trusted, engine.custom[:1])
    assert kept is engine
    assert [problem.code for problem in problems] == ["untrusted_pack"]
    assert engine.run(read(engine, place.file)[0]).ui[NodeId("WatchedOne")] == {"text": ["6"]}
    engine.close()


def test_when_one_of_two_packs_cannot_be_loaded_both_stay_as_they_were(place: Place) -> None:
    engine = Engine.from_settings(place.settings())
    read(engine, place.file)
    place.write("WatchedOne", 2)
    place.path("WatchedTwo").write_text("1 / 0\n")
    kept, problems = renewed(engine, place.settings(), engine.custom)
    assert kept is engine
    assert [problem.code for problem in problems] == ["broken_pack"]
    place.write("WatchedTwo", 10)
    assert engine.run(read(engine, place.file)[0]).ui[NodeId("WatchedOne")] == {"text": ["6"]}
    engine.close()


def test_old_code_is_let_go_of(place: Place) -> None:
    gone: list[weakref.ref[object]] = []

    def write(n: int) -> list[Path]:
        module = sys.modules["graphengine_pack_WatchedOne"]
        gone.extend([weakref.ref(module), weakref.ref(module.WatchedOne)])
        return place.write("WatchedOne", n)

    lines = watched(place, *(lambda n=n: write(n) for n in range(2, 22)))
    assert lines.count("reloaded WatchedOne: 0 problems") == 20
    gc.collect()
    assert [ref() for ref in gone if ref() is not None] == []
