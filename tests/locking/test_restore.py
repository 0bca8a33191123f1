"""Rebuilding what a lock says, in an empty folder."""

import json
import os
from pathlib import Path

import pytest

from graphengine.errors import Problem
from graphengine.locking.downloading import Progress
from graphengine.locking.lock_file import read_lock
from graphengine.locking.restore_models import ModelStep
from graphengine.locking.restore_packages import plan_packages
from graphengine.locking.restoring import RestorePlan, Restorer
from graphengine.locking.schema import Lock, LockedModel
from graphengine.packs.installing.environment import open_environment
from graphengine.packs.installing.ledger import Ledger
from graphengine.packs.installing.requiring import Wishes
from tests.locking.conftest import FLOW, STYLE, Place, commit_all, git


@pytest.fixture
def origin(place: Place, tmp_path: Path) -> Path:
    """The repository of the pack, of which the project has a clone; the project is locked."""
    folder = tmp_path / "origin"
    (place.root / "custom_nodes/small").rename(folder)
    commit_all(folder, "first")
    git(tmp_path, "clone", "--quiet", str(folder), str(place.root / "custom_nodes/small"))
    place.lock()
    return folder


@pytest.fixture
def empty(place: Place, origin: Path, tmp_path: Path) -> Place:
    """Another machine: the workflow and the lock, nothing else."""
    other = Place(tmp_path / "other")
    other.write("workflows/flow.json", json.dumps(FLOW))
    other.write("graphengine.lock", (place.root / "graphengine.lock").read_bytes())
    return other


def silent(step: ModelStep) -> Progress:
    return lambda done, total: None


def restore(place: Place, *sources: Path) -> tuple[RestorePlan, list[Problem]]:
    """Plan and do it; the plan, and the problems of doing it."""
    with place.opened() as project:
        restorer = Restorer(
            project, place.root / "custom_nodes", place.root / "models", open_environment(), Wishes(), sources
        )
        plan = restorer.plan(read_lock(project.file))
        return plan, restorer.carry_out(plan, lambda line: None, silent)


def test_an_empty_folder_becomes_what_the_lock_says(place: Place, empty: Place) -> None:
    assert len(empty.told()) == 2
    (place.root / "models" / STYLE).rename(place.root / "models/under another name.bin")
    plan, problems = restore(empty, place.root / "models")
    assert [line.split(" ")[:3] for line in plan.lines()] == [["fetch", "pack", "small"], ["link", "model", STYLE]]
    assert (plan.problems, problems) == ((), [])
    assert empty.told() == []
    assert not (empty.root / "custom_nodes/small/imported").exists()
    assert not (empty.root / "graphengine.toml").exists()
    record = Ledger(empty.root / "custom_nodes").read("small")
    assert record is not None
    assert record.commit == read_lock(empty.root / "graphengine.lock").packs["small"].commit
    plan, _ = restore(empty)
    assert plan.is_empty


def test_models_are_linked_and_not_copied_on_one_disk(place: Place, empty: Place) -> None:
    restore(empty, place.root / "models")
    assert os.path.samefile(place.root / "models" / STYLE, empty.root / "models" / STYLE)


