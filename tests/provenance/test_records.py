"""Records of runs on disk."""

import gzip
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from graphengine.cache.disk import DiskStore
from graphengine.cache.store import MemoryStore, TieredStore
from graphengine.errors import NodeExecutionError, RunCancelled
from graphengine.provenance.changes import named_parts
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.record import RECORD
from tests.provenance.bench import Bench, Nodes
from tests.provenance.test_foresee import CHAIN, SAMPLED
from tests.workflows import workflow


def files(bench: Bench) -> list[Path]:
    return sorted((bench.root / "runs").rglob("*.json.gz"))


def document(file: Path) -> dict[str, object]:
    return dict(json.loads(gzip.decompress(file.read_bytes())))


def states(bench: Bench) -> dict[str, str]:
    return {each: entry.state for each, entry in bench.records.read(bench.file, "")[0].record.nodes.items()}


def test_a_run_is_recorded_with_what_became_of_each_node(bench: Bench) -> None:
    bench.run(CHAIN)
    assert states(bench) == {"1": "executed", "2": "executed", "3": "executed"}
    bench.run({**CHAIN, "1": ("Half", {"value": 7})})
    assert states(bench) == {"1": "executed", "2": "cut off", "3": "cut off"}
    bench.run({**CHAIN, "1": ("Half", {"value": 7})})
    assert states(bench) == {"1": "not needed", "2": "not needed", "3": "cached"}


ENVIRONMENT = {"package:torch": "2.12", "device": "cpu", "deterministic": "no", "float32_precision": "highest"}


def test_a_record_holds_what_the_run_was(bench: Bench) -> None:
    bench.run(SAMPLED)
    (run,) = bench.records.read(bench.file, "")
    record = run.record
    assert (record.status, record.file, record.targets) == ("success", str(bench.file), ("4",))
    assert record.document["3"] == {"class_type": "Sample", "inputs": {"model": ["1", 0], "value": ["2", 0]}}
    assert record.environments == [ENVIRONMENT]
    assert len(record.nodes["3"].key) == 64
    assert len(record.nodes["3"].digests) == 1
    assert record.nodes["1"].stored is False


def test_the_parts_of_a_key_are_named(bench: Bench) -> None:
    parts = named_parts(bench.foresee(SAMPLED).now, "1")
    path = bench.folders.models["checkpoints"][0] / "m.safetensors"
    assert parts.pop("file:ckpt_name").startswith(f"{path} sha256:")
    assert parts == {
        "class": "LoadModel",
        "code:loadmodel.py": "1",
        **ENVIRONMENT,
        "input:ckpt_name": '"m.safetensors"',
    }
    assert named_parts(bench.foresee(SAMPLED).now, "3")["link:model"] == "node 1, output 0"


def test_of_a_disk_what_it_cannot_hold_is_recorded_as_not_stored(bench: Bench, tmp_path: Path) -> None:
    with DiskStore(tmp_path / "disk") as disk:
        engine = replace(bench.engine(), store=TieredStore(MemoryStore(), disk))
        engine.run(workflow({"1": ("Opaque", {}), "2": ("Show", {"value": ["1", 0]})}), record_as=bench.file)
    nodes = bench.records.read(bench.file, "")[0].record.nodes
    assert (nodes["1"].stored, nodes["2"].stored) == (False, True)


def test_a_long_literal_counts_by_its_hash(bench: Bench) -> None:
    says: Nodes = {"1": ("Say", {"text": "x" * 500, "api_key": ""}), "2": ("Show", {"value": ["1", 0]})}
    assert named_parts(bench.foresee(says).now, "1")["input:text"].startswith("sha256:")


def test_a_failed_run_is_recorded_with_what_failed(bench: Bench) -> None:
    failing: Nodes = {"1": ("Say", {"text": "fail", "api_key": ""}), "2": ("Show", {"value": ["1", 0]})}
    with pytest.raises(NodeExecutionError):
        bench.run(failing)
    record = bench.records.read(bench.file, "")[0].record
    assert (record.status, states(bench)) == ("error", {"1": "failed", "2": "not reached"})
    assert record.failure is not None
    assert record.failure.node_id == "1"


def test_a_stopped_run_is_recorded(bench: Bench) -> None:
    with pytest.raises(RunCancelled):
        bench.engine().run(workflow(CHAIN), record_as=bench.file, is_cancelled=lambda: True)
    assert bench.records.read(bench.file, "")[0].record.status == "cancelled"


def test_records_fit_their_schema_and_come_back_as_they_were(bench: Bench) -> None:
    bench.run(SAMPLED)
    (run,) = bench.records.read(bench.file, "")
    assert RECORD.validate_json(RECORD.dump_json(run.record)) == run.record


def test_a_file_is_the_same_however_it_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.root / "below").mkdir()
    monkeypatch.chdir(bench.root / "below")
    bench.engine().run(workflow(CHAIN), record_as=Path("../flow.json"))
    assert len(bench.records.read(bench.file, "")) == 1


def test_the_last_runs_of_other_workflows_are_read_without_large_ones(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.json", "b.json"):
        bench.engine().run(workflow(CHAIN), record_as=bench.root / name)
    others = [run.record.file for run in bench.records.read_others(bench.root / "a.json", "", 5)]
    assert others == [str(bench.root / "b.json")]
    monkeypatch.setattr("graphengine.provenance.folder._ENOUGH", 10)
    assert list(bench.records.read_others(bench.root / "a.json", "", 5)) == []


def test_only_the_last_runs_are_kept(bench: Bench, tmp_path: Path) -> None:
    for value in range(4):
        bench.run({**CHAIN, "1": ("Half", {"value": value})})
    records = RecordFolder(tmp_path / "runs", keep=2)
    (run, *_) = records.read(bench.file, "")
    records.write(run.record)
    assert len(files(bench)) == 2


@pytest.mark.parametrize("damage", [b"", b"no gzip", gzip.compress(b"{"), gzip.compress(b"[1]")])
def test_a_damaged_record_is_left_out_with_one_warning(
    bench: Bench, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    bench.run(CHAIN)
    bench.run(SAMPLED)
    bench.run(CHAIN)
    for file in files(bench)[:2]:
        file.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert len(bench.records.read(bench.file, "")) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "damaged or of another version" in caplog.text


def test_a_record_of_a_newer_version_is_left_out(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.run(CHAIN)
    (file,) = files(bench)
    file.write_bytes(gzip.compress(json.dumps({**document(file), "format": 2}).encode()))
    with caplog.at_level(logging.WARNING):
        assert bench.foresee(CHAIN).past == ()
    assert "another version" in caplog.text


def test_a_folder_that_cannot_be_written_does_not_disturb_the_run(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    (bench.root / "runs").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert set(bench.run(CHAIN).executed) == {"1", "2", "3"}
    assert "the run is not recorded" in caplog.text


def test_nothing_is_left_of_a_record_that_could_not_be_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    bench.run(CHAIN)
    assert [name for _, _, names in os.walk(bench.root / "runs") for name in names] == []


def test_values_that_are_no_json_do_not_keep_a_run_from_being_recorded(bench: Bench) -> None:
    odd = workflow({"1": ("Show", {"value": 1})})
    node = odd.nodes[next(iter(odd.nodes))]
    object.__setattr__(node, "inputs", {"value": object()})
    bench.engine().run(odd, record_as=bench.file)
    (run,) = bench.records.read(bench.file, "")
    assert run.record.unkeyed == ["1"]
