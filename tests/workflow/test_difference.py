"""What two workflows say differently: matching of nodes, and changes."""

import copy
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.execution.consequences import consequences
from graphengine.node.definition import InputSpec, NodeDefinition, OutputSpec
from graphengine.workflow.api_format import api_to_workflow, parse_api
from graphengine.workflow.difference.changes import NOTHING, Difference, compare
from graphengine.workflow.difference.sheets import Source, sheets_of_ui, sheets_of_workflow
from graphengine.workflow.difference.values import marked_words, same, word_pieces
from graphengine.workflow.ui_models import parse_ui
from tests.workflow.properties import PATIENT
from tests.workflow.ui_documents import KNOWN, document, node

Json = dict[str, Any]


def flow() -> Json:
    """Load → Sharpen → Sample → Save, with two texts."""
    return document(
        [
            node(1, "Load", outputs=("MODEL", "CLIP"), values=["a.safetensors"]),
            node(2, "Sharpen", inputs=[("model", "MODEL", 1)], outputs=("MODEL",), values=[0.5]),
            node(3, "Encode", inputs=[("clip", "CLIP", 2)], outputs=("CONDITIONING",), values=["a red fox"]),
            node(4, "Encode", inputs=[("clip", "CLIP", 3)], outputs=("CONDITIONING",), values=["blurry"]),
            node(
                5,
                "Sample",
                inputs=[("model", "MODEL", 4), ("positive", "CONDITIONING", 5)],
                outputs=("LATENT",),
                values=[7, "fixed", 20],
            ),
            node(6, "Save", inputs=[("latent", "LATENT", 6)], values=["out"]),
        ],
        [
            (1, 1, 0, 2, 0, "MODEL"),
            (2, 1, 1, 3, 0, "CLIP"),
            (3, 1, 1, 4, 0, "CLIP"),
            (4, 2, 0, 5, 0, "MODEL"),
            (5, 3, 0, 5, 1, "CONDITIONING"),
            (6, 5, 0, 6, 0, "LATENT"),
        ],
    )


def renumbered(raw: Json, ids: Mapping[int, int]) -> Json:
    made = copy.deepcopy(raw)
    for each in made["nodes"]:
        each["id"] = ids[each["id"]]
    made["links"] = [
        [link, ids[origin], slot, ids[target], *rest] for link, origin, slot, target, *rest in made["links"]
    ]
    return made


def difference(old: Json, new: Json) -> Difference:
    return compare(sheets_of_ui(parse_ui(old), KNOWN), sheets_of_ui(parse_ui(new), KNOWN))


def edited(change: Callable[[dict[int, Json]], object]) -> Json:
    made = flow()
    change({each["id"]: each for each in made["nodes"]})
    return made


def set_value(id_: int, at: int, value: object) -> Json:
    return edited(lambda nodes: nodes[id_]["widgets_values"].__setitem__(at, value))


@PATIENT
@given(st.permutations(range(1, 7)), st.randoms())
def test_new_ids_orders_and_places_are_no_change(ids: list[int], chance: random.Random) -> None:
    other = renumbered(flow(), dict(enumerate(ids, 1)))
    chance.shuffle(other["nodes"])
    chance.shuffle(other["links"])
    for each in other["nodes"]:
        each["pos"] = [chance.random(), 3]
    found = difference(flow(), other)
    assert not found
    assert found.moved == 6


@PATIENT
@given(st.permutations(range(1, 7)))
def test_one_edit_is_told_whatever_the_ids_are(ids: list[int]) -> None:
    found = difference(flow(), renumbered(set_value(5, 0, 8), dict(enumerate(ids, 1))))
    (change,) = found.changes[0].nodes
    assert change.old is not None
    assert (change.old.id, change.node.id) == ("5", str(ids[4]))
    assert [(each.name, each.old, each.new) for each in change.inputs] == [("seed", 7, 8)]


def test_a_moved_link_is_told_with_both_ends() -> None:
    other = flow()
    other["links"][4][1] = 4
    (change,) = difference(flow(), other).changes[0].nodes
    (moved,) = change.inputs
    assert (moved.name, moved.kind, moved.old, moved.new) == (
        "positive",
        "link",
        Source("3", 0),
        Source("4", 0),
    )


