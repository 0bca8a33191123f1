"""What two calls of a node show: which nodes give the same, which do not, and which need not."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.errors import NodeExecutionError
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.purity import NodePurity, PurityExecutor
from graphengine.execution.purity_values import Comparison, compare, copy_value
from graphengine.node.api import CONTEXT, NodeContext
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.models import NodeId
from tests.execution.flow import Flow
from tests.workflows import workflow

# Any throughout: nodes are written as authors write them.

SHOW = ("FlowShow", {"value": ["2", 0]})


class _Node:
    RETURN_TYPES: tuple[str, ...] = ("ARRAY",)
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "optional": {"value": ("*", {}), "lazy": ("*", {"lazy": True})}}


class Ramp(_Node):
    def run(self) -> Any:
        return ([{"samples": np.arange(4.0)}],)


class Noise(_Node):
    def run(self) -> Any:
        return (np.array([random.random() for _ in range(4)]),)


class Counter(_Node):
    """Gives the same list, which grows with each call."""

    calls: list[int] = []  # noqa: RUF012 (this is what is wrong with it)

    def run(self) -> Any:
        self.calls.append(1)
        return (self.calls,)


class Doubler(_Node):
    """Doubles in place."""

    def run(self, value: Any) -> Any:
        value[0]["samples"] *= 2
        return (value,)


class Total(_Node):
    RETURN_TYPES = ("FLOAT",)

    def run(self, value: Any) -> Any:
        return (float(value[0]["samples"].sum()),)


class NotIdempotent(Noise):
    NOT_IDEMPOTENT = True


class AlwaysChanged(Noise):
    @classmethod
    def IS_CHANGED(cls) -> float:
        return float("nan")


class Loader(_Node):
    """Gives an object that says nothing of itself."""

    def run(self) -> Any:
        return (object(),)


class Once(_Node):
    """Works the first time alone."""

    done = False

    def run(self) -> Any:
        if type(self).done:
            raise ValueError("used up")
        type(self).done = True
        return (1,)


class Broken(_Node):
    def run(self) -> Any:
        raise ValueError("out of paint")


class Save(_Node):
    """Saves a file and says where; shows a text too."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "hidden": {"context": CONTEXT}}

    def run(self, context: NodeContext) -> Any:
        context.folders.output.mkdir(parents=True, exist_ok=True)
        name = f"{len(list(context.folders.output.iterdir()))}.txt"
        (context.folders.output / name).write_text("saved")
        files = [{"filename": name, "subfolder": "", "type": "output"}]
        return {"ui": {"files": files, "text": ["saved"]}, "result": (1,)}


class Telling(_Node):
    def run(self) -> Any:
        return {"ui": {"text": [str(random.random())]}, "result": (1,)}


class Wanting(_Node):
    """Asks for its lazy input."""

    def check_lazy_status(self, value: Any = None, lazy: Any = None) -> list[str]:
        return ["lazy"] if lazy is None else []

    def run(self, value: Any = None, lazy: Any = None) -> Any:
        return (lazy,)


class Slow(_Node):
    async def run(self) -> Any:
        return (random.random(),)


CLASSES: tuple[type[Any], ...] = (
    Ramp, Noise, Counter, Doubler, Total, NotIdempotent, AlwaysChanged, Loader, Once, Broken, Save, Telling,
    Wanting, Slow,
)  # fmt: skip


@dataclass
class Check:
    """An engine whose nodes are called twice."""

    folder: Path
    tolerance: float = 0.0

    def run(self, *nodes: tuple[str, dict[str, Any]]) -> list[NodePurity]:
        """What is found of nodes "1", "2", …"""
        given = workflow({str(number): node for number, node in enumerate(nodes, 1)})
        registry = NodeRegistry(define(kind.__name__, kind) for kind in CLASSES)
        executor = PurityExecutor(given.nodes, registry.get, self.folder / "scratch", self.tolerance)
        folders = Folders(output=self.folder / "output")
        with Engine(registry, MemoryStore(), folders, LocalExecutor(), "cpu") as engine:
            checked = replace(engine, executor=executor)
            checked.run(given)
        executor.close()
        return sorted(executor.found, key=lambda found: found.node_id)


