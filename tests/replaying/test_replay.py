"""Making outputs again: what is the same, what is not, and which node and which change it lies in."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from graphengine.errors import (
    GraphEngineError,
    NodeExecutionError,
    RunCancelled,
    SettingsError,
    WorkflowFormatError,
)
from graphengine.execution.numerics import Numerics
from graphengine.provenance.history.documents import document_bytes
from graphengine.provenance.history.past_run import PAST_RUN
from graphengine.replaying.likeness import Tolerance
from graphengine.replaying.replay import NotReplayable, Replay
from graphengine.replaying.subject import find_subject
from graphengine.replaying.words import replay_json, replay_lines
from graphengine.replaying.workbench import opened_replayer
from graphengine.workflow.models import Workflow
from tests.replaying.project import PAINTED, Nodes, Project, changed_pixel, changed_text
from tests.workflows import workflow


def told(replay: Replay) -> str:
    return "\n".join(replay_lines(replay))


def test_a_picture_is_made_again_with_identical_bytes(project: Project) -> None:
    run = project.run(PAINTED)
    replay = project.replay(project.picture())
    assert (replay.level, replay.holds, replay.first) == ("bytes", True, None)
    assert replay.subject.run == run
    assert replay.departures == ()
    assert project.history.find("@1") == run  # a replay leaves no record


def test_a_run_is_made_again_with_all_its_files(project: Project) -> None:
    run = project.run({**PAINTED, "6": ("Paint", {"level": ["2", 0]}), "7": ("Show", {"value": ["2", 0]})})
    replay = project.replay("@1")
    assert [each.likeness.level for each in replay.files] == ["bytes", "bytes"]
    assert {each.original.path for each in replay.files} == {project.root / out.path for out in run.outputs}


def test_outputs_of_the_project_are_left_as_they_are(project: Project) -> None:
    project.run(PAINTED)
    before = {path: path.read_bytes() for path in (project.root / "output").iterdir()}
    project.replay("@1")
    assert {path: path.read_bytes() for path in (project.root / "output").iterdir()} == before


def test_a_moved_picture_is_found_by_its_bytes(project: Project, tmp_path: Path) -> None:
    project.run(PAINTED)
    moved = tmp_path / "elsewhere.png"
    project.picture().rename(moved)
    assert project.replay(moved).level == "bytes"


def test_a_lost_file_is_compared_by_its_record(project: Project) -> None:
    project.run(PAINTED)
    project.picture().unlink()
    replay = project.replay("@1")
    assert replay.files[0].state == "absent"
    assert replay.level in ("bytes", "pixels")
    assert replay.holds


def test_a_file_that_another_run_saved_in_its_place_is_not_called_tampered(project: Project) -> None:
    first = project.run(PAINTED)
    project.picture().unlink()
    second = project.run({**PAINTED, "2": ("Number", {"value": 6})})
    assert first.outputs[0].path == second.outputs[0].path
    replay = project.replay(first.id)
    assert (replay.files[0].state, replay.tampered, replay.holds) == ("absent", (), True)
    assert "another run saved its own file there; the record was compared" in told(replay)


def test_a_run_from_the_cache_has_the_file_that_an_earlier_run_saved(project: Project) -> None:
    drawn = Workflow(workflow(PAINTED).nodes, {"nodes": [], "links": []})
    with project.engine(project.settings) as engine:
        engine.run(workflow(PAINTED))
        engine.run(drawn)
    assert project.history.find("@1").outputs[0].is_new is False
    assert project.replay("@1").level == "bytes"
    assert project.replay("@1").walk is not None


def test_a_tampered_pixel_is_named(project: Project) -> None:
    project.run(PAINTED)
    changed_pixel(project.picture(), (3, 2))
    replay = project.replay(project.picture())
    assert not replay.holds
    ((_, change),) = replay.tampered
    assert change.kind == "pixels"
    assert "1 of 48 pixels differ, at x 3, y 2" in change.told


def test_metadata_edited_by_hand_are_named(project: Project) -> None:
    project.run(PAINTED)
    picture = project.picture()
    prompt = json.loads(_text(picture, "prompt"))
    prompt["2"]["inputs"]["value"] = 6
    changed_text(picture, "prompt", json.dumps(prompt))
    replay = project.replay(picture)
    assert not replay.holds
    (change,) = [change for _, change in replay.tampered]
    assert (change.kind, change.told) == ("metadata", "'prompt' was changed: node 2 (Number): value: 5 → 6")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("prompt", None, "the text 'prompt' was removed"),
        ("graphengine", None, "the text 'graphengine' was removed"),
        ("graphengine", '{"run": "20200101-000000000-aaaaaa"}', "'graphengine' was changed: run: "),
        ("Software", "Editor 1.0", "the text 'Software' was added: Editor 1.0"),
        ("prompt", "{", "the text 'prompt' was changed: "),
    ],
)
def test_a_text_that_was_removed_added_or_changed_is_named(
    project: Project, name: str, text: str | None, expected: str
) -> None:
    project.run(PAINTED)
    changed_text(project.picture(), name, text)
    replay = project.replay(project.picture())
    assert not replay.holds
    assert expected in told(replay)


def test_a_tampered_model_byte_is_the_suspect_and_its_loader_the_first_node(project: Project) -> None:
    project.run(PAINTED)
    project.model.write_bytes(b"\x08 and more")
    replay = project.replay("@1")
    assert (replay.level, replay.first) == ("different", "1")
    (departure,) = replay.departures
    assert (departure.part, departure.name, departure.nodes) == ("file", "checkpoints/m.safetensors", ("1",))
    assert "the file checkpoints/m.safetensors has other bytes" in told(replay)
    assert "first node whose output differs: node 1 (LoadWeight)" in told(replay)


def test_a_model_byte_that_changes_nothing_is_told_all_the_same(project: Project) -> None:
    project.run(PAINTED)
    project.model.write_bytes(b"\x07 and else")
    replay = project.replay("@1")
    assert replay.level == "bytes"
    assert [departure.part for departure in replay.departures] == ["file"]


def test_changed_code_is_named_by_its_pack(project: Project) -> None:
    project.run(PAINTED)
    project.code["Sum"] = "2"
    replay = project.replay("@1")
    assert [(departure.part, departure.name) for departure in replay.departures] == [
        ("pack", "custom_nodes.painting")
    ]
    assert replay.level == "bytes"


def test_a_changed_lock_is_named(project: Project) -> None:
    (project.root / "graphengine.lock").write_text("version = 1\n")
    project.run(PAINTED)
    (project.root / "graphengine.lock").write_text("version = 1\n# changed\n")
    replay = project.replay("@1")
    assert replay.level == "bytes"
    assert [departure.part for departure in replay.departures] == ["lock"]
    assert replay.departures[0].told().startswith("the lock is another: ")


DICED: Nodes = {**PAINTED, "2": ("Dice", {})}


def test_the_first_node_that_gives_something_else_is_named(project: Project) -> None:
    project.run(DICED)
    replay = project.replay("@1")
    assert (replay.level, replay.first) == ("different", "2")
    assert replay.walk is not None
    assert (replay.walk.same, replay.walk.differing) == (("1",), ("2", "3", "4"))
    assert replay.walk.unknown == ()


def test_a_picture_that_needs_a_part_of_the_graph_is_compared_with_all_of_its_packs(project: Project) -> None:
    project.run({**PAINTED, "6": ("Show", {"value": ["2", 0]}), "7": ("Paint", {"level": ["2", 0]})})
    outputs = {output.node_id: output.path for output in project.history.find("@1").outputs}
    replay = project.replay(project.root / outputs["7"])
    assert (replay.level, replay.departures) == ("bytes", ())
    assert replay.subject.targets == ("7",)


def test_a_difference_within_tolerance_holds(project: Project) -> None:
    project.run({"2": ("Dice", {}), "5": ("Paint", {"level": ["2", 0]})})
    assert project.replay("@1").level == "different"
    project.tolerance = Tolerance(maximum=5)
    replay = project.replay("@1")
    assert (replay.level, replay.holds, replay.first) == ("tolerance", True, "2")
    assert replay.files[0].likeness.psnr is not None


def test_a_picture_that_no_record_knows_is_made_again_from_what_it_says(project: Project) -> None:
    project.run(PAINTED)
    picture = project.picture()
    (project.root / ".graphengine" / "runs.jsonl").write_bytes(b"")
    replay = project.replay(picture)
    assert (replay.level, replay.walk) == ("bytes", None)
    assert "which is not in the history" in replay.subject.notes[0]


def test_a_picture_without_record_whose_metadata_were_edited_comes_out_different(project: Project) -> None:
    project.run(PAINTED)
    picture = project.picture()
    prompt = json.loads(_text(picture, "prompt"))
    prompt["2"]["inputs"]["value"] = 6
    changed_text(picture, "prompt", json.dumps(prompt))
    (project.root / ".graphengine" / "runs.jsonl").write_bytes(b"")
    assert project.replay(picture).level == "different"


def test_a_record_in_a_file_is_enough_with_its_document(project: Project, tmp_path: Path) -> None:
    run = project.run(PAINTED)
    document = project.history.document(run.workflow)
    record = tmp_path / "record.json"
    record.write_bytes(document_bytes({"run": PAST_RUN.dump_python(run, mode="json"), "document": document}))
    assert project.replay(record).level == "bytes"
    document["2"]["inputs"]["value"] = 6
    record.write_bytes(document_bytes({"run": PAST_RUN.dump_python(run, mode="json"), "document": document}))
    with pytest.raises(GraphEngineError, match="the document beside the record is not the one that ran"):
        project.replay(record)


def test_a_damaged_record_says_where(project: Project, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text('{"run": {"id": "a", "started": "soon"}}')
    with pytest.raises(WorkflowFormatError, match="no record of a run: "):
        project.replay(record)


def test_a_secret_must_be_given(project: Project) -> None:
    project.run({"1": ("Login", {"value": 1, "api_key": "sesame"}), "2": ("Show", {"value": ["1", 0]})})
    with pytest.raises(NotReplayable, match="input 'api_key' holds a secret") as raised:
        project.replay("@1")
    assert raised.value.hint == "give it with --set 1.api_key=…"


def test_a_picture_that_a_run_saved_before_it_failed_is_made_again(project: Project) -> None:
    failing: Nodes = {
        "1": ("Number", {"value": 9}),
        "2": ("Paint", {"level": ["1", 0]}),
        "4": ("Sum", {"a": ["1", 0], "b": 1}),
        "5": ("Fail", {"value": ["4", 0]}),
    }
    with pytest.raises(NodeExecutionError):
        project.run(failing)
    (run,) = project.history.runs()
    assert (run.status, len(run.outputs)) == ("error", 1)
    with pytest.raises(NotReplayable, match=r"cannot be replayed: run .* failed"):
        project.replay("@1")
    assert project.replay(project.picture()).level == "bytes"


def test_a_replay_can_be_stopped(project: Project) -> None:
    project.run(PAINTED)
    with (
        opened_replayer(
            project.settings, project.history, is_cancelled=lambda: True, make=project.engine
        ) as replayer,
        pytest.raises(RunCancelled),
    ):
        replayer.replay(find_subject("@1", project.history, replayer.stage.engine.registry))


def test_a_run_without_files_is_compared_by_what_its_nodes_gave(project: Project) -> None:
    project.run({"1": ("Number", {"value": 1}), "2": ("Show", {"value": ["1", 0]})})
    assert project.replay("@1").level == "pixels"
    project.run({"1": ("Dice", {}), "2": ("Show", {"value": ["1", 0]})})
    assert (project.replay("@1").level, project.replay("@1").first) == ("different", "1")


def test_a_model_that_is_gone_cannot_be_replayed(project: Project) -> None:
    project.run(PAINTED)
    project.model.unlink()
    with pytest.raises(NotReplayable, match=r"cannot be replayed: .*m\.safetensors"):
        project.replay("@1")


def test_a_document_that_is_gone_is_told(project: Project) -> None:
    run = project.run(PAINTED)
    for path in (project.root / ".graphengine" / "documents").rglob("*.gz"):
        os.unlink(path)
    with pytest.raises(GraphEngineError, match=f"no document {run.workflow[:16]}"):
        project.replay("@1")


def test_a_name_that_is_neither_file_nor_run_is_refused(project: Project) -> None:
    project.run(PAINTED)
    with pytest.raises(SettingsError, match=r"gone\.png: there is no such file"):
        project.replay("gone.png")
    with pytest.raises(SettingsError, match="no run 'zzz'"):
        project.replay("zzz")


def test_a_workflow_is_no_output(project: Project, tmp_path: Path) -> None:
    (tmp_path / "flow.json").write_text('{"1": {"class_type": "Number", "inputs": {"value": 1}}}')
    with pytest.raises(SettingsError, match=r"flow\.json is neither a saved output nor a record of a run"):
        project.replay(tmp_path / "flow.json")


def test_a_run_is_made_again_with_the_numerics_it_had(project: Project) -> None:
    run = project.run(PAINTED)
    with project.replayer() as replayer:
        fast = replace(run, environment={"deterministic": "yes", "float32_precision": "high", "fast": "yes"})
        like = replayer.stage.like(fast).engine
        assert like.numerics == Numerics(deterministic=True, precision="high", fast=True)
        assert replayer.stage.like(replace(run, environment={})).engine.numerics == replayer.stage.engine.numerics


def test_earlier_outputs_that_a_workflow_reads_are_found(project: Project) -> None:
    project.run(PAINTED)
    earlier = f"{project.picture().name} [output]"
    run = project.run({"1": ("Look", {"image": earlier}), "2": ("Paint", {"level": ["1", 0]})})
    replay = project.replay("@1")
    assert (replay.level, replay.departures) == ("bytes", ())
    assert replay.subject.run == run


def test_a_replay_as_json_names_everything(project: Project) -> None:
    project.run(PAINTED)
    project.model.write_bytes(b"\x08")
    found = json.loads(json.dumps(replay_json(project.replay("@1"))))
    assert (found["level"], found["holds"], found["first"]["node_id"]) == ("different", False, "1")
    assert found["departures"][0]["name"] == "checkpoints/m.safetensors"
    assert found["files"][0]["maximum"] == 5


def _text(picture: Path, name: str) -> str:
    from PIL import Image

    with Image.open(picture) as opened:
        return str(opened.text[name])  # type: ignore[attr-defined]  # of PNG files