def test_a_reroute_is_no_change() -> None:
    other = flow()
    other["nodes"].append(node(9, "Reroute", inputs=[("", "*", 9)], outputs=("*",)))
    other["links"].append([9, 2, 0, 9, 0, "MODEL"])
    other["links"][3] = [4, 9, 0, 5, 0, "MODEL"]
    assert not difference(flow(), other)


def test_added_removed_renamed_retyped_and_muted_nodes_are_told() -> None:
    other = flow()
    by_id = {each["id"]: each for each in other["nodes"]}
    by_id[3]["title"] = "Fox"
    by_id[2]["type"] = "Blur"
    by_id[6]["mode"] = 2
    other["nodes"] = [each for each in other["nodes"] if each["id"] != 4] + [node(9, "Load", values=["b"])]
    found = {change.node.id: change for change in difference(flow(), other).changes[0].nodes}
    assert {key: change.kind for key, change in found.items()} == {
        "3": "changed",
        "2": "changed",
        "6": "changed",
        "9": "added",
        "4": "removed",
    }
    assert found["3"].renamed == (None, "Fox")
    assert found["2"].retyped == ("Sharpen", "Blur")
    assert found["6"].switched == ("runs", "muted")


def test_an_input_that_goes_is_told() -> None:
    (change,) = difference(flow(), {**flow(), "links": flow()["links"][:-1]}).changes[0].nodes
    assert [(each.name, each.old, each.new) for each in change.inputs] == [("latent", Source("5", 0), NOTHING)]


def test_values_of_unknown_types_are_told_by_number() -> None:
    old, new = document([node(1, "Mystery", values=[1, 2])]), document([node(1, "Mystery", values=[1, 3])])
    (change,) = difference(old, new).changes[0].nodes
    assert [(each.name, each.old, each.new) for each in change.inputs] == [("widget 2", 2, 3)]


def test_subgraphs_are_compared_one_by_one() -> None:
    def whole(amount: float, key: str) -> Json:
        inside = {
            "id": key,
            "name": "Refine",
            "inputs": [{"name": "model", "type": "MODEL", "linkIds": [1]}],
            "outputs": [{"name": "out", "type": "MODEL", "linkIds": [2]}],
            "nodes": [node(5, "Sharpen", inputs=[("model", "MODEL", 1)], outputs=("MODEL",), values=[amount])],
            "links": [(1, -10, 0, 5, 0, "MODEL"), (2, 5, 0, -20, 0, "MODEL")],
        }
        inside["links"] = [
            dict(zip(("id", "origin_id", "origin_slot", "target_id", "target_slot", "type"), row, strict=True))
            for row in inside["links"]
        ]
        return {**document([node(1, key)]), "definitions": {"subgraphs": [inside]}}

    assert not difference(whole(1, "k1"), whole(1, "k2"))
    (graph,) = difference(whole(1, "k1"), whole(2, "k1")).changes
    assert (graph.sheet.kind, graph.sheet.name, [change.node.id for change in graph.nodes]) == (
        "subgraph",
        "Refine",
        ["5"],
    )


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        ("1", 1, False),
        ([1, {"a": 2.0}], [1.0, {"a": 2}], True),
        ([1], [2], False),
    ],
)
def test_numbers_count_by_value_and_kinds_count(one: object, other: object, equal: bool) -> None:
    assert same(one, other) is equal


@PATIENT
@given(st.text(alphabet="ab \n.", max_size=30), st.text(alphabet="ab \n.", max_size=30))
def test_the_pieces_of_two_texts_make_both(old: str, new: str) -> None:
    pieces = list(word_pieces(old, new))
    assert "".join(text for kind, text in pieces if kind != "new") == old
    assert "".join(text for kind, text in pieces if kind != "old") == new


def test_long_texts_are_told_word_by_word() -> None:
    old = "a very long text about a red fox that jumps over the lazy dog"
    assert marked_words(old, old.replace("red", "blue")) == (
        "a very long text about a [-red-]{+blue+} fox that jumps over the lazy dog"
    )


