"""`graphengine draw`: pictures of workflows."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

FLOW = """{"1": {"class_type": "PrimitiveInt", "inputs": {"value": 5}},
           "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
           "3": {"class_type": "Mystery", "inputs": {}}}"""


@pytest.fixture
def flow(place: Path) -> Path:
    file = place / "flow.json"
    file.write_text(FLOW)
    return file


def test_an_svg_goes_to_stdout(graphengine: CommandLine, flow: Path) -> None:
    done = graphengine("draw", "flow.json")
    assert done.code == 0
    assert done.out.startswith("<svg ")
    assert "flow.json: 3 nodes, 1 link, 1 warning" in done.out


@pytest.mark.parametrize(("suffix", "start"), [("svg", "<svg"), ("mmd", "---\n"), ("dot", "digraph")])
def test_the_suffix_says_what_to_write(graphengine: CommandLine, flow: Path, suffix: str, start: str) -> None:
    done = graphengine("draw", "flow.json", "-o", f"graph.{suffix}")
    assert (done.code, done.out) == (0, "")
    assert done.err == f"graph.{suffix}: 3 nodes, 1 link, 1 warning\n"
    assert flow.with_name(f"graph.{suffix}").read_text().startswith(start)


def test_the_format_counts_before_the_suffix(graphengine: CommandLine, flow: Path) -> None:
    assert graphengine("draw", "flow.json", "-o", "graph.txt", "--format", "dot").code == 0
    assert flow.with_name("graph.txt").read_text().startswith("digraph")


def test_a_suffix_that_says_nothing_is_wrong_usage(graphengine: CommandLine, flow: Path) -> None:
    done = graphengine("draw", "flow.json", "-o", "graph.png")
    assert done.code == 2
    assert "end it with .svg, .mmd or .dot" in done.err


def test_definitions_of_a_server_are_used(graphengine: CommandLine, flow: Path) -> None:
    described = {"Mystery": {"input": {"required": {}}, "output": ["MOON"], "output_node": True}}
    flow.with_name("object_info.json").write_text(json.dumps(described))
    done = graphengine("draw", "flow.json", "--definitions", "object_info.json")
    assert ">MOON</text>" in done.out


def test_what_cannot_be_read_is_told(graphengine: CommandLine, place: Path) -> None:
    (place / "broken.json").write_text("{")
    done = graphengine("draw", "broken.json", "-o", "graph.svg")
    assert done.code == 1
    assert "not valid JSON" in done.err
    assert not (place / "graph.svg").exists()


def test_of_two_documents_the_wanted_one_is_drawn_with_their_difference(
    graphengine: CommandLine, place: Path
) -> None:
    drawn = {"nodes": [{"id": 1, "type": "Mystery"}], "links": []}
    (place / "both.json").write_text(json.dumps({"prompt": json.loads(FLOW), "workflow": drawn}))
    ran = graphengine("draw", "both.json", "--format", "dot")
    assert (ran.code, "PreviewAny" in ran.out) == (0, True)
    assert "the file's API document and the editor's differ" in ran.err
    editors = graphengine("draw", "both.json", "--format", "dot", "--from", "ui")
    assert (editors.code, "PreviewAny" in editors.out, "Mystery" in editors.out) == (0, False, True)
    assert "[documents_differ]" in editors.err
