"""Calls of schema-based nodes as the engine makes them: through the face of a class-based node."""

import asyncio
import inspect
from abc import ABC
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest

from graphengine.node.api import ExecutionBlocker, GraphEngineError, NodeContext
from graphengine.node.registry import NodeRegistry
from graphengine_comfy.comfy_api.latest import io

Called = Callable[[NodeContext], AbstractContextManager[None]]


def call(flow: NodeRegistry, name: str, **inputs: Any) -> Any:
    """What the engine is given by the node's method."""
    definition = flow[name]
    assert definition.load is not None
    returned = getattr(definition.load()(), definition.function)(**inputs)
    return asyncio.run(returned) if inspect.iscoroutine(returned) else returned


@pytest.mark.parametrize(
    ("form", "given"),
    [
        ("output", {"ui": {"text": ["shown"]}, "result": (1,)}),
        ("tuple", (1,)),
        ("dict", {"ui": {"text": ["shown"]}, "result": (1,)}),
        ("none", None),
        ("blocker", (ExecutionBlocker("stopped"),)),
    ],
)
def test_every_form_of_result_reaches_the_engine_in_its_own(flow: NodeRegistry, form: str, given: object) -> None:
    assert call(flow, "V3Returns", form=form) == given


def test_other_results_are_refused(flow: NodeRegistry) -> None:
    with pytest.raises(GraphEngineError, match=r"execute\(\) returned str, which is no node result"):
        call(flow, "V3Returns", form="text")


def test_too_few_values_are_refused_by_the_name_that_the_author_knows() -> None:
    class Short(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="Short", outputs=[io.Int.Output(), io.Int.Output()])

        @classmethod
        def execute(cls) -> io.NodeOutput:
            return io.NodeOutput(1)

    with pytest.raises(GraphEngineError, match=r"execute\(\) gave 1 values, the schema of 'Short' declares 2"):
        Short.EXECUTE_NORMALIZED()


def test_a_blocked_result_blocks_every_output(flow: NodeRegistry) -> None:
    assert call(flow, "V3Block", value=1, message="no") == (ExecutionBlocker("no"),) * 2
    assert call(flow, "V3Block", value=1, message="") == (1, 1)


def test_a_blocker_without_a_message_stays_silent() -> None:
    class Silent(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="Silent", outputs=[io.Int.Output()])

        @classmethod
        def execute(cls) -> ExecutionBlocker:
            return ExecutionBlocker(None)

    assert Silent.EXECUTE_NORMALIZED() == (ExecutionBlocker(None),)


def test_expansion_needs_the_schemas_leave(flow: NodeRegistry, called: Called) -> None:
    with called(NodeContext("5")):
        returned = call(flow, "V3Expand", value=1)
        with pytest.raises(GraphEngineError, match="'V3ExpandForbidden' expands into other nodes"):
            call(flow, "V3ExpandForbidden", value=1)
    assert returned["result"] == (["5.0.0.2", 0],)
    assert list(returned["expand"]) == ["5.0.0.1", "5.0.0.2"]


def test_an_async_node_has_an_async_function(flow: NodeRegistry) -> None:
    assert flow["V3Meet"].function == "EXECUTE_NORMALIZED_ASYNC"
    assert call(flow, "V3Meet", value=3, group="alone", size=1) == (3,)


def test_hidden_values_come_by_the_class(flow: NodeRegistry) -> None:
    class Known:
        def has_node(self, node_id: str) -> bool:
            return node_id == "9"

    hidden = {
        "unique_id": "9",
        "dynprompt": Known(),
        "hidden.prompt": {"9": {}},
        "extra_pnginfo": {"workflow": {}},
    }
    shown = call(flow, "V3Hidden", prompt="a dog", auth_token_comfy_org="secret", **hidden)["ui"]
    assert shown == {
        "text": ["a dog"],
        "id": ["9"],
        "nodes": ["9"],
        "extra": [{"workflow": {}}],
        "token": [True],
        "known": [True],
    }