@pytest.fixture
def check(tmp_path: Path) -> Check:
    Counter.calls.clear()
    Once.done = False
    return Check(tmp_path)


def test_a_node_that_gives_the_same_twice_is_pure(check: Check) -> None:
    assert check.run(("Ramp", {})) == [NodePurity("1", "Ramp", "pure")]


def test_a_node_that_draws_numbers_is_found(check: Check) -> None:
    (found,) = check.run(("Noise", {}))
    assert found.verdict == "impure"
    assert found.reasons[0].startswith("output 0 (ARRAY) 4 of 4 numbers differ, by up to ")


def test_a_node_that_gives_a_value_and_changes_it_later_is_found(check: Check) -> None:
    (found,) = check.run(("Counter", {}))
    assert found.reasons == ("output 0 (ARRAY) has 1 members, then 2",)


def test_a_node_that_changes_its_input_is_found_and_does_no_harm_to_others(check: Check) -> None:
    ramp, doubler, total = check.run(
        ("Ramp", {}), ("Doubler", {"value": ["1", 0]}), ("Total", {"value": ["1", 0]})
    )
    assert doubler.verdict == "impure"
    assert doubler.reasons == (
        "it changes its input 'value' in place ([0][0]['samples']: "
        "3 of 4 numbers differ, by up to 3 (2.7 of their spread))",
    )
    assert (ramp.verdict, total.verdict) == ("pure", "pure")


@pytest.mark.parametrize(
    ("class_type", "reason"),
    [
        ("NotIdempotent", "it says that it is not idempotent"),
        ("AlwaysChanged", "it says that it changes every time (IS_CHANGED)"),
    ],
)
def test_a_node_that_says_it_is_not_to_be_cached_is_exempt(check: Check, class_type: str, reason: str) -> None:
    assert check.run((class_type, {})) == [NodePurity("1", class_type, "exempt", (reason,))]


def test_an_object_that_says_nothing_of_itself_is_not_compared(check: Check) -> None:
    assert check.run(("Loader", {})) == [
        NodePurity("1", "Loader", "not compared", ("not compared: output 0 (ARRAY), object",))
    ]


def test_a_node_that_fails_the_second_time_is_found(check: Check) -> None:
    (found,) = check.run(("Once", {}))
    assert found.reasons == ("the second call fails: ValueError: used up",)


def test_a_node_that_fails_the_first_time_ends_the_run(check: Check) -> None:
    with pytest.raises(NodeExecutionError, match=r"node 1 \(Broken\): ValueError: out of paint"):
        check.run(("Broken", {}))


def test_what_is_saved_the_second_time_goes_elsewhere_and_may_have_another_name(
    check: Check, tmp_path: Path
) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "0.txt").write_text("from before")
    assert check.run(("Save", {})) == [NodePurity("1", "Save", "pure")]
    assert sorted(file.name for file in (tmp_path / "output").iterdir()) == ["0.txt", "1.txt"]
    assert (tmp_path / "scratch" / "output" / "0.txt").read_text() == "saved"


def test_a_node_that_shows_other_texts_is_found(check: Check) -> None:
    (found,) = check.run(("Telling", {}))
    assert found.reasons[0].startswith("what it shows ['text'][0]: is '0.")


def test_a_node_that_asks_for_lazy_inputs_is_asked_twice(check: Check) -> None:
    found = check.run(("Wanting", {"lazy": ["2", 0]}), ("Ramp", {}))
    assert [node.verdict for node in found] == ["pure", "pure"]


def test_a_coroutine_is_called_twice_as_well(check: Check) -> None:
    (found,) = check.run(("Slow", {}))
    assert found.verdict == "impure"


def test_a_tolerance_is_relative_to_the_spread() -> None:
    values, near = np.array([0.0, 100.0]), np.array([0.0, 100.001])
    assert compare(values, near, 1e-4) == Comparison()
    assert compare(values, near, 1e-6).differences == (
        "1 of 2 numbers differ, by up to 0.001 (2e-05 of their spread)",
    )


def test_without_a_tolerance_each_byte_counts() -> None:
    assert compare(np.array([0.0]), np.array([-0.0])).differences == ("has other bytes for equal numbers",)
    assert compare(0.0, -0.0).differences == ("is 0.0, then -0.0",)


