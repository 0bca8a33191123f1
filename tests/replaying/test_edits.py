"""The difference of two workflows as edits."""

from typing import Any

import pytest

from graphengine.replaying.edits import edits_between
from graphengine.workflow.models import Link, Workflow
from tests.workflows import workflow

Nodes = dict[str, tuple[str, dict[str, Any]]]
OLD: Nodes = {
    "1": ("Number", {"value": 1}),
    "2": ("Number", {"value": 2}),
    "3": ("Sum", {"a": ["1", 0], "b": ["2", 0]}),
    "4": ("Paint", {"level": ["3", 0]}),
}


def computed(flow: Workflow, target: str) -> Any:
    """What a node computes, as nested tuples without ids."""
    node = flow.nodes[target]  # type: ignore[index]  # ids are texts
    return node.class_type, {
        name: computed(flow, value.source) if isinstance(value, Link) else value
        for name, value in node.inputs.items()
    }


def told(old: Nodes, new: Nodes) -> list[str]:
    return [edit.told for edit in edits_between(workflow(old), workflow(new)).all]


def test_values_and_links_are_told() -> None:
    new: Nodes = {**OLD, "1": ("Number", {"value": 7}), "3": ("Sum", {"a": ["2", 0], "b": ["2", 0]})}
    assert told(OLD, new) == [
        "node 1 (Number): value: 1 → 7",
        "node 3 (Sum): a: node 1, output 0 → node 2, output 0",
    ]


def test_the_same_workflow_has_no_edits() -> None:
    assert told(OLD, OLD) == []
    assert told(OLD, dict(reversed(OLD.items()))) == []


NEWS: dict[str, Nodes] = {
    "a value": {**OLD, "2": ("Number", {"value": 5})},
    "a node between": {
        **OLD,
        "9": ("Sum", {"a": ["8", 0], "b": 4}),
        "8": ("Number", {"value": 3}),
        "3": ("Sum", {"a": ["9", 0], "b": ["2", 0]}),
    },
    "a node taken out": {
        "2": ("Number", {"value": 2}),
        "3": ("Sum", {"a": ["2", 0], "b": ["2", 0]}),
        "4": ("Paint", {"level": ["3", 0]}),
    },
    "an input that is gone": {**OLD, "3": ("Sum", {"a": ["1", 0]})},
    "an input that came": {**OLD, "4": ("Paint", {"level": ["3", 0], "mode": "fine"})},
    "a link in place of a value": {**OLD, "1": ("Number", {"value": ["2", 0]})},
}


@pytest.mark.parametrize("new", NEWS.values(), ids=NEWS.keys())
def test_all_edits_together_lead_to_what_the_other_computes(new: Nodes) -> None:
    edits = edits_between(workflow(OLD), workflow(new))
    assert computed(edits.applied(edits.all), "4") == computed(workflow(new), "4")
    assert computed(edits.applied(()), "4") == computed(workflow(OLD), "4")


def test_renumbered_nodes_are_the_same() -> None:
    new: Nodes = {
        "11": ("Number", {"value": 1}),
        "12": ("Number", {"value": 3}),
        "13": ("Sum", {"a": ["11", 0], "b": ["12", 0]}),
        "14": ("Paint", {"level": ["13", 0]}),
    }
    edits = edits_between(workflow(OLD), workflow(new))
    assert [edit.told for edit in edits.all] == ["node 2 (Number): value: 2 → 3"]
    assert edits.ids["14"] == "4"


def test_an_added_node_whose_id_is_taken_gets_another() -> None:
    new: Nodes = {**OLD, "2": ("Dice", {}), "3": ("Sum", {"a": ["1", 0], "b": ["2", 0]})}
    edits = edits_between(workflow(OLD), workflow(new))
    assert computed(edits.applied(edits.all), "4") == computed(workflow(new), "4")
    assert computed(edits.applied(()), "4") == computed(workflow(OLD), "4")
