from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.node.api import ExecutionBlocker, NodeContext
from graphengine_comfy.comfy_execution import graph, graph_utils
from graphengine_comfy.comfy_execution.graph_utils import GraphBuilder, add_graph_prefix, is_link
from graphengine_comfy.comfy_execution.utils import get_executing_context

Called = Callable[[NodeContext], AbstractContextManager[None]]


def test_ids_name_the_node_the_call_the_builder_and_the_number(called: Called) -> None:
    with called(NodeContext("3", list_index=2)):
        builder = GraphBuilder()
        ids = [builder.node("Add").id, builder.node("Add", "sum").id, builder.node("Add").id]
    assert ids == ["3.2.0.1", "3.2.0.sum", "3.2.0.2"]


def test_two_builders_of_a_call_share_no_ids_and_a_rerun_gives_the_same(called: Called) -> None:
    runs = []
    for _ in range(2):
        with called(NodeContext("7")):
            runs.append([GraphBuilder().prefix, GraphBuilder().prefix])
    assert runs == [["7.0.0.", "7.0.1."]] * 2


def test_a_builder_takes_the_prefix_it_is_given(called: Called) -> None:
    with called(NodeContext("7")):
        assert GraphBuilder("mine-").node("Add", "1").id == "mine-1"
        GraphBuilder.set_default_prefix("9", 4)
        assert [GraphBuilder.alloc_prefix(), GraphBuilder.alloc_prefix(call_index=5)] == ["9.4.0.", "9.5.1."]


def test_a_graph_is_given_as_nodes_of_a_prompt() -> None:
    builder = GraphBuilder("p.")
    first = builder.node("Number", value=1)
    second = builder.node("Add", "sum", a=first.out(0), b=2, note=None)
    second.set_override_display_id("8")
    second.set_input("b", 3)
    second.set_input("note", None)
    assert builder.finalize() == {
        "p.1": {"class_type": "Number", "inputs": {"value": 1}},
        "p.sum": {"class_type": "Add", "inputs": {"a": ["p.1", 0], "b": 3}, "override_display_id": "8"},
    }
    assert (builder.lookup_node("sum"), builder.lookup_node("1"), builder.lookup_node("2")) == (
        second,
        first,
        None,
    )
    assert (second.get_input("b"), second.get_input("note")) == (3, None)


def test_the_same_id_gives_the_same_node() -> None:
    builder = GraphBuilder("p.")
    assert builder.node("Add", "x", a=1) is builder.node("Other", "x", a=2)
    assert builder.finalize() == {"p.x": {"class_type": "Add", "inputs": {"a": 1}}}


def test_an_output_is_replaced_for_every_reader_and_a_node_removed() -> None:
    builder = GraphBuilder("p.")
    old = builder.node("Old", "old")
    one, two = builder.node("One", a=old.out(0), b=old.out(1)), builder.node("Two", a=old.out(0))
    builder.replace_node_output("old", 0, ["new", 4])
    builder.replace_node_output("old", 1, None)
    builder.remove_node("old")
    assert (one.inputs, two.inputs) == ({"a": ["new", 4]}, {"a": ["new", 4]})
    assert list(builder.finalize()) == ["p.1", "p.2"]
    with pytest.raises(KeyError):
        builder.remove_node("old")


def test_a_prefix_is_added_to_ids_and_links_and_to_nothing_else() -> None:
    nodes: dict[str, dict[str, object]] = {
        "1": {"class_type": "A", "inputs": {"x": ["2", 0], "y": [1, 2], "z": "2"}},
        "2": {"class_type": "B"},
    }
    prefixed, outputs = add_graph_prefix(nodes, [["1", 0], 5], "in.")
    assert prefixed == {
        "in.1": {"class_type": "A", "inputs": {"x": ["in.2", 0], "y": [1, 2], "z": "2"}},
        "in.2": {"class_type": "B", "inputs": {}},
    }
    assert outputs == (["in.1", 0], 5)


@given(st.text(), st.integers() | st.floats(allow_nan=False))
def test_a_link_is_a_list_of_a_text_and_a_number(node_id: str, slot: float) -> None:
    assert is_link([node_id, slot])
    assert not any(is_link(other) for other in ((node_id, slot), [slot, node_id], [node_id, slot, 0], [node_id]))


def test_true_is_no_slot() -> None:
    assert not is_link(["1", True])


def test_both_modules_give_the_engines_blocker() -> None:
    assert graph.ExecutionBlocker is graph_utils.ExecutionBlocker is ExecutionBlocker
    assert graph.ExecutionBlocker("why").message == "why"


def test_the_node_being_called_is_known(called: Called) -> None:
    assert get_executing_context() is None
    with called(NodeContext("4", prompt_id="run", list_index=1)):
        assert get_executing_context() == ("run", "4", 1)


def test_the_description_of_an_input_is_found_in_its_section() -> None:
    class Node:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, dict[str, object]]:
            return {
                "required": {"a": ("INT", {"min": 1})},
                "optional": {"b": ("MASK",)},
                "hidden": {"c": "PROMPT"},
            }

    found = [graph.get_input_info(Node, name) for name in "abcd"]
    assert found[0] == ("INT", "required", {"min": 1})
    assert found[1:] == [("MASK", "optional", {}), ("PROMPT", "hidden", {}), (None, None, None)]
