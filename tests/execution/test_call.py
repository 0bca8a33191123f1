from collections.abc import Mapping
from typing import Any

import pytest

from graphengine.cache.store import Outputs
from graphengine.errors import GraphEngineError
from graphengine.execution.answers import Finished
from graphengine.execution.call import NodeCall, call_node


def call(
    returns: Any, outputs: tuple[bool, ...] = (False,), inputs: Mapping[str, tuple[object, ...]] | None = None
) -> Outputs:
    """Call a node whose method returns a value, or what a function makes of its inputs."""

    class Node:
        def run(self, **given: Any) -> Any:
            return returns(**given) if callable(returns) else returns

    outcome = call_node(NodeCall("1", "Node", lambda: Node, "run", outputs, inputs or {}), Node())
    assert isinstance(outcome, Finished)
    return outcome.outputs


def test_a_tuple_gives_one_item_per_output() -> None:
    assert call((1, "x"), (False, False)).slots == ((1,), ("x",))


def test_a_dict_gives_result_and_ui() -> None:
    assert call({"ui": {"text": ["hi"]}, "result": (3,)}) == Outputs(((3,),), {"text": ["hi"]})


def test_none_stands_for_no_values() -> None:
    assert call(None, (False, False)).slots == ((None,), (None,))


def test_shorter_inputs_repeat_their_last_item() -> None:
    assert call(lambda a, b: (a + b,), inputs={"a": (1, 2, 3), "b": (10, 20)}).slots == ((11, 22, 23),)


def test_the_messages_of_several_calls_are_put_one_after_the_other() -> None:
    outputs = call(lambda a: {"ui": {"text": [a]}}, (), {"a": (1, 2)})
    assert outputs.ui == {"text": [1, 2]}


def test_list_outputs_are_joined() -> None:
    assert call(lambda a: ([a, a],), (True,), {"a": (1, 2)}).slots == ((1, 1, 2, 2),)


def test_an_empty_list_beside_a_full_one_names_the_input() -> None:
    with pytest.raises(GraphEngineError, match="input 'b' is given an empty list"):
        call(lambda a, b: (a,), inputs={"a": (1,), "b": ()})


@pytest.mark.parametrize("wrong", [5, (1,), "text"])
def test_too_few_values_are_an_error_that_counts_them(wrong: object) -> None:
    with pytest.raises(GraphEngineError, match="its class declares 2 outputs"):
        call(wrong, (False, False))


def test_an_async_node_is_awaited() -> None:
    async def later(a: int) -> tuple[int]:
        return (a * 2,)

    assert call(later, inputs={"a": (4,)}).slots == ((8,),)
