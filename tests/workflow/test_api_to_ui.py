"""Documents for the editor, made from what runs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.node.definition import InputSpec, NodeDefinition
from graphengine.workflow.api_to_ui import UiConversion, workflow_to_ui
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
from tests.workflow.properties import PATIENT
from tests.workflow.ui_documents import KNOWN, converted, definition

KNOWING = {
    **KNOWN,
    "Image": definition("Image", ("IMAGE",), image=InputSpec("image", "COMBO", options={"image_upload": True})),
    "Dice": definition("Dice", ("INT",), steps="INT", noise_seed="INT", text="STRING", on="BOOLEAN"),
}


def node(type_: str, title: str | None = None, /, **inputs: Any) -> WorkflowNode:
    return WorkflowNode(type_, inputs, title)


def link(source: str, output: int = 0) -> Link:
    return Link(NodeId(source), output)


def workflow(**nodes: WorkflowNode) -> Workflow:
    """A workflow; ids are given as `n12`."""
    return Workflow({NodeId(name.removeprefix("n").replace("_", ":")): each for name, each in nodes.items()})


def drawn(given_workflow: Workflow, known: dict[str, NodeDefinition] | None = None) -> UiConversion:
    return workflow_to_ui(given_workflow, KNOWING if known is None else known)


def nodes_of(conversion: UiConversion) -> dict[int, Any]:
    document: Any = conversion.document
    return {each["id"]: each for each in document["nodes"]}


TEXT_TO_LATENT = workflow(
    n1=node("Load", name="b.safetensors"),
    n2=node("Encode", "Prompt", text="a fox", clip=link("1", 1)),
    n3=node("Sample", model=link("1"), seed=7, steps=20, positive=link("2")),
    n9=node("Save", latent=link("3"), prefix="out"),
)


def test_slots_come_from_the_definition_and_links_join_them() -> None:
    conversion = drawn(TEXT_TO_LATENT)
    assert conversion.document["links"] == [
        [1, 1, 1, 2, 0, "CLIP"],
        [2, 1, 0, 3, 0, "MODEL"],
        [3, 2, 0, 3, 1, "CONDITIONING"],
        [4, 3, 0, 9, 0, "LATENT"],
    ]
    found = nodes_of(conversion)
    assert found[1]["outputs"] == [
        {"name": "MODEL", "type": "MODEL", "links": [2]},
        {"name": "CLIP", "type": "CLIP", "links": [1]},
    ]
    assert [(slot["name"], slot["link"]) for slot in found[3]["inputs"]] == [("model", 2), ("positive", 3)]
    assert (conversion.document["last_node_id"], conversion.document["last_link_id"]) == (9, 4)
    assert conversion.problems == ()


def test_a_seed_is_followed_by_a_control_that_keeps_it() -> None:
    assert nodes_of(drawn(TEXT_TO_LATENT))[3]["widgets_values"] == [7, "fixed", 20]


def test_a_linked_widget_is_a_slot_and_holds_its_default() -> None:
    made = drawn(workflow(n1=node("Dice"), n2=node("Load", name=link("1"))))
    assert nodes_of(made)[2]["inputs"] == [
        {"name": "name", "type": "COMBO", "link": 1, "widget": {"name": "name"}},
    ]
    assert nodes_of(made)[2]["widgets_values"] == ["a.safetensors"]
    assert nodes_of(made)[1]["widgets_values"] == [0, 0, "fixed", "", False]


def test_a_title_is_kept() -> None:
    found = nodes_of(drawn(TEXT_TO_LATENT))
    assert found[2]["title"] == "Prompt"
    assert "title" not in found[1]


def test_nodes_lie_to_the_right_of_what_they_read_and_do_not_overlap() -> None:
    found = nodes_of(drawn(TEXT_TO_LATENT))
    lefts = [found[id_]["pos"][0] for id_ in (1, 2, 3, 9)]
    rights = [found[id_]["pos"][0] + found[id_]["size"][0] for id_ in (1, 2, 3, 9)]
    assert all(right < left for right, left in zip(rights, lefts[1:], strict=False))
    assert [found[id_]["order"] for id_ in (1, 2, 3, 9)] == [0, 1, 2, 3]


def test_a_node_with_a_picture_is_higher() -> None:
    found = nodes_of(drawn(workflow(n1=node("Image", image="a.png"), n2=node("Load", name="a.safetensors"))))
    assert found[1]["size"][1] == found[2]["size"][1] + 200


def test_ids_that_are_no_numbers_are_renumbered_and_reported() -> None:
    made = drawn(
        workflow(n12_3=node("Load", name="a.safetensors"), n7=node("Sharpen", model=link("12:3"), amount=1))
    )
    assert made.ids == {"12:3": 8, "7": 7}
    assert made.document["links"] == [[1, 8, 0, 7, 0, "MODEL"]]
    assert [problem.code for problem in made.problems] == ["renumbered_node"]
    assert "12:3 is 8" in made.problems[0].message
    assert nodes_of(made)[8]["properties"]["id before conversion"] == "12:3"
    assert list(nodes_of(made)[7]["properties"]) == ["Node name for S&R"]


@pytest.mark.parametrize("odd", ["007", "0", "-1", "+1", "1.0", "٣", "9" * 400, "", "1 "])
def test_numbers_that_an_editor_would_write_otherwise_are_renumbered(odd: str) -> None:
    assert drawn(Workflow({NodeId(odd): node("Load", name="a.safetensors")})).ids == {odd: 1}


def test_a_value_without_a_widget_is_reported_and_left_out() -> None:
    made = drawn(workflow(n1=node("Sharpen", model="odd", amount=1.0, extra=2)))
    assert [(each.code, each.input_name) for each in made.problems] == [
        ("undrawn_value", "model"),
        ("undrawn_value", "extra"),
    ]
    assert nodes_of(made)[1]["widgets_values"] == [1.0]


def test_a_link_to_nothing_is_reported() -> None:
    made = drawn(
        workflow(n1=node("Sharpen", model=link("5"), amount=1.0), n2=node("Save", latent=link("1", 10**9)))
    )
    assert [(each.code, each.node_id) for each in made.problems] == [
        ("dangling_link", "1"),
        ("dangling_link", "2"),
    ]
    assert made.document["links"] == []


def test_unknown_nodes_are_read_back_without_definitions() -> None:
    given_workflow = workflow(
        n1=node("Odd", seed=3, text="x", sizes=[1, 2]),
        n2=node("Other", a=link("1", 2), mode="fixed", seed=1, on=True),
    )
    made = drawn(given_workflow, {})
    back = converted(dict(made.document), {})
    assert back.workflow.nodes == given_workflow.nodes
    assert back.problems == ()
    assert len(nodes_of(made)[1]["outputs"]) == 3


def test_an_output_beyond_the_definition_is_drawn() -> None:
    made = drawn(workflow(n1=node("Load", name="a.safetensors"), n2=node("Save", latent=link("1", 2), prefix="")))
    assert nodes_of(made)[1]["outputs"][2] == {"name": "LATENT", "type": "LATENT", "links": [1]}


RESIZE = definition(
    "Resize",
    ("IMAGE",),
    image="IMAGE",
    by=InputSpec(
        "by",
        "COMFY_DYNAMICCOMBO_V3",
        options={
            "options": [
                {
                    "key": "width",
                    "inputs": {
                        "required": {"width": ["INT", {}], "crop": ["COMBO", {"options": ["center", "no"]}]}
                    },
                },
                {"key": "seed", "inputs": {"required": {"seed": ["INT"]}, "optional": {"like": ["IMAGE", {}]}}},
            ]
        },
    ),
    strength="FLOAT",
)


@pytest.mark.parametrize(
    ("inputs", "values"),
    [
        ({"by": "width", "by.width": 64, "by.crop": "no", "strength": 0.5}, ["width", 64, "no", 0.5]),
        ({"by": "seed", "by.seed": 7, "by.like": link("1"), "strength": 0.5}, ["seed", 7, "fixed", 0.5]),
        ({"by": "width", "by.width": link("1"), "by.crop": "no", "strength": 1.0}, ["width", 0, "no", 1.0]),
    ],
)
def test_the_widgets_of_a_dynamic_combo_follow_it(inputs: dict[str, Any], values: list[Any]) -> None:
    known = {"Resize": RESIZE}
    given_workflow = workflow(n1=node("Odd"), n2=WorkflowNode("Resize", inputs))
    made = drawn(given_workflow, known)
    assert nodes_of(made)[2]["widgets_values"] == values
    assert made.problems == ()
    assert converted(dict(made.document), known).workflow.nodes == given_workflow.nodes


def test_a_dynamic_combo_without_a_value_has_its_first_choice() -> None:
    made = drawn(workflow(n1=node("Resize", strength=1.0)), {"Resize": RESIZE})
    assert nodes_of(made)[1]["widgets_values"] == ["width", 0, "center", 1.0]


LITERALS = {
    "INT": st.integers(-5, 5),
    "FLOAT": st.floats(-1, 1),
    "STRING": st.sampled_from(["", "fixed", "randomize", "a fox"]),
    "BOOLEAN": st.booleans(),
    "COMBO": st.sampled_from(["a.safetensors", "fixed"]),
}


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Workflows in which every widget has a value or a link, as the editor queues them."""
    names = [*KNOWING, "Unknown"]
    ids = draw(st.lists(st.sampled_from(["1", "2", "5", "40", "3:1", "3:2:9", "x"]), unique=True, max_size=7))
    nodes: dict[NodeId, WorkflowNode] = {}
    for key in ids:
        class_type = draw(st.sampled_from(names))
        specs = KNOWING[class_type].inputs if class_type in KNOWING else {"p": InputSpec("p", "INT")}
        inputs: dict[str, Any] = {}
        for name, spec in specs.items():
            if draw(st.booleans()) or not spec.is_widget:
                inputs[name] = Link(NodeId(draw(st.sampled_from(ids))), draw(st.integers(0, 3)))
            else:
                inputs[name] = draw(LITERALS[spec.type])
        nodes[NodeId(key)] = WorkflowNode(class_type, inputs, draw(st.sampled_from([None, "Title"])))
    return Workflow(nodes)


@PATIENT
@given(workflows())
def test_what_runs_is_drawn_and_read_back_as_it_was_but_for_its_ids(given_workflow: Workflow) -> None:
    made = drawn(given_workflow)
    back = converted(dict(made.document), KNOWING).workflow
    renamed = {key: NodeId(str(number)) for key, number in made.ids.items()}
    assert back.nodes == {renamed[key]: _renamed(each, renamed) for key, each in given_workflow.nodes.items()}


def _renamed(each: WorkflowNode, names: dict[NodeId, NodeId]) -> WorkflowNode:
    inputs = {
        name: Link(names[value.source], value.output) if isinstance(value, Link) else value
        for name, value in each.inputs.items()
    }
    return WorkflowNode(each.class_type, inputs, each.title)
