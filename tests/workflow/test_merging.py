"""The three-way merge of workflows, and what settles its conflicts."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.canonical import canonical, text_of
from graphengine.workflow.documents import document_from_json
from graphengine.workflow.formats import to_workflow
from graphengine.workflow.layout_file import merge_layouts
from graphengine.workflow.merging.circles import circle_problems
from graphengine.workflow.merging.documents import Merged, merge_documents
from graphengine.workflow.merging.resolving import Choice, conflicts_of, place_of, settle
from tests.workflow.properties import PATIENT
from tests.workflow.test_difference import difference, flow, renumbered
from tests.workflow.ui_documents import KNOWN, document, node

Json = dict[str, Any]
Edit = Callable[[Json], object]


def by_id(raw: Json) -> dict[Any, Json]:
    return {each["id"]: each for each in raw["nodes"]}


def edited(*edits: Edit) -> Json:
    made = flow()
    for edit in edits:
        edit(made)
    return made


def set_value(id_: int, at: int, value: object) -> Edit:
    return lambda raw: by_id(raw)[id_]["widgets_values"].__setitem__(at, value)


def rename(id_: int, title: str) -> Edit:
    return lambda raw: by_id(raw)[id_].update(title=title)


def drag(id_: int, pos: list[int]) -> Edit:
    return lambda raw: by_id(raw)[id_].update(pos=pos)


def relink(link: int, origin: int, slot: int) -> Edit:
    def edit(raw: Json) -> None:
        row = next(row for row in raw["links"] if row[0] == link)
        raw["links"][raw["links"].index(row)] = [link, origin, slot, *row[3:]]

    return edit


def delete(id_: int) -> Edit:
    def edit(raw: Json) -> None:
        raw["nodes"] = [each for each in raw["nodes"] if each["id"] != id_]
        gone = {row[0] for row in raw["links"] if id_ in (row[1], row[3])}
        raw["links"] = [row for row in raw["links"] if row[0] not in gone]
        for each in raw["nodes"]:
            for slot in each["inputs"]:
                slot["link"] = None if slot["link"] in gone else slot["link"]

    return edit


def add(id_: int, amount: float) -> Edit:
    """A new node that takes the model of node 1."""

    def edit(raw: Json) -> None:
        slots = [("model", "MODEL", 100 + id_)]
        raw["nodes"].append(node(id_, "Sharpen", inputs=slots, outputs=("MODEL",), values=[amount]))
        raw["links"].append([100 + id_, 1, 0, id_, 0, "MODEL"])

    return edit


def merge(ours: Json, theirs: Json, base: Json | None = None) -> Merged:
    return merge_documents(base or flow(), ours, theirs, KNOWN)


EDITS: tuple[Edit, ...] = (
    set_value(5, 0, 8),
    set_value(5, 2, 30),
    set_value(3, 0, "a blue fox"),
    rename(3, "Fox"),
    rename(2, "Crisp"),
    relink(4, 1, 0),
    drag(1, [7, 7]),
    add(9, 0.25),
)


@PATIENT
@given(st.permutations(range(len(EDITS))), st.integers(0, len(EDITS)))
def test_edits_of_different_things_are_all_in_the_result(order: list[int], cut: int) -> None:
    mine, others = [EDITS[at] for at in order[:cut]], [EDITS[at] for at in order[cut:]]
    merged = merge(edited(*mine), edited(*others))
    assert merged.conflicts == ()
    assert not difference(merged.document, edited(*EDITS))
    assert by_id(merged.document)[1]["pos"] == [7, 7]


def test_both_sides_new_nodes_get_ids_of_their_own() -> None:
    merged = merge(edited(add(7, 1.0)), edited(add(7, 2.0)))
    assert merged.conflicts == ()
    found = by_id(merged.document)
    assert (found[7]["widgets_values"], found[8]["widgets_values"]) == ([1.0], [2.0])
    assert len({row[0] for row in merged.document["links"]}) == len(merged.document["links"]) == 8


def test_the_same_new_node_is_one() -> None:
    merged = merge(edited(add(7, 1.0)), edited(add(7, 1.0)))
    assert merged.conflicts == ()
    assert len(merged.document["nodes"]) == 7


def test_two_values_for_one_input_are_a_conflict_with_both() -> None:
    merged = merge(edited(set_value(5, 0, 8)), edited(set_value(5, 0, 9)))
    (conflict,) = merged.conflicts
    assert (conflict.node, conflict.name, conflict.values) == ("5", "seed", {"base": 7, "ours": 8, "theirs": 9})
    assert by_id(merged.document)[5]["widgets_values"] == [8, "fixed", 20]
    assert merged.document["extra"]["conflicts"] == [conflict.to_json()]


def test_a_link_moved_to_two_places_is_a_conflict() -> None:
    (conflict,) = merge(edited(relink(5, 4, 0)), edited(relink(5, 6, 0))).conflicts
    assert (conflict.name, conflict.values) == (
        "positive",
        {"base": ["3", 0], "ours": ["4", 0], "theirs": ["6", 0]},
    )


@pytest.mark.parametrize("sides", [("ours", "theirs"), ("theirs", "ours")])
def test_a_node_deleted_by_one_and_edited_by_the_other_stays_and_is_a_conflict(sides: tuple[str, str]) -> None:
    versions = {sides[0]: edited(delete(2)), sides[1]: edited(set_value(2, 0, 0.9))}
    merged = merge(versions["ours"], versions["theirs"])
    (conflict,) = merged.conflicts
    assert (conflict.node, conflict.values) == ("2", {sides[0]: "deleted", sides[1]: "edited"})
    assert by_id(merged.document)[2]["widgets_values"] == [0.9]


def test_a_node_deleted_by_one_and_linked_by_the_other_stays_and_is_a_conflict() -> None:
    merged = merge(edited(delete(4)), edited(relink(5, 4, 0)))
    assert [(each.node, each.why) for each in merged.conflicts] == [("4", "deleted by ours, linked by theirs")]
    assert 4 in by_id(merged.document)


def test_a_node_that_both_leave_alone_can_be_deleted() -> None:
    merged = merge(edited(delete(4)), edited(set_value(5, 0, 8)))
    assert merged.conflicts == ()
    assert 4 not in by_id(merged.document)


def test_two_drags_of_one_node_are_no_conflict() -> None:
    merged = merge(edited(drag(1, [1, 1])), edited(drag(1, [2, 2])))
    assert merged.conflicts == ()
    assert by_id(merged.document)[1]["pos"] == [1, 1]


def test_a_side_that_was_numbered_anew_merges_all_the_same() -> None:
    other = renumbered(edited(set_value(5, 0, 8)), {1: 6, 2: 5, 3: 4, 4: 3, 5: 2, 6: 1})
    merged = merge(edited(rename(3, "Fox")), other)
    assert merged.conflicts == ()
    assert not difference(merged.document, edited(set_value(5, 0, 8), rename(3, "Fox")))


def test_lists_of_values_of_different_lengths_are_one_value() -> None:
    shorter = edited(lambda raw: by_id(raw)[5].update(widgets_values=[7]))
    (conflict,) = merge(shorter, edited(set_value(5, 0, 9))).conflicts
    assert (conflict.part, conflict.values["ours"]) == ("widgets", [7])


def test_the_result_is_a_document_that_converts() -> None:
    merged = merge(edited(set_value(5, 0, 8), delete(2)), edited(set_value(5, 0, 9), set_value(2, 0, 1.0)))
    conversion = to_workflow(document_from_json(text_of(merged.document).encode()), KNOWN)
    assert [problem for problem in conversion.problems if problem.severity == "error"] == []


@pytest.mark.parametrize(("choice", "seed"), [("ours", 8), ("theirs", 9)])
def test_a_settled_conflict_is_gone(choice: Choice, seed: int) -> None:
    merged = merge(edited(set_value(5, 0, 8)), edited(set_value(5, 0, 9)))
    (conflict,) = conflicts_of(merged.document)
    assert place_of(conflict) == "5.seed"
    settled = settle(merged.document, conflict, choice)
    assert conflicts_of(settled) == []
    assert not difference(settled, edited(set_value(5, 0, seed)))


def test_a_deleted_node_can_be_deleted_after_all() -> None:
    merged = merge(edited(delete(2)), edited(set_value(2, 0, 0.9)))
    (conflict,) = conflicts_of(merged.document)
    assert 2 not in by_id(settle(merged.document, conflict, "ours"))
    assert 2 in by_id(settle(merged.document, conflict, "theirs"))


def test_a_link_can_be_settled() -> None:
    merged = merge(edited(relink(5, 4, 0)), edited(relink(5, 6, 0)))
    (conflict,) = conflicts_of(merged.document)
    settled = settle(merged.document, conflict, "theirs")
    assert [row[1:3] for row in settled["links"] if row[3:5] == [5, 1]] == [[6, 0]]


def api(value: object, **more: Json) -> Json:
    return {"1": {"class_type": "Load", "inputs": {"name": value}, "_meta": {"title": "x"}}, **more}


def test_documents_of_runs_merge_too() -> None:
    added = {"class_type": "Save", "inputs": {"latent": ["1", 0]}}
    merged = merge_documents(api("a"), api("b", n2=added), api("a", n3=added))
    assert merged.conflicts == ()
    assert merged.document == canonical(api("b", n2=added, n3=added))


def test_conflicts_of_documents_of_runs_stand_in_the_node() -> None:
    merged = merge_documents(api("a"), api("b"), api("c"))
    (conflict,) = conflicts_of(merged.document)
    assert place_of(conflict) == "1.name"
    assert document_from_json(text_of(merged.document).encode()).api is not None
    assert settle(merged.document, conflict, "theirs") == canonical(api("c"))


def test_documents_of_two_kinds_are_not_merged() -> None:
    with pytest.raises(WorkflowFormatError, match="of one kind"):
        merge_documents(api("a"), flow(), flow())


def subgraph(amount: float, name: str = "Refine") -> Json:
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    rows = [(1, -10, 0, 5, 0, "MODEL"), (2, 5, 0, -20, 0, "MODEL")]
    inside = {
        "id": "key",
        "name": name,
        "inputNode": {"id": -10, "bounding": [0, 0, 1, 1]},
        "inputs": [{"name": "model", "type": "MODEL", "linkIds": [1]}],
        "outputs": [{"name": "out", "type": "MODEL", "linkIds": [2]}],
        "nodes": [node(5, "Sharpen", inputs=[("model", "MODEL", 1)], outputs=("MODEL",), values=[amount])],
        "links": [dict(zip(names, row, strict=True)) for row in rows],
    }
    return {**document([node(1, "key")]), "definitions": {"subgraphs": [inside]}}


def test_subgraphs_are_merged_from_within() -> None:
    merged = merge_documents(subgraph(1), subgraph(2), subgraph(1, "Crisp"))
    assert merged.conflicts == ()
    assert not difference(merged.document, subgraph(2, "Crisp"))
    (inside,) = merged.document["definitions"]["subgraphs"]
    assert (inside["name"], inside["nodes"][0]["widgets_values"]) == ("Crisp", [2])
    assert [slot["linkIds"] for slot in (*inside["inputs"], *inside["outputs"])] == [[1], [2]]


def test_conflicts_inside_a_subgraph_are_settled_there() -> None:
    merged = merge_documents(subgraph(1), subgraph(2), subgraph(3), KNOWN)
    (conflict,) = conflicts_of(merged.document)
    assert (conflict["graph"], place_of(conflict)) == ("key", "5.amount")
    settled = settle(merged.document, conflict, "theirs")
    assert settled["definitions"]["subgraphs"][0]["nodes"][0]["widgets_values"] == [3]


def test_a_circle_that_two_edits_close_is_a_problem() -> None:
    added = {"class_type": "Mix", "inputs": {}}
    base = api("a", **{"2": added, "3": added})
    ours, theirs = copy.deepcopy(base), copy.deepcopy(base)
    ours["2"]["inputs"]["x"] = ["3", 0]
    theirs["3"]["inputs"]["x"] = ["2", 0]
    merged = merge_documents(base, ours, theirs)
    workflow = to_workflow(document_from_json(text_of(merged.document).encode()), {}).workflow
    assert [problem.code for problem in circle_problems(workflow)] == ["cycle"]


def test_layouts_merge_item_by_item() -> None:
    base = {"format": "graphengine-layout", "nodes": {"1": {"pos": [0, 0]}, "2": {"pos": [0, 0]}}}
    ours = {**base, "nodes": {"1": {"pos": [1, 1]}, "2": {"pos": [0, 0]}}}
    theirs = {**base, "nodes": {"1": {"pos": [9, 9]}, "2": {"pos": [2, 2]}, "3": {"pos": [3, 3]}}}
    assert merge_layouts(base, ours, theirs)["nodes"] == {
        "1": {"pos": [1, 1]},
        "2": {"pos": [2, 2]},
        "3": {"pos": [3, 3]},
    }


@pytest.mark.parametrize("drawn", [False, True])
def test_what_the_base_has_not_settled_is_no_value_of_the_base(drawn: bool) -> None:
    def flow_with(number: int) -> dict[str, Any]:
        if drawn:
            return document([node(1, "Seeded", values=[number])], [])
        return {"1": {"class_type": "Seeded", "inputs": {"seed": number}}}

    base = merge_documents(flow_with(1), flow_with(5), flow_with(6)).document  # of two ancestors, as git has it
    found = merge_documents(base, flow_with(5), flow_with(6))
    assert [(each.node, each.values.get("ours"), each.values.get("theirs")) for each in found.conflicts] == [
        ("1", 5, 6)
    ]
    assert "base" not in found.conflicts[0].values
    settled = merge_documents(base, flow_with(7), flow_with(7))
    assert settled.conflicts == ()
    assert "conflicts" not in str(settled.document)


def test_a_node_that_the_base_has_not_settled_is_not_deleted_unseen() -> None:
    before = {key: {"class_type": "A", "inputs": {"x": 1}} for key in ("1", "2")}
    edited = {**before, "2": {"class_type": "A", "inputs": {"x": 2}}}
    base = merge_documents(before, edited, {"1": before["1"]}).document
    found = merge_documents(base, {"1": before["1"]}, edited)
    assert [(each.node, each.part) for each in found.conflicts] == [("2", "node")]
