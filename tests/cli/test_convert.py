"""`graphengine convert`: what it writes, and what it refuses to write over."""

import json
import os
from pathlib import Path

import pytest

from graphengine.cli.definitions import read_definitions
from graphengine.cli.files import write_whole
from graphengine.errors import GraphEngineError, SettingsError
from tests.cli.conftest import CommandLine

API = {"1": {"inputs": {"value": 5}, "class_type": "PrimitiveInt"}}
UI = {
    "nodes": [
        {
            "id": 1,
            "type": "PrimitiveInt",
            "mode": 0,
            "inputs": [],
            "outputs": [{"name": "INT", "type": "INT", "links": [1]}],
            "widgets_values": [5, "fixed"],
        },
        {
            "id": 2,
            "type": "PreviewAny",
            "mode": 0,
            "inputs": [{"name": "source", "type": "*", "link": 1}],
            "outputs": [],
            "widgets_values": [],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "INT"]],
    "version": 0.4,
}
DEFINITIONS = {
    "Tint": {
        "input": {"required": {"strength": ["FLOAT", {"default": 1.0, "max": float("inf")}]}},
        "output": ["IMAGE"],
        "output_node": True,
    }
}


@pytest.fixture
def drawn(place: Path) -> Path:
    """A document of the editor."""
    file = place / "drawn.json"
    file.write_text(json.dumps(UI))
    return file


def test_the_api_document_goes_to_stdout(graphengine: CommandLine, drawn: Path) -> None:
    done = graphengine("convert", "drawn.json")
    document = json.loads(done.out)
    assert done.code == 0
    assert document["1"]["inputs"]["value"] == 5
    assert document["2"]["inputs"]["source"] == ["1", 0]


def test_a_file_is_written(graphengine: CommandLine, drawn: Path) -> None:
    done = graphengine("convert", "drawn.json", "--output", "api.json")
    assert (done.code, done.out) == (0, "")
    assert json.loads((drawn.parent / "api.json").read_text())["2"]["class_type"] == "PreviewAny"


def test_several_files_go_to_a_folder(graphengine: CommandLine, drawn: Path) -> None:
    place = drawn.parent
    (place / "other.json").write_text(json.dumps(API))
    (place / "api").mkdir()
    assert graphengine("convert", "drawn.json", "other.json", "-o", "api").code == 0
    assert sorted(path.name for path in (place / "api").iterdir()) == ["drawn.json", "other.json"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["drawn.json", "other.json"], "several files cannot go to stdout"),
        (["drawn.json", "other.json", "-o", "nowhere"], "nowhere is no folder, and there are several files"),
        (["drawn.json", "-o", "drawn.json"], "drawn.json is a file to read and is not replaced"),
        (["drawn.json", "-o", "."], "drawn.json is a file to read and is not replaced"),
        (["drawn.json", "-o", "link.json"], "link.json is a file to read and is not replaced"),
        (["drawn.json", "sub/drawn.json", "-o", "api"], "two files would be written to api/drawn.json"),
    ],
)
def test_what_cannot_be_written_is_wrong_usage(
    graphengine: CommandLine, drawn: Path, argv: list[str], message: str
) -> None:
    before = drawn.read_bytes()
    (drawn.parent / "link.json").symlink_to("drawn.json")
    (drawn.parent / "api").mkdir()
    done = graphengine("convert", *argv)
    assert done.code == 2
    assert message in done.err
    assert drawn.read_bytes() == before


def test_nothing_is_written_unless_all_can_be(graphengine: CommandLine, drawn: Path) -> None:
    (drawn.parent / "broken.json").write_text("{")
    (drawn.parent / "api").mkdir()
    done = graphengine("convert", "drawn.json", "broken.json", "-o", "api")
    assert done.code == 1
    assert "broken.json: not valid JSON" in done.err
    assert list((drawn.parent / "api").iterdir()) == []


def test_a_document_that_cannot_be_converted_lists_why(graphengine: CommandLine, place: Path) -> None:
    twice = {**UI, "nodes": [*UI["nodes"], *UI["nodes"]]}  # type: ignore[misc]
    (place / "twice.json").write_text(json.dumps(twice))
    done = graphengine("convert", "twice.json", "-o", "api.json")
    assert done.code == 1
    assert done.err.startswith("twice.json:\nerror: node 1 (PrimitiveInt)")
    assert not (place / "api.json").exists()


