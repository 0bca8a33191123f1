"""`VALIDATE_INPUTS`: what a node is told before anything runs, and what becomes of its answer."""

from collections.abc import Callable
from typing import Any

import pytest

from graphengine.errors import Problem
from graphengine.execution.checks import check_by_nodes
from graphengine.graph.graph import build_graph
from graphengine.graph.plan import make_plan
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from tests.workflows import workflow

Check = Callable[..., object]


class Anything(str):
    """Unequal to nothing."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


class Gives:
    RETURN_TYPES = ("INT", Anything("ANY"))
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}}

    def run(self) -> tuple[int, int]:
        return 1, 2


class Node:
    """Takes two numbers, a link as it is, and a choice with a width."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        size = {"key": "size", "inputs": {"required": {"width": ("INT", {})}}}
        return {
            "required": {"a": ("INT", {"max": 10}), "b": ("INT", {"max": 10})},
            "optional": {
                "raw": ("INT", {"rawLink": True}),
                "mode": ("COMFY_DYNAMICCOMBO_V3", {"options": [size]}),
            },
            "hidden": {"prompt": "PROMPT", "node_id": "UNIQUE_ID"},
        }

    def run(self, **inputs: object) -> tuple[()]:
        return ()


def problems(check: Check, **inputs: object) -> list[Problem]:
    """What is found when the node's function is `check`; linked inputs read a node "1" that gives an INT."""
    node_class = type("Node", (Node,), {"VALIDATE_INPUTS": staticmethod(check)})
    registry = NodeRegistry([define("Gives", Gives), define("Node", node_class)])
    nodes: dict[str, tuple[str, dict[str, object]]] = {
        "1": ("Gives", {}),
        "2": ("Node", {"a": 1, "b": 2, **inputs}),
    }
    return check_by_nodes(make_plan(build_graph(workflow(nodes), registry, Folders())))


def told(check: Callable[[list[Any]], Check], **inputs: object) -> Any:
    """What a function that keeps its arguments was called with."""
    kept: list[Any] = []
    assert problems(check(kept), **inputs) == []
    (arguments,) = kept
    return arguments


def keeps_a_and_b(kept: list[Any]) -> Check:
    def check(a: object, b: object) -> bool:
        kept.append((a, b))
        return True

    return check


def keeps_all(kept: list[Any]) -> Check:
    def check(**everything: object) -> bool:
        kept.append(everything)
        return True

    return check


class TestANodeIsTold:
    def test_its_literals_converted(self) -> None:
        assert told(keeps_a_and_b, a="5") == (5, 2)

    def test_none_for_what_is_linked(self) -> None:
        assert told(keeps_a_and_b, b=["1", 0]) == (1, None)

    def test_everything_when_it_takes_keyword_arguments(self) -> None:
        assert told(keeps_all, raw=["1", 0]) == {
            "a": 1,
            "b": 2,
            "raw": ["1", 0],
            "prompt": {},
            "node_id": None,
        }

    def test_a_choice_together_with_its_inputs(self) -> None:
        given = told(keeps_all, mode="size", **{"mode.width": 64})
        assert given["mode"] == {"mode": "size", "width": 64}
        assert "mode.width" not in given

    def test_the_types_that_come_over_its_links_as_they_were_written(self) -> None:
        def check_types(kept: list[Any]) -> Check:
            def check(input_types: dict[str, str]) -> bool:
                kept.append(input_types)
                return True

            return check

        types = told(check_types, a=["1", 0], b=["1", 1])
        assert types["a"] == "INT"
        assert isinstance(types["b"], Anything)

    def test_hidden_values_are_not_known_yet(self) -> None:
        def check_hidden(kept: list[Any]) -> Check:
            def check(a: object, node_id: object) -> bool:
                kept.append((a, node_id))
                return True

            return check

        assert told(check_hidden) == (1, None)


def test_an_answer_of_true_is_no_problem() -> None:
    assert problems(lambda a: True) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [("a is odd", "a is odd"), (False, "the node refused its inputs"), (None, "the node refused its inputs")],
)
def test_any_other_answer_is_a_problem_of_the_input_it_takes(answer: object, message: str) -> None:
    assert problems(lambda a: answer) == [Problem("refused_by_node", message, "2", "Node", "a")]


def test_a_refusal_is_a_problem_of_every_input_that_the_function_takes() -> None:
    def check(a: object, b: object, raw: object = 0, node_id: object = 0, input_types: object = None) -> str:
        return "no"

    assert [(p.input_name, p.message) for p in problems(check)] == [("a", "no"), ("b", "no")]
    assert [p.input_name for p in problems(lambda **kwargs: "no", b=["1", 0])] == ["a", "b"]


def test_a_function_that_takes_types_alone_refuses_the_node() -> None:
    assert [p.input_name for p in problems(lambda input_types: "no", b=["1", 0])] == [None]


def test_the_range_of_an_input_that_the_node_checks_is_its_own_affair() -> None:
    assert problems(lambda a: True, a=1_000) == []
    assert problems(lambda **inputs: True, a=1_000, b=-5) == []


def test_a_coroutine_is_awaited() -> None:
    async def check(a: int) -> bool | str:
        return "too small" if a < 5 else True

    assert [p.message for p in problems(check, a=1)] == ["too small"]
    assert problems(check, a=6) == []


def test_a_function_that_raises_is_one_problem_of_the_node() -> None:
    def check(a: object, b: object) -> bool:
        raise KeyError("gone")

    (problem,) = problems(check)
    assert (problem.code, problem.message, problem.input_name) == (
        "check_failed",
        "VALIDATE_INPUTS failed: KeyError: 'gone'",
        None,
    )