def test_a_file_of_the_right_size_alone_is_not_taken(place: Place, empty: Place, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others/style.safetensors").write_bytes(b"x" * 22)
    plan, _ = restore(empty, tmp_path / "others")
    assert [problem.message for problem in plan.problems] == [
        f"model {STYLE} (22 bytes) is in none of the folders, and no address is known"
    ]
    assert not (empty.root / "models" / STYLE).exists()


def test_what_is_there_and_differs_stays_and_is_told(place: Place, empty: Place) -> None:
    mine = empty.write(f"models/{STYLE}", b"mine")
    code = empty.write("custom_nodes/small/__init__.py", "# mine\n")
    plan, problems = restore(empty, place.root / "models")
    told = [problem.message for problem in plan.problems]
    assert told == [
        f"pack 'small': {code.parent} is other code than the locked one, and is not overwritten",
        f"model {STYLE}: {mine} is another file than the locked one, and is not overwritten",
    ]
    assert plan.is_empty
    assert problems == []
    assert (mine.read_bytes(), code.read_text()) == (b"mine", "# mine\n")


@pytest.mark.parametrize("name", ["small.disabled/__init__.py", "small/readme.txt"])
def test_a_place_that_is_taken_stays(place: Place, empty: Place, name: str) -> None:
    empty.write(f"custom_nodes/{name}", "mine")
    plan, _ = restore(empty, place.root / "models")
    assert len(plan.packs) == 0
    assert "is there and is not overwritten" in plan.problems[0].message


def test_code_that_is_not_the_locked_one_is_not_put_in_place(place: Place, empty: Place, origin: Path) -> None:
    lock = (empty.root / "graphengine.lock").read_text()
    (origin / "more.py").write_text("evil = True\n")
    commit = commit_all(origin, "second")
    before = read_lock(empty.root / "graphengine.lock").packs["small"].commit
    empty.write("graphengine.lock", lock.replace(str(before), commit))
    _, (problem,) = restore(empty, place.root / "models")
    assert "is other code than the lock says" in problem.message
    assert not (empty.root / "custom_nodes/small").exists()
    assert (empty.root / "models" / STYLE).is_file()  # the rest was done


def test_a_repository_that_is_gone_is_told(place: Place, empty: Place, origin: Path) -> None:
    origin.rename(origin.with_name("gone"))
    _, (problem,) = restore(empty, place.root / "models")
    assert problem.code == "not_restorable"
    assert "cannot be fetched" in problem.message


def test_a_pack_without_a_source_is_told(place: Place) -> None:
    place.lock()
    (place.root / "custom_nodes/small").rename(place.root / "small")
    plan, _ = restore(place)
    assert [problem.message for problem in plan.problems] == [
        "pack 'small': where it is to be had is not known (local)"
    ]


def test_too_little_room_is_told_before(place: Place, empty: Place) -> None:
    text = (empty.root / "graphengine.lock").read_text()
    url = 'urls = [\n    "https://example.org/x",\n]\n[end]'
    empty.write("graphengine.lock", text.replace("size = 22", f"size = {2**60}").replace("[end]", url))
    with empty.opened() as project:
        environment = open_environment()
        made = Restorer(project, empty.root / "custom_nodes", empty.root / "models", environment, Wishes())
        plan = made.plan(read_lock(project.file))
    assert "bytes of room, the models that go there have" in plan.problems[-1].message


def lock_of_packages(place: Place, **packages: dict[str, object]) -> Lock:
    lock = place.make().lock
    return Lock.model_validate({**lock.model_dump(), "packages": packages})


def test_packages_are_brought_by_hash_alone_and_replaced_only_when_allowed(place: Place) -> None:
    digest = "ab" * 32
    lock = lock_of_packages(
        place,
        absent={"version": "1.0", "sha256": [digest]},
        unhashed={"version": "1.0"},
        pydantic={"version": "0.1", "sha256": [digest]},
    )
    environment = open_environment()
    pins, problems = plan_packages(lock, environment)
    assert [(pin.name, pin.sha256) for pin in pins] == [("absent", (digest,))]
    assert {problem.message.partition(":")[0] for problem in problems} == {
        "package pydantic 0.1",
        "package unhashed 1.0",
    }
    pins, _ = plan_packages(lock, environment, ["Pydantic"])
    assert [pin.name for pin in pins] == ["absent", "pydantic"]


def test_names_that_lead_out_are_no_lock() -> None:
    with pytest.raises(ValueError, match="leads out"):
        Lock.model_validate(
            {"version": 1, "engine": {"graphengine": "1", "python": "3.11", "device": "cpu", "platform": "x"},
             "models": {"checkpoints": {"../../.bashrc": LockedModel(size=1, sha256="ab" * 32).model_dump()}}}
        )  # fmt: skip