def test_nan_equals_nan_but_no_number() -> None:
    nan = float("nan")
    assert compare([nan, np.array([nan, 1])], [float("nan"), np.array([nan, 1])]) == Comparison()
    assert compare(np.array([nan]), np.array([1.0]), 1.0).differences == ("is not finite in other places",)


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        (True, 1, "is bool, then int"),
        ({"a": 1}, {"b": 1}, "has 'a' in one call alone"),
        ([1, [2, "x"]], [1, [2, "y"]], "[1][1]: is 'x', then 'y'"),
        ({1, 2}, {1, 3}, "is {1, 2}, then {1, 3}"),
        (np.zeros(2, np.int8), np.zeros(3, np.int8), "is (2,) int8, then (3,) int8"),
        (np.array(["a"]), np.array(["b"]), "has other values"),
        (NodePurity("1", "A", "pure"), NodePurity("1", "B", "pure"), ".class_type: is 'A', then 'B'"),
    ],
)
def test_what_differs_is_told_with_its_place(first: object, second: object, difference: str) -> None:
    assert compare(first, second).differences == (difference,)
    assert compare(first, copy_value(first)) == Comparison()


def test_functions_differ_in_what_they_were_made_with() -> None:
    def adder(amount: float) -> Any:
        return lambda value: value + amount

    assert compare(adder(2.5), adder(2.5)) == Comparison()
    assert len(compare(adder(2.5), adder(1.5)).differences) == 1


def test_tensors_weights_and_pictures_are_compared() -> None:
    torch = pytest.importorskip("torch")
    from PIL import Image

    layer, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    other.load_state_dict(layer.state_dict())
    assert compare(layer, other) == Comparison()
    with torch.no_grad():
        other.bias[0] = 7
    assert "['bias']" in compare(layer, other).differences[0]
    half = torch.zeros(2, dtype=torch.bfloat16)
    assert compare(half, half.clone()) == Comparison()
    assert (
        compare(half, half.float()).differences[0].startswith("is (2,) torch.bfloat16 torch.strided on cpu, then")
    )
    assert compare(torch.tensor(1 + 2j), torch.tensor(1 + 3j)).differences[0].startswith("1 of 1 numbers differ")
    for odd in (torch.eye(2).to_sparse(), torch.empty(2, device="meta")):
        assert compare(odd, odd.clone()) == Comparison(unknown=("Tensor",))
    red, blue = (Image.new("RGB", (2, 2), colour) for colour in ("red", "blue"))
    assert compare(red, blue).differences == ("has other pixels",)
    assert compare(red, red.copy()) == Comparison()


def test_a_copy_is_deep_where_nodes_change_values() -> None:
    array = np.zeros(2)
    value: list[Any] = [array, {"again": array, "pair": ([1], "text")}]
    copied = copy_value(value)
    copied[1]["pair"][0].append(2)
    copied[0][0] = 5
    assert copied[1]["again"] is copied[0]
    assert value[1]["pair"] == ([1], "text")
    assert array[0] == 0


def test_a_value_that_holds_itself_is_copied_and_compared() -> None:
    value: list[Any] = [1]
    value.append(value)
    copied = copy_value(value)
    assert copied[1] is copied
    assert compare(value, copied) == Comparison()


def test_a_deep_value_needs_no_recursion() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    assert compare(value, copy_value(value)) == Comparison()


def test_nodes_that_others_put_in_their_place_are_checked_themselves(flow: Flow, tmp_path: Path) -> None:
    given = workflow({"1": ("FlowInt", {"value": 5}), "2": ("FlowExpand", {"value": ["1", 0]}), "3": SHOW})
    executor = PurityExecutor(given.nodes, flow.engine.registry.get, tmp_path)
    result = replace(flow.engine, executor=executor).run(given)
    assert result.ui[NodeId("3")] == {"value": [16]}
    verdicts = {found.class_type: found.verdict for found in executor.found}
    assert verdicts == {"FlowInt": "pure", "FlowExpand": "not compared", "FlowAdd": "pure", "FlowShow": "pure"}
