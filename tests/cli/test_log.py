"""`graphengine log`, and which runs get into the history."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from graphengine.provenance.history.history import History
from tests.cli.conftest import CommandLine

FLOW = {
    "1": {"class_type": "PrimitiveInt", "inputs": {"value": 5}},
    "2": {"class_type": "TrialSave", "inputs": {"text": "5"}},
    "3": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}


@pytest.fixture
def flow(place: Path) -> Path:
    file = place / "flow.json"
    file.write_text(json.dumps(FLOW))
    return file


def log(graphengine: CommandLine, *argv: str) -> list[dict[str, Any]]:
    done = graphengine("log", "--json", *argv)
    assert done.err == ""
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def test_a_run_is_listed_with_what_was_set_and_saved(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json", "--set", "1.value=6")
    (run,) = log(graphengine)
    assert (run["file"], run["status"], run["parameters"]) == ("flow.json", "success", {"1.value": 6})
    assert {node_id: node["state"] for node_id, node in run["nodes"].items()} == {
        "1": "executed",
        "2": "executed",
        "3": "executed",
    }
    assert [output["path"] for output in run["outputs"]] == ["output/saved.txt"]
    first, second = graphengine("log").out.splitlines()
    assert first.startswith(run["id"].rpartition("-")[2])
    assert first.endswith("  3 run  flow.json  1.value=6")
    assert second.strip() == "output/saved.txt"


def test_the_runs_of_a_file_are_found_also_when_it_is_gone(graphengine: CommandLine, flow: Path) -> None:
    shutil.copy(flow, "other.json")
    graphengine("run", "flow.json")
    graphengine("run", "other.json")
    flow.unlink()
    assert [run["file"] for run in log(graphengine, "flow.json")] == ["flow.json"]
    assert [run["file"] for run in log(graphengine)] == ["other.json", "flow.json"]
    assert len(log(graphengine, "-n", "1")) == 1


def test_the_runs_that_made_a_file_are_found_by_its_bytes_wherever_it_is(
    graphengine: CommandLine, flow: Path, tmp_path: Path
) -> None:
    graphengine("run", "flow.json")
    moved = tmp_path / "renamed.bin"
    shutil.move("output/saved.txt", moved)
    (run,) = log(graphengine, "--output", str(moved))
    assert run["file"] == "flow.json"


def test_a_file_that_no_run_made_is_told_what_is_known_of_its_name(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    Path("output/saved.txt").write_text("edited")
    done = graphengine("log", "--output", "output/saved.txt")
    assert done.code == 2
    assert "no run in the history made 'output/saved.txt'" in done.err
    assert "saved a file of this name with other bytes" in done.err


def test_only_runs_that_changed_an_output_are_listed_with_the_reason(graphengine: CommandLine, flow: Path) -> None:
    for text in ("a", "a", "b", "b"):
        graphengine("run", "flow.json", "--set", f"2.text={text}")
    (found,) = log(graphengine, "--changed")
    assert found["changes"]["workflow"]["graphs"][0]["nodes"][0]["inputs"] == [
        {"name": "text", "kind": "value", "old": "a", "new": "b"}
    ]
    assert 'text: "a" → "b"' in graphengine("log", "--changed").out


def test_without_a_history_it_says_where_there_is_none(graphengine: CommandLine, place: Path) -> None:
    done = graphengine("log")
    assert (done.code, done.out) == (2, "")
    assert f"no run is recorded in {place}" in done.err


def test_no_runs_of_a_file_are_told_with_exit_code_1(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    done = graphengine("log", "nothing.json")
    assert (done.code, done.out, done.err) == (1, "", "no such runs\n")


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_run_may_be_left_out(
    graphengine: CommandLine, flow: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "variable":
        monkeypatch.setenv("GRAPHENGINE_NO_RECORD", "1")
    done = graphengine("run", "flow.json", *(["--no-record"] if how == "option" else []))
    assert (done.code, Path(".graphengine").exists()) == (0, False)


def test_each_run_of_a_sweep_is_recorded_with_its_values(graphengine: CommandLine, flow: Path) -> None:
    assert graphengine("run", "flow.json", "--sweep", "1.value=1..3", "-q").code == 0
    found = log(graphengine)
    assert [(run["file"], run["parameters"]) for run in found] == [
        ("flow.json", {"1.value": 3}),
        ("flow.json", {"1.value": 2}),
        ("flow.json", {"1.value": 1}),
    ]


def test_a_failed_run_is_recorded_with_what_failed(graphengine: CommandLine, place: Path) -> None:
    (place / "bad.json").write_text(
        json.dumps({"1": {"class_type": "TrialFailure", "inputs": {"message": "out of paint"}}})
    )
    assert graphengine("run", "bad.json").code == 1
    (run,) = log(graphengine)
    assert (run["status"], run["nodes"]["1"]["state"]) == ("error", "failed")
    assert run["failure"] == {"node_id": "1", "message": "node 1 (TrialFailure): ValueError: out of paint"}


def test_a_swept_secret_is_in_no_name_and_no_manifest(graphengine: CommandLine, flow: Path) -> None:
    secret = "hf_" + "Planted0123456789abcdef"
    graphengine("run", "flow.json", "--sweep", f"2.text={secret},plain", "-q")
    texts = [path.read_bytes() for path in Path("output").rglob("*") if path.suffix == ".json"]
    assert texts
    assert not [text for text in texts if secret.encode() in text]
    assert not [path for path in Path("output").rglob("*") if secret in path.name]


def test_a_base_folder_has_a_history_of_its_own(graphengine: CommandLine, flow: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    graphengine(
        "run", "flow.json", "--base-dir", str(other), "--custom-nodes", "custom_nodes", "--trust", "trial_nodes"
    )
    assert not Path(".graphengine").exists()
    assert [run.file for run in History(other / ".graphengine").runs()] == [str(flow)]
    assert len(log(graphengine, "--base-dir", str(other))) == 1
