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


SUMS: dict[str, Any] = {
    "1": {"class_type": "PrimitiveInt", "inputs": {"value": 5}},
    "2": {"class_type": "PrimitiveInt", "inputs": {"value": 6}},
    "3": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    "4": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
}


def in_subgraph(value: int) -> str:
    """A document whose number stands in a subgraph; ids of what runs are `9:1` and `3`."""
    link = {"id": 1, "origin_id": 1, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "INT"}
    number = {"id": 1, "type": "PrimitiveInt", "inputs": [], "widgets_values": [value, "fixed"],
              "outputs": [{"name": "INT", "type": "INT", "links": [1]}]}  # fmt: skip
    inner = {
        "id": "5f0c0a4e-0000-4000-8000-000000000001", "name": "Numbers", "version": 1, "nodes": [number],
        "links": [link], "inputs": [], "inputNode": {"id": -10}, "outputNode": {"id": -20},
        "outputs": [{"id": "out", "name": "INT", "type": "INT", "linkIds": [1]}],
    }  # fmt: skip
    nodes = [
        {"id": 9, "type": inner["id"], "inputs": [], "outputs": [{"name": "INT", "type": "INT", "links": [5]}]},
        {"id": 3, "type": "PreviewAny", "inputs": [{"name": "source", "type": "*", "link": 5}], "outputs": []},
    ]
    drawn = {
        "nodes": nodes,
        "links": [[5, 9, 0, 3, 0, "INT"]],
        "version": 0.4,
        "definitions": {"subgraphs": [inner]},
    }
    return json.dumps(drawn)


def planned(graphengine: CommandLine, name: str) -> set[str]:
    """The nodes that a run would look at again, by the keys of the cache."""
    report = json.loads(graphengine("plan", name, "--device", "cpu", "--json").out)
    return {node["node_id"] for node in report["nodes"] if node["fate"] in ("runs", "perhaps")}


def rerun(graphengine: CommandLine, *names: str) -> set[str]:
    (found,) = json.loads(graphengine("diff", "--json", *names).out)
    return set(found["consequence"]["reruns"])


def test_the_consequence_is_what_is_planned_after_a_run(graphengine: CommandLine, place: Path) -> None:
    changed = {**SUMS, "2": {"class_type": "PrimitiveInt", "inputs": {"value": 7}}}
    (place / "old.json").write_text(json.dumps(SUMS))
    (place / "new.json").write_text(json.dumps(changed))
    (place / "new.png").write_bytes(png(text("prompt", json.dumps(changed))))
    graphengine("convert", "--to", "ui", "new.json", "--output", "drawn.json")
    assert graphengine("run", "old.json").code == 0
    for name in ("new.json", "new.png", "drawn.json"):
        assert planned(graphengine, name) == {"2", "4"}
        assert rerun(graphengine, "old.json", name) == {"2", "4"}


def test_the_consequence_of_a_change_in_a_subgraph_is_what_is_planned(
    graphengine: CommandLine, place: Path
) -> None:
    (place / "old.json").write_text(in_subgraph(5))
    (place / "new.json").write_text(in_subgraph(6))
    assert graphengine("run", "old.json").code == 0
    assert planned(graphengine, "new.json") == {"9:1", "3"}
    assert rerun(graphengine, "old.json", "new.json") == {"9:1", "3"}
    assert graphengine("convert", "--to", "api", "new.json", "--output", "api.json").code == 0
    assert rerun(graphengine, "old.json", "api.json") == {"9:1", "3"}
    assert rerun(graphengine, "new.json", "api.json") == set()
