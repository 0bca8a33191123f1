"""`graphengine run`: what it writes where, what it changes, and how it stops."""

import json
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.workflow.containers import exif, mp3, mp4, mp4_keys, riff, safetensors, webp

LENGTH = {
    "1": {"class_type": "PrimitiveString", "inputs": {"value": "red fox"}, "_meta": {"title": "Text"}},
    "2": {"class_type": "StringLength", "inputs": {"string": ["1", 0]}},
    "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
}


@pytest.fixture
def length(place: Path) -> str:
    """A workflow that shows the length of a text."""
    return save(place / "length.json", LENGTH)


def save(file: Path, document: object) -> str:
    file.write_text(json.dumps(document))
    return str(file)


def node(class_type: str, **inputs: object) -> dict[str, object]:
    """An API document of one node, 1."""
    return {"1": {"class_type": class_type, "inputs": inputs}}


def test_results_go_to_stdout_and_progress_to_stderr(graphengine: CommandLine, length: str) -> None:
    done = graphengine("run", length)
    assert done.code == 0
    assert done.out.splitlines()[0] == "node 3 (PreviewAny): 7"
    assert done.out.splitlines()[2].split() == ["node", "class", "seconds"]
    assert done.out.splitlines()[-1].endswith("3 run, 0 from the cache")
    assert done.err.splitlines()[0] == "3 nodes to run"
    assert done.err.splitlines()[1].startswith('node 1 (PrimitiveString) "Text": ')


def test_a_second_run_comes_from_the_cache(graphengine: CommandLine, length: str) -> None:
    graphengine("run", length)
    done = graphengine("run", length)
    assert done.out.splitlines()[0] == "node 3 (PreviewAny): 7"
    assert done.out.splitlines()[-1].endswith("0 run, 1 from the cache")


def test_without_a_cache_everything_runs_again(graphengine: CommandLine, length: str, tmp_path: Path) -> None:
    graphengine("run", length, "--no-cache")
    done = graphengine("run", length, "--no-cache")
    assert done.out.splitlines()[-1].endswith("3 run, 0 from the cache")
    assert not (tmp_path / "cache").exists()


def test_set_changes_an_input(graphengine: CommandLine, length: str) -> None:
    assert "node 3 (PreviewAny): 3" in graphengine("run", length, "--set", "Text.value=fox").out


def test_set_on_a_linked_input_replaces_the_link_and_says_so(graphengine: CommandLine, length: str) -> None:
    done = graphengine("run", length, "--set", "StringLength.string=ab")
    assert "node 3 (PreviewAny): 2" in done.out
    assert "warning: node 2 (StringLength): input 'string' was linked to node 1; --set replaces it" in done.err


