"""`graphengine fmt`: files in canonical form."""

import json
from pathlib import Path

import pytest

from graphengine.workflow import formats, json_input
from tests.cli.conftest import CommandLine
from tests.workflow.ui_documents import document, node


@pytest.fixture
def flow(place: Path) -> Path:
    file = place / "flow.json"
    file.write_text(json.dumps(document([node(2, "Sample", values=[7, "fixed", 20]), node(1, "Load")])))
    return file


def changed_lines(before: str, after: str) -> int:
    return len(set(before.splitlines()) ^ set(after.splitlines())) // 2


def test_a_file_is_written_anew_once(graphengine: CommandLine, flow: Path) -> None:
    first = graphengine("fmt", "flow.json")
    assert (first.code, first.out) == (0, "flow.json\n")
    text = flow.read_text()
    assert graphengine("fmt", "flow.json").out == ""
    assert flow.read_text() == text


def test_check_names_files_and_writes_nothing(graphengine: CommandLine, flow: Path) -> None:
    before = flow.read_bytes()
    done = graphengine("fmt", "--check", "flow.json")
    assert (done.code, done.out) == (1, "flow.json\n")
    assert flow.read_bytes() == before
    graphengine("fmt", "flow.json")
    assert graphengine("fmt", "--check", "flow.json").code == 0


def test_a_drag_and_a_new_seed_change_one_line_each(graphengine: CommandLine, flow: Path) -> None:
    graphengine("fmt", "--layout", "split", "flow.json")
    side = flow.with_name("flow.layout.json")
    text, layout = flow.read_text(), side.read_text()
    saved = document([node(1, "Load"), node(2, "Sample", values=[8, "fixed", 20])])
    saved["nodes"][0]["pos"] = [500.25, 3]
    flow.write_text(json.dumps(saved))
    assert graphengine("fmt", "flow.json").code == 0
    assert changed_lines(text, flow.read_text()) == 1
    assert changed_lines(layout, side.read_text()) == 1


def test_a_split_document_stays_split(graphengine: CommandLine, flow: Path) -> None:
    graphengine("fmt", "--layout", "split", "flow.json")
    assert "pos" not in flow.read_text()
    assert graphengine("fmt", "--check", "flow.json", "flow.layout.json").code == 0


def test_the_editor_gets_the_layout_back(graphengine: CommandLine, flow: Path) -> None:
    graphengine("fmt", "--layout", "split", "flow.json")
    written = graphengine("convert", "flow.json", "--to", "ui")
    assert [each["pos"] for each in json.loads(written.out)["nodes"]] == [[10.5, 20], [10.5, 20]]


def test_a_dropped_layout_is_gone(graphengine: CommandLine, flow: Path) -> None:
    assert graphengine("fmt", "--layout", "drop", "flow.json").code == 0
    assert "pos" not in flow.read_text()
    assert not flow.with_name("flow.layout.json").exists()


def test_what_is_no_workflow_is_told_and_left_alone(graphengine: CommandLine, flow: Path) -> None:
    other = flow.with_name("package.json")
    other.write_text('{"name": "x", "version": "1", "scripts": {}}')
    done = graphengine("fmt", "package.json", "flow.json")
    assert done.code == 1
    assert "package.json: this is no workflow: it looks like a package.json" in done.err
    assert other.read_text() == '{"name": "x", "version": "1", "scripts": {}}'
    assert done.out == "flow.json\n"
    assert graphengine("fmt", "--skip-others", "package.json").code == 0


def test_permissions_and_links_stay(graphengine: CommandLine, flow: Path) -> None:
    flow.chmod(0o640)
    link = flow.with_name("link.json")
    link.symlink_to("flow.json")
    assert graphengine("fmt", "link.json").code == 0
    assert link.is_symlink()
    assert flow.stat().st_mode & 0o777 == 0o640


def test_a_document_that_is_too_large_is_refused(graphengine: CommandLine, flow: Path) -> None:
    with flow.open("wb") as stream:
        stream.truncate(70 * 2**20)
    done = graphengine("fmt", "flow.json")
    assert done.code == 1
    assert "it has 70 MiB, and at most 64 MiB are read" in done.err
    assert flow.stat().st_size == 70 * 2**20


def test_a_document_that_is_too_large_to_run_is_formatted_and_compared(
    graphengine: CommandLine, flow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_input, "MAX_BYTES", 2**20)
    monkeypatch.setattr(formats, "MAX_BYTES", 2**20)
    node = {"class_type": "PrimitiveString", "inputs": {"value": "x" * 2**21}}
    flow.write_text(json.dumps({"1": node}))
    assert graphengine("validate", "flow.json").code == 1
    assert graphengine("fmt", "flow.json").code == 0
    assert graphengine("fmt", "--check", "flow.json").code == 0
    assert graphengine("diff", "--exit-code", "flow.json", "flow.json").code == 0


def test_a_missing_file_is_told(graphengine: CommandLine, place: Path) -> None:
    done = graphengine("fmt", "none.json")
    assert done.code == 1
    assert "none.json: cannot be read: No such file or directory" in done.err


def test_the_hooks_for_pre_commit_name_commands_that_exist() -> None:
    text = (Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text()
    assert text.count("entry: graphengine fmt ") == 2
