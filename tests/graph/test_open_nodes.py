"""Nodes whose inputs and outputs are not fixed: dynamic or undeclared ones, types with their own comparison."""

from typing import Any

import pytest

from graphengine.errors import Problem
from graphengine.graph.graph import Graph, build_graph
from graphengine.graph.validate import validate
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.models import NodeId, Workflow, WorkflowNode
from tests.workflows import workflow

Nodes = dict[str, tuple[str, dict[str, object]]]


class Anything(str):
    """Unequal to nothing."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


class Pictures(str):
    """Unequal to all but two types."""

    def __ne__(self, other: object) -> bool:
        return other not in ("IMAGE", "MASK")

    __hash__ = str.__hash__


class EveryName(dict[str, Any]):
    """Claims to hold every name."""

    def __contains__(self, name: object) -> bool:
        return True


class EveryNumber(tuple[Any, ...]):
    """Answers any number with its last item."""

    def __getitem__(self, index: Any) -> Any:
        return tuple.__getitem__(self, min(index, len(self) - 1))


class Node:
    """What the classes below have in common."""

    RETURN_TYPES: tuple[Any, ...] = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}}

    def run(self) -> tuple[int]:
        return (1,)


class GivesAnything(Node):
    RETURN_TYPES = (Anything("ANY"),)


class GivesPictures(Node):
    RETURN_TYPES = (Pictures("*"),)


class GivesModel(Node):
    RETURN_TYPES = ("MODEL",)


class GivesAllNumbers(Node):
    RETURN_TYPES = EveryNumber(("INT", "MODEL"))


class GivesChoice(Node):
    RETURN_TYPES = (["a", "b"],)


class TakesChoice(Node):
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"mode": (["a", "b", "c"],)}}


class TakesNames(Node):
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "optional": EveryName({"a": ("INT", {})})}


class TakesImage(Node):
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("IMAGE",)}}


class TakesInt(TakesImage):
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"value": ("INT", {"max": 10})}}


class AsksForTypes(TakesImage):
    @classmethod
    def VALIDATE_INPUTS(cls, input_types: dict[str, str]) -> bool:
        return True


class Resize(Node):
    RETURN_TYPES = ("COMFY_MATCHTYPE_V3",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        by_size = {"required": {"width": ("INT", {"max": 100})}, "optional": {"crop": (["no", "yes"],)}}
        template = {"input": {"required": {"image": ("IMAGE", {})}}, "prefix": "image", "min": 1, "max": 3}
        options = [
            {"key": "factor", "inputs": {"required": {"factor": ("FLOAT", {})}}},
            {"key": "size", "inputs": by_size},
            {"key": "batch", "inputs": {"required": {"images": ("COMFY_AUTOGROW_V3", {"template": template})}}},
        ]
        matched = {"template": {"template_id": "t", "allowed_types": "IMAGE,MASK"}}
        return {
            "required": {"mode": ("COMFY_DYNAMICCOMBO_V3", {"options": options})},
            "optional": {"input": ("COMFY_MATCHTYPE_V3", matched)},
        }


CLASSES = (
    GivesAnything, GivesPictures, GivesModel, GivesAllNumbers, TakesNames, TakesImage, TakesInt, AsksForTypes,
    Resize, GivesChoice, TakesChoice,
)  # fmt: skip


def registry() -> NodeRegistry:
    return NodeRegistry(define(node_class.__name__, node_class) for node_class in CLASSES)


def problems(nodes: Nodes) -> list[Problem]:
    return validate(workflow(nodes), registry(), Folders())


def found(nodes: Nodes) -> list[tuple[str, str | None]]:
    return [(problem.code, problem.input_name) for problem in problems(nodes)]


def built(nodes: Nodes) -> Graph:
    return build_graph(workflow(nodes), registry(), Folders())


class TestATypeThatComparesInItsOwnWay:
    def test_feeds_what_its_author_says(self) -> None:
        assert found({"1": ("GivesAnything", {}), "2": ("TakesImage", {"image": ["1", 0]})}) == []
        assert found({"1": ("GivesPictures", {}), "2": ("TakesImage", {"image": ["1", 0]})}) == []

    def test_is_named_as_text_where_it_does_not_fit(self) -> None:
        (problem,) = problems({"1": ("GivesPictures", {}), "2": ("TakesInt", {"value": ["1", 0]})})
        assert problem.message == "input 'value' takes INT, is given *"
        assert type(problem.message) is str


def test_a_choice_may_be_fed_by_any_other_choice() -> None:
    assert found({"1": ("GivesChoice", {}), "2": ("TakesChoice", {"mode": ["1", 0]})}) == []
    assert found({"1": ("GivesChoice", {}), "2": ("TakesInt", {"value": ["1", 0]})}) == [
        ("type_mismatch", "value")
    ]


class TestANodeThatTakesAnyInput:
    def test_keeps_literals_under_names_that_it_does_not_declare(self) -> None:
        graph = built({"1": ("TakesNames", {"a": "5", "lora_1": {"on": True}, "": None})})
        assert graph.nodes[NodeId("1")].inputs == {"a": 5, "lora_1": {"on": True}, "": None}

    def test_is_the_only_one_that_does(self) -> None:
        graph = built({"1": ("TakesInt", {"value": 5, "lora_1": {"on": True}})})
        assert graph.nodes[NodeId("1")].inputs == {"value": 5}


class TestOutputsWithoutEnd:
    def test_may_be_linked_by_any_number(self) -> None:
        nodes: Nodes = {"1": ("GivesAllNumbers", {}), "2": ("TakesNames", {"x": ["1", 7], "y": ["1", 70]})}
        assert found(nodes) == []

    def test_have_the_type_that_is_answered(self) -> None:
        assert found({"1": ("GivesAllNumbers", {}), "2": ("TakesInt", {"value": ["1", 0]})}) == []
        nodes: Nodes = {"1": ("GivesAllNumbers", {}), "2": ("TakesInt", {"value": ["1", 7]})}
        assert found(nodes) == [("type_mismatch", "value")]

    def test_do_not_begin_before_the_first(self) -> None:
        nodes: Nodes = {"1": ("GivesAllNumbers", {}), "2": ("TakesInt", {"value": ["1", -1]})}
        assert found(nodes) == [("missing_output", "value")]


def test_a_node_that_asks_for_the_types_itself_is_left_to_it() -> None:
    nodes: Nodes = {"1": ("GivesModel", {}), "2": ("AsksForTypes", {"image": ["1", 0]})}
    assert found(nodes) == []
    assert found({**nodes, "3": ("TakesImage", {"image": ["1", 0]})}) == [("type_mismatch", "image")]


class TestDynamicInputs:
    @pytest.mark.parametrize(
        ("inputs", "expected"),
        [
            ({"mode": "factor", "mode.factor": 0.5}, []),
            ({"mode": "size", "mode.width": 5}, []),
            ({"mode": "size", "mode.width": 5, "mode.crop": "yes"}, []),
            ({"mode": "factor"}, [("missing_input", "mode.factor")]),
            ({"mode": "size", "mode.width": 500}, [("too_large", "mode.width")]),
            ({"mode": "size", "mode.width": 5, "mode.crop": "maybe"}, [("not_in_list", "mode.crop")]),
            ({"mode": "fit"}, [("not_in_list", "mode")]),
            ({"mode": [1]}, [("bad_link", "mode")]),
            ({}, [("missing_input", "mode")]),
            ({"mode": "batch"}, [("missing_input", "mode.images.image0")]),
        ],
    )
    def test_are_checked_as_the_choice_has_them(
        self, inputs: dict[str, object], expected: list[tuple[str, str]]
    ) -> None:
        given = Workflow({NodeId("1"): WorkflowNode("Resize", inputs)})  # type: ignore[arg-type]  # JSON
        assert [(p.code, p.input_name) for p in validate(given, registry(), Folders())] == expected

    def test_that_grew_are_checked_one_by_one(self) -> None:
        nodes: Nodes = {
            "1": ("GivesPictures", {}),
            "2": ("GivesModel", {}),
            "3": ("Resize", {"mode": "batch", "mode.images.image0": ["1", 0], "mode.images.image2": ["2", 0]}),
        }
        assert found(nodes) == [("type_mismatch", "mode.images.image2")]

    def test_keep_their_literals_in_the_declared_type(self) -> None:
        graph = built({"1": ("Resize", {"mode": "size", "mode.width": "64", "mode.factor": 0.5, "junk": 1})})
        assert graph.nodes[NodeId("1")].inputs == {"mode": "size", "mode.width": 64}

    def test_of_a_matched_type_take_what_the_template_allows_and_give_anything(self) -> None:
        resize = {"mode": "factor", "mode.factor": 1.0}
        nodes: Nodes = {
            "1": ("GivesModel", {}),
            "2": ("Resize", {**resize, "input": ["1", 0]}),
            "3": ("Resize", {**resize, "input": ["2", 0]}),
            "4": ("TakesInt", {"value": ["2", 0]}),
        }
        (problem,) = problems(nodes)
        assert problem.message == "input 'input' takes IMAGE,MASK, is given MODEL"
