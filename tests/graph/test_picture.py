"""Pictures of workflows: what they show, and that nothing in a workflow can break them."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import Problem
from graphengine.graph.colours import ERROR, WARNING, colour_of
from graphengine.graph.picture import Box, Picture, make_picture
from graphengine.graph.picture_svg import to_svg
from graphengine.graph.picture_text import to_dot, to_mermaid
from graphengine.node.definition import InputSpec, NodeDefinition, OutputSpec
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
from tests.workflow.properties import PATIENT

LOAD = NodeDefinition(
    "Load",
    {"name": InputSpec("name", "STRING")},
    (OutputSpec("MODEL", "MODEL"), OutputSpec("CLIP", "CLIP")),
    display_name="Load a model",
)
ENCODE = NodeDefinition(
    "Encode",
    {"clip": InputSpec("clip", "CLIP"), "text": InputSpec("text", "STRING")},
    (OutputSpec("out", "CONDITIONING"),),
)
KNOWN = {"Load": LOAD, "Encode": ENCODE}
SVG = "{http://www.w3.org/2000/svg}"


def node(type_: str, title: str | None = None, /, **inputs: Any) -> WorkflowNode:
    return WorkflowNode(type_, inputs, title)


def workflow(**nodes: WorkflowNode) -> Workflow:
    return Workflow({NodeId(name.removeprefix("n")): each for name, each in nodes.items()})


def link(source: str, output: int = 0) -> Link:
    return Link(NodeId(source), output)


PAIR = workflow(n1=node("Load", name="a"), n2=node("Encode", "Prompt", text="a fox", clip=link("1", 1)))


def box(picture: Picture, key: str) -> Box:
    return picture.boxes[NodeId(key)]


def svg(picture: Picture, title: str = "") -> ElementTree.Element:
    return ElementTree.fromstring(to_svg(picture, title))


def texts(root: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in root.iter(f"{SVG}text")]


def test_a_box_has_a_title_slots_and_values() -> None:
    picture = make_picture(PAIR, KNOWN)
    assert box(picture, "1").title == "Load a model"
    assert box(picture, "2").title == "Prompt"
    assert [slot.name for slot in box(picture, "2").inputs] == ["clip"]
    assert box(picture, "2").values == (("text", "a fox"),)
    assert [(wire.output, wire.input, wire.type) for wire in picture.wires] == [(1, 0, "CLIP")]


def test_an_unknown_node_has_the_outputs_that_links_need() -> None:
    picture = make_picture(workflow(n1=node("Odd"), n2=node("Encode", clip=link("1", 2))), KNOWN)
    assert [slot.name for slot in box(picture, "1").outputs] == ["output 0", "output 1", "output 2"]
    assert picture.wires[0].type == "CLIP"


def test_links_to_nothing_are_left_out() -> None:
    odd = workflow(n1=node("Encode", clip=link("9")), n2=node("Encode", clip=link("1", -1)))
    assert make_picture(odd, KNOWN).wires == ()


def test_a_link_from_a_far_output_does_not_draw_a_million_slots() -> None:
    picture = make_picture(workflow(n1=node("Odd"), n2=node("Encode", clip=link("1", 10**9))), KNOWN)
    assert len(box(picture, "1").outputs) == 101


def test_problems_belong_to_their_box_or_to_the_whole() -> None:
    problems = [Problem("x", "one", "1"), Problem("y", "two"), Problem("z", "three", "7", severity="warning")]
    picture = make_picture(PAIR, KNOWN, problems)
    assert [problem.code for problem in box(picture, "1").problems] == ["x"]
    assert [problem.code for problem in picture.problems] == ["y", "x", "z"]


def test_an_svg_shows_titles_values_and_wires() -> None:
    root = svg(make_picture(PAIR, KNOWN), "flow.json")
    assert {"flow.json", "Load a model", "Prompt", "2 · Encode", "a fox", "clip", "out"} <= set(texts(root))
    (wire,) = root.iter(f"{SVG}path")
    assert wire.get("stroke") == colour_of("CLIP")


def test_an_svg_marks_errors_and_warnings_and_lists_them() -> None:
    problems = [Problem("cycle", "in a circle", "1", "Load"), Problem("odd", "odd", "2", severity="warning")]
    root = svg(make_picture(PAIR, KNOWN, problems))
    classes = [each.get("class") for each in root.iter(f"{SVG}rect")]
    assert {"b error", "b warning"} <= set(classes)
    assert "node 1 (Load): in a circle [cycle]" in texts(root)
    assert "! in a circle" in texts(root)


def test_a_long_list_of_problems_is_cut() -> None:
    many = [Problem("x", f"number {n}") for n in range(40)]
    assert "and 10 more" in texts(svg(make_picture(PAIR, KNOWN, many)))


def test_long_texts_are_wrapped_and_cut_in_boxes_and_whole_in_tooltips() -> None:
    prompt = " ".join(["fox"] * 100)
    root = svg(make_picture(workflow(n1=node("Encode", text=prompt)), KNOWN))
    assert texts(root).count("…") == 1
    assert max(map(len, texts(root))) <= 42
    assert any(prompt in (each.text or "") for each in root.iter(f"{SVG}title"))


@pytest.mark.parametrize("value", [True, None, [1, 2], {"a": 1}, 1.5])
def test_values_that_are_no_text_are_shown(value: Any) -> None:
    shown = {"True": "yes", "None": "None", "[1, 2]": "2 values", "{'a': 1}": "1 values", "1.5": "1.5"}
    picture = make_picture(workflow(n1=node("Encode", text=value)), KNOWN)
    assert box(picture, "1").values == (("text", shown[str(value)]),)


def test_many_values_are_counted() -> None:
    picture = make_picture(workflow(n1=WorkflowNode("Odd", {f"v{n}": n for n in range(20)})), KNOWN)
    assert box(picture, "1").values[-1] == ("…", "8 more")


def test_mermaid_has_nodes_links_colours_and_marks() -> None:
    text = to_mermaid(make_picture(PAIR, KNOWN, [Problem("x", 'a "b"', "1")]), "flow")
    assert text.splitlines() == [
        "---",
        'title: "flow"',
        "---",
        "flowchart LR",
        '    n0["Load a model<br/>Load · 1<br/>error: a #34;b#34;"]',
        '    n1["Prompt<br/>Encode · 2"]',
        '    n0 -->|"CLIP"| n1',
        f"    linkStyle 0 stroke:{colour_of('CLIP')}",
        f"    classDef error stroke:{ERROR},stroke-width:3px",
        "    class n0 error",
    ]


def test_dot_has_nodes_links_colours_and_marks() -> None:
    text = to_dot(make_picture(PAIR, KNOWN, [Problem("x", 'a "b"\\', "1", severity="warning")]), "flow")
    lines = text.splitlines()
    assert lines[0] == "digraph workflow {"
    message = 'Load a model\\nLoad · 1\\nwarning: a \\"b\\"\\\\'
    assert lines[4] == f'    n0 [label="{message}", color="{WARNING}", penwidth=2]'
    assert lines[6] == f'    n0 -> n1 [label="CLIP", color="{colour_of("CLIP")}"]'
    assert lines[-1] == "}"


def test_colours_of_unknown_types_are_lasting() -> None:
    assert colour_of("PIPE_LINE") == colour_of("PIPE_LINE") != colour_of("BBOX_MODEL")
    assert len(colour_of("PIPE_LINE")) == 7


def test_an_empty_workflow_is_a_picture_too() -> None:
    assert svg(make_picture(Workflow({}), {}), "empty").get("width")


@PATIENT
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_any_text_gives_a_readable_picture(title: str, value: str, message: str) -> None:
    odd = workflow(n1=WorkflowNode(title or "x", {value: value}, title), n2=node("Load"))
    picture = make_picture(odd, KNOWN, [Problem("x", message, "1")])
    assert svg(picture, title).tag == f"{SVG}svg"
    dot, mermaid = to_dot(picture, title).split("\n"), to_mermaid(picture, title).split("\n")
    assert (len(dot), len(mermaid)) == (8, 9 if title else 6)
    for line in dot + mermaid:
        assert re.sub(r"\\.", "", line).count('"') % 2 == 0