def test_definitions_can_come_from_a_server(graphengine: CommandLine, place: Path) -> None:
    (place / "object_info.json").write_text(json.dumps(DEFINITIONS))
    tint = {"id": 1, "type": "Tint", "mode": 0, "inputs": [], "outputs": [], "widgets_values": [0.5]}
    (place / "tint.json").write_text(json.dumps({"nodes": [tint], "links": [], "version": 0.4}))
    done = graphengine("convert", "tint.json", "--definitions", "object_info.json")
    assert json.loads(done.out)["1"]["inputs"] == {"strength": 0.5}


def test_definitions_that_are_absent_are_told(graphengine: CommandLine, drawn: Path) -> None:
    done = graphengine("convert", "drawn.json", "--definitions", "nowhere.json")
    assert done.code == 1
    assert "cannot read nowhere.json: No such file or directory" in done.err


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "[]", '{"a": 1}', "\xff"])
def test_definitions_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "object_info.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError, match=r"object_info\.json") as caught:
        read_definitions(file)
    assert caught.value.hint


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "api.json"
    file.write_text("before")

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_text", no_space)
    with pytest.raises(GraphEngineError, match=r"cannot write .*api\.json: No space left on device"):
        write_whole(file, "after")
    assert file.read_bytes() == b"before"
    assert list(tmp_path.glob(".*")) == []


def test_of_two_documents_the_one_that_ran_is_written_and_their_difference_told(
    graphengine: CommandLine, place: Path
) -> None:
    ran = {"1": {"inputs": {"value": 6}, "class_type": "PrimitiveInt"}}
    Path("both.json").write_text(json.dumps({"prompt": ran, "workflow": UI}))
    done = graphengine("convert", "both.json")
    assert (done.code, json.loads(done.out)) == (0, ran)
    assert "node 1 (PrimitiveInt): input 'value'" in done.err
    assert "[documents_differ]" in done.err


def test_from_ui_writes_what_the_editor_drew(graphengine: CommandLine, place: Path) -> None:
    Path("both.json").write_text(json.dumps({"prompt": API, "workflow": UI}))
    done = graphengine("convert", "--from", "ui", "both.json")
    assert done.code == 0
    assert sorted(json.loads(done.out)) == ["1", "2"]


def test_a_document_that_is_not_there_is_not_replaced_by_the_other(graphengine: CommandLine, place: Path) -> None:
    Path("api.json").write_text(json.dumps(API))
    done = graphengine("convert", "--from", "ui", "api.json")
    assert (done.code, done.out) == (1, "")
    assert "api.json: the file holds no document of the editor" in done.err


def test_what_runs_becomes_a_document_of_the_editor(graphengine: CommandLine, place: Path) -> None:
    (place / "flow.json").write_text(
        json.dumps({**API, "2:5": {"class_type": "Mystery", "inputs": {"a": ["1", 0]}}})
    )
    done = graphengine("convert", "flow.json", "--to", "ui", "-o", "drawn.json")
    document = json.loads((place / "drawn.json").read_text())
    assert done.code == 0
    assert [(node["id"], node["type"]) for node in document["nodes"]] == [(1, "PrimitiveInt"), (2, "Mystery")]
    assert document["links"] == [[1, 1, 0, 2, 0, "INT"]]
    assert "2:5 is 2 [renumbered_node]" in done.err


def test_a_document_of_the_editor_is_written_as_it_was(graphengine: CommandLine, drawn: Path) -> None:
    done = graphengine("convert", "drawn.json", "--to", "ui")
    assert json.loads(done.out) == UI


def test_what_ran_is_drawn_anew_when_it_is_asked_for(graphengine: CommandLine, place: Path) -> None:
    (place / "both.json").write_text(json.dumps({"prompt": API, "workflow": UI}))
    kept = json.loads(graphengine("convert", "both.json", "--to", "ui").out)
    anew = json.loads(graphengine("convert", "both.json", "--to", "ui", "--from", "api").out)
    assert (len(kept["nodes"]), len(anew["nodes"])) == (2, 1)


def test_an_upgrade_tells_what_it_changes(graphengine: CommandLine, place: Path) -> None:
    old = {
        "1": {"class_type": "CheckpointLoader", "inputs": {"config_name": "v1.yaml", "ckpt_name": "a.safetensors"}}
    }
    (place / "old.json").write_text(json.dumps(old))
    done = graphengine("convert", "old.json", "--upgrade")
    assert json.loads(done.out) == {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}}
    }
    assert done.err.splitlines()[0] == "old.json: 1 upgrade"
    assert "node 1 (CheckpointLoader): is a 'CheckpointLoaderSimple' now" in done.err


def test_nothing_to_upgrade_is_told(graphengine: CommandLine, drawn: Path) -> None:
    assert graphengine("convert", "drawn.json", "--upgrade", "--load-packs").err == "drawn.json: 0 upgrades\n"