def test_two_calls_at_a_time_see_their_own_hidden_values(flow: NodeRegistry) -> None:
    def one(node_id: str) -> Any:
        return call(flow, "V3Isolated", value=1, group="two threads", unique_id=node_id)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(one, ["a", "b"])) == [("a",), ("b",)]


def test_a_node_that_takes_lists_is_given_plain_hidden_values() -> None:
    class Tell(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(
                node_id="Tell",
                inputs=[io.Int.Input("x")],
                outputs=[io.String.Output()],
                hidden=[io.Hidden.unique_id],
                is_input_list=True,
            )

        @classmethod
        def execute(cls, x: list[int]) -> io.NodeOutput:
            return io.NodeOutput(f"{cls.hidden.unique_id}: {x}")

    assert Tell.EXECUTE_NORMALIZED(x=[1, 2], unique_id=["4"]) == ("4: [1, 2]",)


def test_hidden_values_outside_of_a_call_are_none_and_unknown_ones_an_error() -> None:
    assert io.ComfyNode.hidden.unique_id is None
    with pytest.raises(AttributeError, match="no hidden value 'uniqe_id'; there are unique_id"):
        _ = io.ComfyNode.hidden.uniqe_id


def test_a_call_cannot_leave_anything_on_the_class() -> None:
    class Sets(io.ComfyNode, ABC):
        count = 0

        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="Sets")

        @classmethod
        def execute(cls) -> None:
            cls.count += 1

    with pytest.raises(AttributeError, match=r"Sets\.count cannot be set during a call"):
        Sets.EXECUTE_NORMALIZED()
    Sets.count = 5
    assert Sets.count == 5


def test_the_lazy_check_is_called_without_hidden_values(flow: NodeRegistry) -> None:
    definition = flow["V3Switch"]
    assert definition.load is not None
    check = definition.load()().check_lazy_status
    assert list(inspect.signature(check).parameters) == ["on", "on_true", "on_false"]
    assert check(on=True, unique_id="4") == ["on_true"]
    assert check(on=True, on_true=1, unique_id="4") == []


def test_an_async_lazy_check_stays_async(flow: NodeRegistry) -> None:
    definition = flow["V3SwitchAsync"]
    assert definition.load is not None
    check = definition.load().check_lazy_status
    assert inspect.iscoroutinefunction(check)
    assert asyncio.run(check(on=False, unique_id="4")) == ["on_false"]


def test_a_lazy_check_can_fall_back_on_asking_for_all() -> None:
    class Asks(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="Asks", inputs=[io.Int.Input("a", lazy=True), io.Int.Input("b", lazy=True)])

        @classmethod
        def check_lazy_status(cls, **inputs: Any) -> Any:
            return super().check_lazy_status(**inputs)

    assert Asks.check_lazy_status(a=None, b=2) == ["a"]


def test_checks_and_fingerprints_are_the_authors(flow: NodeRegistry) -> None:
    checked, changed = flow["V3Checked"].load, flow["V3ChangedBy"].load
    assert checked is not None
    assert changed is not None
    assert [checked().VALIDATE_INPUTS(value=value) for value in (99, 100)] == [True, "100 is not under 100"]
    assert changed().IS_CHANGED(value=1, version="first") == 0


def test_nested_values_arrive_as_they_are_given(flow: NodeRegistry) -> None:
    assert call(flow, "V3Grow", numbers={"n0": 1, "n1": 2}) == ('{"n0": 1, "n1": 2}',)
    assert call(flow, "V3Choice", shape={"shape": "circle", "radius": 2}) == ('{"radius": 2, "shape": "circle"}',)


def test_a_node_without_a_schema_says_so() -> None:
    class Bare(io.ComfyNode):
        pass

    with pytest.raises(NotImplementedError, match=r"Bare has no define_schema\(\)"):
        Bare.INPUT_TYPES()
    assert not hasattr(Bare, "RETURN_TYPES")