def api(**nodes: tuple[str, Json]) -> Any:
    raw: Json = {key[1:]: {"class_type": type_, "inputs": inputs} for key, (type_, inputs) in nodes.items()}
    return api_to_workflow(parse_api(raw))


def test_consequences_are_what_lies_after_a_change() -> None:
    old = api(
        n1=("Load", {"name": "a"}),
        n2=("Sharpen", {"model": ["1", 0], "amount": 1}),
        n3=("Save", {"latent": ["2", 0]}),
        n4=("Save", {"latent": ["1", 0]}),
    )
    new = api(
        n1=("Load", {"name": "a"}),
        n2=("Sharpen", {"model": ["1", 0], "amount": 2}),
        n3=("Save", {"latent": ["2", 0]}),
        n4=("Save", {"latent": ["1", 0]}),
    )
    found = consequences(old, new, {})
    assert (found.reruns, found.outputs, found.nodes, found.all_outputs) == (("2", "3"), ("3",), 4, 2)
    assert consequences(old, old, {}).reruns == ()


def test_a_circle_has_consequences_too() -> None:
    old = api(n1=("A", {"x": ["2", 0]}), n2=("B", {"x": ["1", 0]}))
    new = api(n1=("A", {"x": ["2", 0], "y": 1}), n2=("B", {"x": ["1", 0]}))
    assert "1" in consequences(old, new, {}).reruns


def test_documents_of_runs_are_compared_by_their_inputs() -> None:
    found = compare(
        sheets_of_workflow(api(n1=("Load", {"name": "a"}))), sheets_of_workflow(api(n7=("Load", {"name": "b"})))
    )
    (change,) = found.changes[0].nodes
    assert [(each.name, each.old, each.new) for each in change.inputs] == [("name", "a", "b")]


def defined(class_type: str, inputs: dict[str, str], **facts: Any) -> NodeDefinition:
    specs = {name: InputSpec(name, type_) for name, type_ in inputs.items()}
    return NodeDefinition(class_type, specs, (OutputSpec("out", "*"),), **facts)


DEFINED = {
    "Number": defined("Number", {"value": "INT", "amount": "FLOAT"}),
    "Save": defined("Save", {"from": "*"}, is_output=True),
    "Marked": defined("Marked", {"from": "*"}, hidden={"own": "UNIQUE_ID"}),
}


def test_a_change_of_nodes_that_no_output_needs_has_no_consequence() -> None:
    old = api(n1=("Number", {"value": 1}), n2=("Save", {"from": ["1", 0]}), n3=("Number", {"value": 2}))
    new = api(n1=("Number", {"value": 1}), n2=("Save", {"from": ["1", 0]}), n3=("Number", {"value": 3}))
    found = consequences(old, new, DEFINED)
    assert (found.reruns, found.nodes, found.all_outputs) == ((), 2, 1)


def test_a_node_that_comes_to_be_needed_runs() -> None:
    old = api(n1=("Number", {"value": 1}), n2=("Save", {"from": ["1", 0]}), n3=("Number", {"value": 2}))
    new = api(n1=("Number", {"value": 1}), n2=("Save", {"from": ["3", 0]}), n3=("Number", {"value": 2}))
    assert consequences(old, new, DEFINED).reruns == ("2", "3")


def test_what_a_node_is_not_given_has_no_consequence() -> None:
    old = api(n1=("Number", {"value": 1, "amount": 2}), n2=("Save", {"from": ["1", 0]}))
    new = api(n1=("Number", {"value": "1", "amount": 2.0, "upload": "image"}), n2=("Save", {"from": ["1", 0]}))
    assert consequences(old, new, DEFINED).reruns == ()


def test_new_numbers_have_consequences_only_where_keys_hold_them() -> None:
    old = api(n1=("Number", {"value": 1}), n2=("Marked", {"from": ["1", 0]}), n3=("Save", {"from": ["2", 0]}))
    new = api(n7=("Number", {"value": 1}), n8=("Marked", {"from": ["7", 0]}), n9=("Save", {"from": ["8", 0]}))
    assert consequences(old, new, DEFINED).reruns == ("8", "9")
