"""What is another one than when a run was recorded."""

from dataclasses import replace
from pathlib import Path

import pytest

from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.history.past_run import Machine, PastNode, PastRun, UsedFile, UsedPack
from graphengine.provenance.record import ClassEntry, RunRecord
from graphengine.replaying.code_files import with_changed_files
from graphengine.replaying.departures import Departure, Here, between, changed_files, departures, suspects
from graphengine.replaying.walk import walk
from tests.replaying.project import KINDS

MACHINE = Machine("0.1.0", "3.11.9", "linux-x86_64", "cpu", "2.13.0")
MODEL = UsedFile("1", "name", "checkpoints", "m.safetensors", "/m.safetensors", "a" * 64)
RUN = PastRun(
    "20261122-205101123-3f9c2a",
    1e9,
    2.0,
    "success",
    "0" * 64,
    MACHINE,
    file="flow.json",
    lock="1" * 64,
    files=(MODEL, replace(MODEL, node_id="7")),
    packs=(UsedPack("painting", sha256="0123456789abcdef"),),
    environment={"device": "cpu", "deterministic": "no", "package:torch": "2.13.0", "package:scipy": "1.14.0"},
)


def here(tmp_path: Path, **changes: object) -> Here:
    folder = tmp_path / "checkpoints"
    folder.mkdir(exist_ok=True)
    (folder / "m.safetensors").write_bytes(b"m")
    folders = Folders(models={"checkpoints": (folder,)})
    packs = {"painting": "0123456789abcdef"}
    same = Here(MACHINE, "1" * 64, folders, lambda path: "sha256:" + "a" * 64, RUN.environment, packs)
    return replace(same, **changes)  # type: ignore[arg-type]  # fields of Here


def test_nothing_departs_where_all_is_as_it_was(tmp_path: Path) -> None:
    assert departures(RUN, here(tmp_path)) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lock": None}, "the lock is another: 111111111111…, none now"),
        ({"machine": replace(MACHINE, torch="2.14.0")}, "torch is another: 2.13.0, 2.14.0 now"),
        ({"machine": replace(MACHINE, device="cuda")}, "the device is another: cpu, cuda now"),
        ({"machine": replace(MACHINE, graphengine="0.2.0")}, "graphengine is another: 0.1.0, 0.2.0 now"),
        ({"environment": {"deterministic": "yes"}}, "setting deterministic is another: no, yes now"),
        ({"environment": {"package:scipy": "1.15.0"}}, "package scipy is another: 1.14.0, 1.15.0 now"),
        (
            {"packs": {"painting": "f" * 16}},
            "the code of pack painting is another: 0123456789abcdef, ffffffffffffffff now",
        ),
        (
            {"fingerprint": lambda path: "sha256:" + "b" * 64},
            "the file checkpoints/m.safetensors has other bytes: "
            "aaaaaaaaaaaa…, bbbbbbbbbbbb… now (node 1, node 7)",
        ),
        (
            {"folders": Folders()},
            "the file checkpoints/m.safetensors is gone: aaaaaaaaaaaa…, not there now (node 1, node 7)",
        ),
    ],
)
def test_each_departure_is_told_in_words(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    assert [departure.told() for departure in departures(RUN, here(tmp_path, **changes))] == [told]


def test_what_is_not_known_is_no_departure(tmp_path: Path) -> None:
    unknown = replace(MACHINE, device="unknown", torch=None)
    assert departures(RUN, here(tmp_path, machine=unknown, packs=None, environment={})) == []


def test_only_files_of_the_nodes_that_run_count(tmp_path: Path) -> None:
    other = here(tmp_path, fingerprint=lambda path: "b" * 64)
    (found,) = departures(RUN, other, {"7"})
    assert found.nodes == ("7",)
    assert departures(RUN, other, {"8"}) == []
    assert changed_files([found]) == {"7"}


def test_files_and_code_are_suspected_first() -> None:
    engine, pack = Departure("engine", "graphengine", "1", "2"), Departure("pack", "painting", "1", "2")
    assert suspects([engine, pack]) == [pack, engine]


def test_two_runs_are_compared_by_their_records() -> None:
    later = replace(RUN, files=(replace(MODEL, sha256="c" * 64),), machine=replace(MACHINE, torch="2.14.0"))
    assert [(each.part, each.name, each.nodes) for each in between(RUN, later)] == [
        ("file", "checkpoints/m.safetensors", ("1",)),
        ("torch", "torch", ()),
    ]
    assert between(RUN, replace(RUN, files=())) == []


def test_the_files_of_a_pack_are_named_while_the_cache_remembers(tmp_path: Path) -> None:
    code = {"painting.py": "1", "gone.py": "1", "same.py": "1"}
    record = RunRecord(
        "0.1.0", "1", str(tmp_path / "flow.json"), "", RUN.started, 2.0, "success", (), {}, {},
        classes={"Paint": ClassEntry("1", "custom_nodes.painting", 0, 0, False)}, codes=[code],
    )  # fmt: skip
    records = RecordFolder(tmp_path / "runs")
    records.write(record)
    definition = replace(
        define("Paint", next(kind for kind in KINDS if kind.__name__ == "Paint")),
        code={"painting.py": "2", "same.py": "1", "new.py": "1"},
    )
    found = [Departure("pack", "painting", "1", "2"), Departure("lock", "graphengine.lock", None, "1" * 64)]
    file = tmp_path / "flow.json"
    pack, lock = with_changed_files(found, RUN, file, records, {"Paint": definition})
    assert pack.files == ("gone.py", "new.py", "painting.py")
    assert lock.files == ()
    assert pack.told() == "the code of pack painting is another in gone.py, new.py, painting.py: 1, 2 now"
    forgotten = replace(RUN, started=RUN.started + 1)
    assert with_changed_files(found, forgotten, file, records, {"Paint": definition}) == found


def test_digests_of_which_only_the_beginning_is_kept_are_compared_so_far() -> None:
    then = {"1": PastNode("Number", "k", "executed", None, ("ab" * 8,))}
    now = {"1": PastNode("Number", "k", "executed", None, ("ab" * 32,)), "2": PastNode("Number", "k", "executed")}
    found = walk(then, now, {})
    assert (found.same, found.unknown, found.first) == (("1",), ("2",), None)
