"""`graphengine diff`: files, commits and pictures."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine
from tests.workflow.pictures import png, text

FLOW: dict[str, Any] = {
    "1": {"class_type": "PrimitiveInt", "inputs": {"value": 5}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}


def git(folder: Path, *args: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", *args], cwd=folder, check=True, capture_output=True
    )


def with_value(value: int) -> str:
    return json.dumps({**FLOW, "1": {"class_type": "PrimitiveInt", "inputs": {"value": value}}})


@pytest.fixture
def files(place: Path) -> Path:
    (place / "a.json").write_text(with_value(5))
    (place / "b.json").write_text(with_value(6))
    return place


def test_a_change_is_told_with_its_consequence(graphengine: CommandLine, files: Path) -> None:
    done = graphengine("diff", "a.json", "b.json")
    assert done.code == 0
    assert done.out.splitlines() == [
        "  a.json → b.json",
        "~ node 1 PrimitiveInt",
        "~   value: 5 → 6",
        "  consequence: 1 of 1 output will change",
        "    outputs: 2 PreviewAny",
        "    nodes that run again: 1 PrimitiveInt, 2 PreviewAny",
    ]


def test_exit_codes_are_those_of_git(graphengine: CommandLine, files: Path) -> None:
    assert graphengine("diff", "--exit-code", "a.json", "a.json").code == 0
    assert graphengine("diff", "--exit-code", "a.json", "b.json").code == 1
    assert graphengine("diff", "--exit-code", "a.json", "none.json").code == 2
    assert graphengine("diff", "no-such-revision").code == 2


def test_json_has_both_values(graphengine: CommandLine, files: Path) -> None:
    (found,) = json.loads(graphengine("diff", "--json", "a.json", "b.json").out)
    (change,) = found["graphs"][0]["nodes"]
    assert change["inputs"] == [{"name": "value", "kind": "value", "old": 5, "new": 6}]
    assert found["consequence"]["reruns"] == ["1", "2"]


def test_markdown_escapes_what_a_document_says(graphengine: CommandLine, files: Path) -> None:
    (files / "b.json").write_text('{"1": {"class_type": "<b>*x*", "inputs": {}}}')
    done = graphengine("diff", "--markdown", "a.json", "b.json")
    assert "\\<b\\>\\*x\\*" in done.out
    assert "<b>" not in done.out


def test_a_page_shows_both_graphs(graphengine: CommandLine, files: Path) -> None:
    assert graphengine("diff", "a.json", "b.json", "--html", "page.html").code == 0
    page = (files / "page.html").read_text()
    assert page.count("<svg ") == 2
    assert "value: 5 → 6" in page
    assert "<script" not in page


def test_a_file_is_compared_with_its_last_commit(graphengine: CommandLine, files: Path) -> None:
    git(files, "init", "-q")
    git(files, "add", "a.json", "b.json")
    git(files, "commit", "-qm", "one")
    (files / "a.json").write_text(with_value(9))
    assert "value: 5 → 9" in graphengine("diff", "a.json").out
    assert "value: 5 → 9" in graphengine("diff", "HEAD:a.json").out
    whole = graphengine("diff", "HEAD").out
    assert "HEAD:a.json → a.json" in whole
    assert "b.json" not in whole


def test_two_commits_are_compared(graphengine: CommandLine, files: Path) -> None:
    git(files, "init", "-q")
    git(files, "add", "a.json")
    git(files, "commit", "-qm", "one")
    (files / "a.json").write_text(with_value(9))
    (files / "new.json").write_text(with_value(1))
    git(files, "add", "a.json", "new.json")
    git(files, "commit", "-qm", "two")
    done = graphengine("diff", "HEAD~1..HEAD")
    assert "value: 5 → 9" in done.out
    assert "node 1 PrimitiveInt added" in done.out
    assert "node 1" not in graphengine("diff", "HEAD..HEAD", "a.json").out


def test_a_revision_that_looks_like_an_option_is_refused(graphengine: CommandLine, files: Path) -> None:
    git(files, "init", "-q")
    done = graphengine("diff", "--", "--output=x")
    assert done.code == 2
    assert "is no revision" in done.err


def test_a_file_is_compared_with_the_picture_that_carries_it(graphengine: CommandLine, files: Path) -> None:
    (files / "p.png").write_bytes(png(text("prompt", with_value(5))))
    assert graphengine("diff", "--exit-code", "a.json", "p.png").code == 0
    assert "value: 6 → 5" in graphengine("diff", "b.json", "p.png").out


def test_moves_are_one_line_unless_asked_for(graphengine: CommandLine, files: Path) -> None:
    graphengine("convert", "--to", "ui", "a.json", "--output", "old.json")
    drawn = json.loads((files / "old.json").read_text())
    drawn["nodes"][0]["pos"] = [1, 2]
    (files / "new.json").write_text(json.dumps(drawn))
    done = graphengine("diff", "--exit-code", "old.json", "new.json")
    assert done.code == 0
    assert "layout: 1 node moved, resized or coloured" in done.out
    assert "→ [1, 2]" not in done.out
    assert "→ [1, 2]" in graphengine("diff", "--layout", "old.json", "new.json").out


def test_a_drawn_document_equals_what_it_runs_as(graphengine: CommandLine, files: Path) -> None:
    graphengine("convert", "--to", "ui", "a.json", "--output", "drawn.json")
    assert graphengine("diff", "--exit-code", "drawn.json", "a.json").code == 0
    assert graphengine("diff", "--exit-code", "drawn.json", "b.json").code == 1


def test_a_comparison_does_not_import_torch_or_the_graph_library(graphengine: CommandLine, files: Path) -> None:
    graphengine("diff", "a.json", "b.json")  # writes the index of the packs
    code = (
        "import sys; from graphengine.cli import main; main(['diff', 'a.json', 'b.json']);"
        "sys.exit(','.join({'torch', 'networkx', 'aiohttp'} & sys.modules.keys()) or 0)"
    )
    root = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "nodes")))}
    done = subprocess.run([sys.executable, "-c", code], cwd=files, env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
