"""What `--set`, `--seed` and `--target` mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from graphengine.cli.overrides import apply_changes, find_node, read_changes, read_value, seed_changes
from graphengine.errors import SettingsError
from graphengine.node.definition import Files, InputSpec, NodeDefinition
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

SAMPLER = NodeDefinition(
    "KSampler",
    inputs={
        spec.name: spec
        for spec in (
            InputSpec("model", "MODEL"),
            InputSpec("seed", "INT"),
            InputSpec("cfg", "FLOAT"),
            InputSpec("sampler_name", "COMBO", choices=("euler", "heun")),
        )
    },
    outputs=(),
)
DEFINITIONS = {"KSampler": SAMPLER}


def workflow(**nodes: WorkflowNode) -> Workflow:
    """A workflow of nodes whose ids begin with n."""
    return Workflow({NodeId(name.removeprefix("n")): node for name, node in nodes.items()})


FLOW = workflow(
    n3=WorkflowNode("KSampler", {"model": Link(NodeId("4"), 0), "seed": 1}, title="First pass"),
    n4=WorkflowNode("CheckpointLoaderSimple", {"ckpt_name": "a.safetensors"}),
    n5=WorkflowNode("KSampler", {"seed": Link(NodeId("6"), 0)}, title="v1.5"),
    n6=WorkflowNode("Noise", {"noise_seed": 2}),
)


@pytest.mark.parametrize(
    ("name", "node_id"), [("3", "3"), ("First pass", "3"), ("v1.5", "5"), ("CheckpointLoaderSimple", "4")]
)
def test_a_node_is_named_by_id_title_or_type(name: str, node_id: str) -> None:
    assert find_node(name, FLOW) == node_id


def test_a_title_counts_before_a_type() -> None:
    flow = workflow(n1=WorkflowNode("A", title="B"), n2=WorkflowNode("B"))
    assert find_node("B", flow) == "1"


def test_a_name_of_several_nodes_lists_their_ids() -> None:
    with pytest.raises(SettingsError, match="'KSampler' stands for 2 nodes") as caught:
        find_node("KSampler", FLOW)
    assert caught.value.hint == "use the id of one: node 3 (KSampler), node 5 (KSampler)"


def test_a_mistyped_node_gets_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="no node 'Frist pass'") as caught:
        find_node("Frist pass", FLOW)
    assert caught.value.hint == "did you mean 'First pass'?"


def test_an_unknown_node_gets_the_ids() -> None:
    with pytest.raises(SettingsError) as caught:
        find_node("zzz", FLOW)
    assert caught.value.hint == "its nodes are 3, 4, 5, 6"


def test_a_change_goes_to_the_node_and_input_it_names() -> None:
    (change,) = read_changes(["First pass.cfg=7.5"], FLOW, DEFINITIONS)
    assert (change.node_id, change.input_name, change.value, change.replaced) == ("3", "cfg", 7.5, None)
    assert apply_changes(FLOW, [change]).nodes[NodeId("3")].inputs["cfg"] == 7.5
    assert "cfg" not in FLOW.nodes[NodeId("3")].inputs


def test_names_may_hold_dots() -> None:
    (change,) = read_changes(["v1.5.cfg=1"], FLOW, DEFINITIONS)
    assert change.node_id == "5"
    flow = workflow(n1=WorkflowNode("Batch", {"images.0": 1}))
    (change,) = read_changes(["1.images.0=2"], flow, {})
    assert (change.node_id, change.input_name) == ("1", "images.0")


def test_a_value_may_hold_equals_signs_and_dots() -> None:
    (change,) = read_changes(["4.ckpt_name=b=1.5.safetensors"], FLOW, DEFINITIONS)
    assert change.value == "b=1.5.safetensors"


def test_a_linked_input_says_what_it_replaces() -> None:
    (change,) = read_changes(["5.seed=7"], FLOW, DEFINITIONS)
    assert change.replaced == Link(NodeId("6"), 0)


@pytest.mark.parametrize("text", ["", "3", "3.seed", "seed=1", ".=1", "3.=1", ".seed=1"])
def test_a_change_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_changes([text], FLOW, DEFINITIONS)
    assert caught.value.hint


def test_a_mistyped_input_gets_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match=r"node 3 \(KSampler\) has no input 'sead'") as caught:
        read_changes(["3.sead=7"], FLOW, DEFINITIONS)
    assert caught.value.hint == "did you mean 'seed'?"


def test_an_unknown_input_gets_the_names_there_are() -> None:
    with pytest.raises(SettingsError) as caught:
        read_changes(["3.zzzzz=7"], FLOW, DEFINITIONS)
    assert caught.value.hint == "its inputs are model, seed, cfg, sampler_name"


def test_every_typed_in_seed_is_set_and_linked_ones_stay() -> None:
    changed = apply_changes(FLOW, seed_changes(77, FLOW))
    assert changed.nodes[NodeId("3")].inputs["seed"] == 77
    assert changed.nodes[NodeId("6")].inputs["noise_seed"] == 77
    assert changed.nodes[NodeId("5")].inputs["seed"] == Link(NodeId("6"), 0)


def test_a_seed_for_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="no node has a seed to set"):
        seed_changes(1, workflow(n1=WorkflowNode("A", {"seed": True})))


INT, FLOAT, STRING, BOOLEAN = (InputSpec("x", kind) for kind in ("INT", "FLOAT", "STRING", "BOOLEAN"))
NAMED = InputSpec("x", "COMBO", choices=("1", "euler"))
NUMBERED = InputSpec("x", "COMBO", choices=(1, 2))
FILE = InputSpec("x", "COMBO", choices=Files("checkpoints"))


@pytest.mark.parametrize(
    ("text", "spec", "value"),
    [
        ("7", INT, 7),
        ("seven", INT, "seven"),
        ("true", INT, "true"),
        ("7", FLOAT, 7),
        ("7.5", FLOAT, 7.5),
        ("1e999", FLOAT, "1e999"),
        ("NaN", FLOAT, "NaN"),
        ("7", STRING, "7"),
        ('"7"', STRING, "7"),
        ("a fox", STRING, "a fox"),
        ("", STRING, ""),
        ("true", STRING, "true"),
        ("true", BOOLEAN, True),
        ("False", BOOLEAN, False),
        ("1", BOOLEAN, "1"),
        ("1", NAMED, "1"),
        ("euler", NAMED, "euler"),
        ("1", NUMBERED, 1),
        ("true", NUMBERED, "true"),
        ("3", FILE, "3"),
        ("[1, 2]", InputSpec("x", "CURVE"), [1, 2]),
        ("[1, 2]", None, [1, 2]),
        ("9" * 5000, INT, "9" * 5000),
        ("[" * 100_000, None, "[" * 100_000),
    ],
)
def test_a_value_is_json_when_that_fits(text: str, spec: InputSpec | None, value: JsonValue) -> None:
    given_value = read_value(text, spec)
    assert (given_value, type(given_value)) == (value, type(value))


@given(st.text())
def test_any_text_can_be_given_to_a_text_input(text: str) -> None:
    assert isinstance(read_value(text, STRING), str)
