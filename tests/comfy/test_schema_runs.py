"""Schema-based nodes in whole runs."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.errors import NodeExecutionError, ValidationFailed
from graphengine.execution.events import Event, NodeBlocked, NodeProgress
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.hidden import RunExtra
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.models import NodeId
from tests.workflows import workflow

Nodes = Mapping[str, tuple[str, Mapping[str, Any]]]


@pytest.fixture
def engine(flow: NodeRegistry) -> Engine:
    return Engine(NodeRegistry(flow.values()), MemoryStore(), Folders(), LocalExecutor(), "cpu")


def shown(engine: Engine, nodes: Nodes) -> str:
    """What a text node at the end shows of the node "1"."""
    result = engine.run(workflow({**nodes, "end": ("V3Show", {"value": ["1", 0]})}))
    (text,) = cast("list[object]", result.ui[NodeId("end")]["text"])
    return str(text)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ({"1": ("V3Add", {"a": 2, "b": ["2", 0]}), "2": ("V3Int", {"value": 3})}, "5"),
        ({"1": ("V3Add", {"a": 2})}, "2"),
        ({"1": ("V3Sum", {"values": ["2", 0]}), "2": ("V3List", {"start": 1, "count": 4})}, "10"),
        ({"1": ("V3Expand", {"value": 1})}, "12"),
        (
            {
                "1": ("V3Switch", {"on": False, "on_true": ["2", 0], "on_false": 7}),
                "2": ("FlowFail", {"value": 1, "message": "x"}),
            },
            "7",
        ),
        (
            {
                "1": ("V3SwitchAsync", {"on": True, "on_true": ["2", 0], "on_false": 7}),
                "2": ("V3Int", {"value": 4}),
            },
            "4",
        ),
        ({"1": ("V3Meet", {"value": 6, "group": "a run", "size": 1})}, "6"),
        ({"1": ("V3Multi", {"value": 3})}, "3.0"),
    ],
)
def test_a_node_gives_what_its_author_wrote(engine: Engine, nodes: Nodes, text: str) -> None:
    assert shown(engine, nodes) == text


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        (
            {"1": ("V3Grow", {"numbers.n0": 1, "numbers.n1": ["2", 0]}), "2": ("V3Int", {"value": 4})},
            '{"n0": 1, "n1": 4}',
        ),
        ({"1": ("V3GrowNames", {"parts.x": 1, "parts.y": 2})}, '{"x": 1, "y": 2}'),
        ({"1": ("V3Choice", {"shape": "circle", "shape.radius": 2})}, '{"radius": 2, "shape": "circle"}'),
        (
            {"1": ("V3ChoiceNested", {"source": "many", "source.numbers.n0": 5})},
            '{"numbers": {"n0": 5}, "source": "many"}',
        ),
        (
            {"1": ("V3Slot", {"start": ["2", 0], "start.strength": 0.5}), "2": ("V3Int", {"value": 4})},
            '{"start": 4, "strength": 0.5}',
        ),
        ({"1": ("V3Match", {"first": False, "a": ["2", 0], "b": ["2", 0]}), "2": ("V3Int", {"value": 9})}, "9"),
    ],
)
def test_dynamic_inputs_arrive_as_one_value(engine: Engine, nodes: Nodes, text: str) -> None:
    assert shown(engine, nodes) == text


def test_hidden_values_of_a_run_reach_the_class(engine: Engine) -> None:
    extra = RunExtra(extra_pnginfo={"workflow": {"id": "w"}}, secrets={"AUTH_TOKEN_COMFY_ORG": "secret"})
    result = engine.run(workflow({"1": ("V3Hidden", {"prompt": "a dog"})}), extra=extra)
    assert result.ui[NodeId("1")] == {
        "text": ["a dog"],
        "id": ["1"],
        "nodes": ["1"],
        "extra": [{"workflow": {"id": "w"}}],
        "token": [True],
        "known": [True],
    }


def test_a_blocked_node_says_why_where_it_is_read(engine: Engine) -> None:
    events: list[Event] = []
    nodes: Nodes = {"1": ("V3Block", {"value": 1, "message": "enough"}), "2": ("V3Show", {"value": ["1", 1]})}
    assert engine.run(workflow(nodes), on_event=events.append).ui == {}
    assert [(e.node_id, e.message) for e in events if isinstance(e, NodeBlocked)] == [("2", "enough")]


def test_validation_and_fingerprints_are_the_authors(engine: Engine) -> None:
    with pytest.raises(ValidationFailed) as caught:
        shown(engine, {"1": ("V3Checked", {"value": 100})})
    assert [problem.message for problem in caught.value.problems] == ["100 is not under 100"]
    assert shown(engine, {"1": ("V3Checked", {"value": 70})}) == "70"
    assert shown(engine, {"1": ("V3ChangedBy", {"value": 1, "version": "v"})}) == "1"


def test_expansion_without_leave_is_an_error_of_the_node(engine: Engine) -> None:
    with pytest.raises(NodeExecutionError, match=r"node 1 \(V3ExpandForbidden\): .* its schema does not allow"):
        shown(engine, {"1": ("V3ExpandForbidden", {"value": 1})})


def test_progress_is_an_event(engine: Engine) -> None:
    events: list[Event] = []
    nodes: Nodes = {"1": ("V3Progress", {"steps": 2}), "2": ("V3Show", {"value": ["1", 0]})}
    engine.run(workflow(nodes), on_event=events.append)
    assert [(e.node_id, e.value, e.total) for e in events if isinstance(e, NodeProgress)] == [
        ("1", 1, 2),
        ("1", 2, 2),
    ]