def test_seed_sets_every_seed(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", node("TrialSteps", steps=2, seed=1))
    assert "2 steps, seed 77" in graphengine("run", flow, "--seed", "77").out
    assert "2 steps, seed 5" in graphengine("run", flow, "--seed", "77", "--set", "1.seed=5").out


@pytest.mark.parametrize("kind", ["WebP picture", "MP4 video", "MP3 file", "safetensors file"])
def test_a_file_that_carries_its_workflow_is_run(graphengine: CommandLine, place: Path, kind: str) -> None:
    documents = {"prompt": json.dumps(LENGTH), "workflow": json.dumps({"nodes": [], "links": []})}
    (place / "saved").write_bytes(carrier(kind, documents))
    done = graphengine("run", "saved")
    assert done.out.splitlines()[0] == "node 3 (PreviewAny): 7"
    assert "node 1 (PrimitiveString) is in the API document only" in done.err


def test_from_ui_runs_what_was_drawn(graphengine: CommandLine, place: Path) -> None:
    (place / "saved").write_bytes(
        carrier("MP4 video", {"prompt": json.dumps(LENGTH), "workflow": '{"nodes": [], "links": []}'})
    )
    done = graphengine("run", "saved", "--from", "ui")
    assert done.code == 1
    assert "[no_output_node]" in done.err


def carrier(kind: str, texts: dict[str, str]) -> bytes:
    """A file of a kind that carries the texts."""
    match kind:
        case "WebP picture":
            tags = {0x010F: f"workflow:{texts['workflow']}", 0x0110: f"prompt:{texts['prompt']}"}
            return webp(riff(b"EXIF", exif(tags)))
        case "MP4 video":
            return mp4(mp4_keys(texts))
        case "MP3 file":
            return mp3(texts)
        case _:
            return safetensors(texts)


def test_target_runs_only_what_the_node_needs(graphengine: CommandLine, length: str) -> None:
    done = graphengine("run", length, "--target", "StringLength", "--json")
    assert [entry["node_id"] for entry in json.loads(done.out)["nodes"]] == ["1", "2"]


def test_files_are_named_relative_to_the_current_folder(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", node("TrialSave", text="hello"))
    assert graphengine("run", flow).out.splitlines()[0] == "output/saved.txt"
    assert (place / "output" / "saved.txt").read_text() == "hello"


def test_a_file_elsewhere_is_named_in_full(graphengine: CommandLine, place: Path, tmp_path: Path) -> None:
    flow = save(place / "flow.json", node("TrialSave", text="hello"))
    done = graphengine("run", flow, "--quiet", "--output", str(tmp_path / "elsewhere"))
    assert done.out == f"{tmp_path / 'elsewhere' / 'saved.txt'}\n"


def test_quiet_writes_only_files(graphengine: CommandLine, length: str) -> None:
    done = graphengine("run", length, "--quiet")
    assert (done.out, done.err) == ("", "")


def test_json_holds_the_whole_summary(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", node("TrialSave", text="hello"))
    summary = json.loads(graphengine("run", flow, "--json").out)
    assert summary["status"] == "success"
    assert summary["files"] == [str(place / "output" / "saved.txt")]
    (entry,) = summary["nodes"]
    assert (entry["node_id"], entry["class_type"], entry["cached"]) == ("1", "TrialSave", False)


def test_events_are_lines_of_json(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", node("TrialSteps", steps=2))
    graphengine("run", flow, "--events", "events.jsonl")
    events = [json.loads(line) for line in (place / "events.jsonl").read_text().splitlines()]
    kinds = ["run_started", "node_started", "node_progress", "node_progress", "node_finished", "run_finished"]
    assert [event["kind"] for event in events] == kinds
    assert events[2] == {"kind": "node_progress", "node_id": "1", "value": 1, "total": 2}


def test_events_on_stdout_leave_it_to_json(graphengine: CommandLine, length: str) -> None:
    done = graphengine("run", length, "--events", "-")
    assert {json.loads(line)["kind"] for line in done.out.splitlines()} >= {"run_started", "run_finished"}
    assert "node 3 (PreviewAny): 7" in done.err


def test_stdout_takes_one_kind_of_json(graphengine: CommandLine, length: str) -> None:
    done = graphengine("run", length, "--events", "-", "--json")
    assert done.code == 2
    assert "stdout takes one of --json and --events -" in done.err


def test_an_event_that_cannot_be_written_disturbs_no_run(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", node("TrialSave", text="hello"))
    done = graphengine("run", flow, "--events", "/dev/full")
    assert done.code == 1
    assert done.err.splitlines()[-1] == "error: No space left on device"
    assert (place / "output" / "saved.txt").read_text() == "hello"


def test_an_events_file_that_cannot_be_opened_is_refused(graphengine: CommandLine, length: str) -> None:
    done = graphengine("run", length, "--events", "nowhere/events.jsonl")
    assert done.code == 1
    assert "cannot write events to 'nowhere/events.jsonl': No such file or directory" in done.err


def test_a_node_that_fails_is_named_with_its_message(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", node("TrialFailure", message="out of paint"))
    done = graphengine("run", flow)
    assert done.code == 1
    assert "error: node 1 (TrialFailure): ValueError: out of paint" in done.err
    assert "Traceback" not in done.err


def test_debug_shows_where_a_node_failed(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", node("TrialFailure", message="out of paint"))
    done = graphengine("run", flow, "--debug")
    assert done.code == 1
    assert "Traceback" in done.err
    assert "trial_nodes.py" in done.err


def test_a_failure_is_in_the_json_too(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", node("TrialFailure", message="out of paint"))
    done = graphengine("run", flow, "--json")
    summary = json.loads(done.out)
    assert done.code == 1
    assert summary["status"] == "error"
    assert summary["error"]["message"] == "node 1 (TrialFailure): ValueError: out of paint"


def test_all_problems_of_a_workflow_are_listed(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", {**node("PreviewAny"), "2": {"class_type": "Nothing", "inputs": {}}})
    done = graphengine("run", flow, "--target", "1", "--target", "2")
    assert done.code == 1
    assert "node 1 (PreviewAny)" in done.err
    assert "node 2 (Nothing)" in done.err
    assert done.err.splitlines()[-1] == "error: 2 problems in the workflow"


def test_the_first_ctrl_c_stops_at_the_next_step(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", node("TrialSteps", steps=5, interrupt_at=3))
    done = graphengine("run", flow, "--events", "events.jsonl")
    events = [json.loads(line) for line in (place / "events.jsonl").read_text().splitlines()]
    assert done.code == 1
    assert done.err.splitlines()[-1] == "error: the run was cancelled"
    assert [event["value"] for event in events if event["kind"] == "node_progress"] == [1, 2]
    assert events[-1]["status"] == "cancelled"


def test_the_second_ctrl_c_stops_at_once(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", node("TrialSteps", steps=5, interrupt_at=3, presses=2))
    done = graphengine("run", flow, "--json")
    assert done.code == 1
    assert json.loads(done.out)["status"] == "cancelled"
    assert "Traceback" not in done.err


def test_signal_handlers_are_put_back(graphengine: CommandLine, place: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    graphengine("run", save(place / "flow.json", node("TrialSteps", steps=5, interrupt_at=3)))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


TWO = {
    "1": {"class_type": "PreviewAny", "inputs": {"source": "good"}},
    "2": {"class_type": "PreviewAny", "inputs": {}},
}


def test_an_error_at_one_output_stops_the_run_of_all(graphengine: CommandLine, place: Path) -> None:
    done = graphengine("run", save(place / "two.json", TWO))
    assert done.code == 1
    assert done.out == ""


def test_partial_runs_the_outputs_that_can_run_and_fails_at_the_end(graphengine: CommandLine, place: Path) -> None:
    done = graphengine("run", save(place / "two.json", TWO), "--partial")
    assert done.code == 1
    assert "node 1 (PreviewAny)" in done.err
    assert "node 2 (PreviewAny): input 'source' is not set" in done.err


def test_nodes_may_run_side_by_side(graphengine: CommandLine, length: str) -> None:
    done = graphengine("run", length, "--jobs", "2", "--retries", "1", "--memory-budget", "1MB")
    assert done.code == 0
    assert done.out.splitlines()[0] == "node 3 (PreviewAny): 7"


@pytest.mark.parametrize("size", ["much", "-5"])
def test_a_memory_budget_that_is_no_size_is_refused(graphengine: CommandLine, length: str, size: str) -> None:
    done = graphengine("run", length, f"--memory-budget={size}")
    assert done.code == 1
    assert f"'{size}'" in done.err
    assert "4GiB" in done.err
