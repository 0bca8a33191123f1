"""Several jobs at once, retries, time limits, memory that runs out, interruption."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine.errors import NodeExecutionError, RunCancelled, SettingsError
from graphengine.execution.events import (
    NodeFailed,
    NodePreview,
    NodeProgress,
    NodeRetried,
    RunFinished,
    RunInterrupted,
)
from graphengine.execution.policy import RunOptions
from tests.execution.flow import Flow, Nodes


def threads(group: str, size: int) -> Nodes:
    nodes: dict[str, tuple[str, dict[str, object]]] = {}
    for n in range(1, size + 1):
        nodes[str(n)] = ("FlowMeetThreads", {"value": n, "group": group, "size": size})
        nodes[str(10 + n)] = ("FlowShow", {"value": [str(n), 0]})
    return nodes


def test_with_two_jobs_two_nodes_run_at_once(flow: Flow) -> None:
    flow.options = RunOptions(jobs=2)
    assert flow.run(threads("pair", 2)).ui == {"11": {"value": [1]}, "12": {"value": [2]}}


def test_equal_nodes_are_called_once_also_with_several_jobs(flow: Flow) -> None:
    flow.options = RunOptions(jobs=4)
    nodes: Nodes = {str(n): ("FlowInt", {"value": 1}) for n in range(1, 9)}
    shown: Nodes = {str(10 + n): ("FlowShow", {"value": [str(n), 0]}) for n in range(1, 9)}
    flow.run({**nodes, **shown})
    assert len(flow.calls("FlowInt")) == 1


@settings(deadline=None)
@given(
    links=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=30),
    jobs=st.integers(2, 4),
)
def test_results_do_not_depend_on_the_number_of_jobs(links: list[tuple[int, int]], jobs: int) -> None:
    nodes: dict[str, tuple[str, dict[str, object]]] = {"0": ("FlowInt", {"value": 1})}
    for n, (a, b) in enumerate(links, start=1):
        nodes[str(n)] = ("FlowAdd", {"a": [str(a % n), 0], "b": [str(b % n), 0]})
    nodes["end"] = ("FlowShow", {"value": [str(len(links)), 0]})
    alone, together = Flow(), Flow(options=RunOptions(jobs=jobs))
    assert alone.run(nodes).ui == together.run(nodes).ui
    assert sorted(alone.called()) == sorted(together.called())


def test_a_node_that_raises_is_called_again_as_often_as_the_policy_says(flow: Flow) -> None:
    flow.options = RunOptions(retries=2)
    with pytest.raises(NodeExecutionError, match="always"):
        flow.value({"1": ("FlowFail", {"value": 1, "message": "always"})}, "1")
    assert len(flow.calls("FlowFail")) == 3
    assert [(event.attempt, event.message) for event in flow.of_kind(NodeRetried)] == [
        (1, "ValueError: always"),
        (2, "ValueError: always"),
    ]


def test_without_a_policy_a_node_is_called_once(flow: Flow) -> None:
    with pytest.raises(NodeExecutionError):
        flow.value({"1": ("FlowFail", {"value": 1, "message": "no"})}, "1")
    assert len(flow.calls("FlowFail")) == 1


def test_a_node_that_runs_out_of_memory_is_called_again_with_the_caches_freed(flow: Flow) -> None:
    flow.run({"5": ("FlowInt", {"value": 5}), "6": ("FlowShow", {"value": ["5", 0]})})
    assert flow.value({"1": ("FlowOutOfMemory", {"group": "once", "times": 1})}, "1") == 2
    flow.run({"5": ("FlowInt", {"value": 5}), "6": ("FlowShow", {"value": ["5", 0]})})
    assert flow.called() == ["FlowInt", "FlowShow"]


def test_what_a_node_reads_is_there_again_after_memory_was_freed(flow: Flow) -> None:
    nodes: Nodes = {
        "1": ("FlowInt", {"value": 5}),
        "2": ("FlowShow", {"value": ["1", 0]}),
    }
    flow.run(nodes)
    late: Nodes = {
        "1": ("FlowInt", {"value": 5}),
        "3": ("FlowOutOfMemory", {"group": "before", "times": 1}),
        "4": ("FlowAdd", {"a": ["1", 0], "b": ["3", 0]}),
    }
    assert flow.value(late, "4") == 7


def test_a_node_that_runs_out_of_memory_twice_fails_with_advice(flow: Flow) -> None:
    with pytest.raises(NodeExecutionError, match="MemoryError: cannot allocate") as caught:
        flow.value({"1": ("FlowOutOfMemory", {"group": "twice", "times": 2})}, "1")
    assert caught.value.hint is not None
    assert "smaller pictures" in caught.value.hint


def test_a_node_that_takes_too_long_fails(flow: Flow) -> None:
    flow.options = RunOptions(node_timeout=0.01)
    with pytest.raises(NodeExecutionError, match=r"node 1 \(FlowUntilStopped\): it took longer than 0.01 s"):
        flow.value({"1": ("FlowUntilStopped", {"value": 1})}, "1")
    assert flow.of_kind(RunFinished)[0].status == "error"


def test_a_coroutine_that_takes_too_long_fails(flow: Flow) -> None:
    flow.options = RunOptions(node_timeout=0.01)
    with pytest.raises(NodeExecutionError, match=r"it took longer than 0.01 s"):
        flow.value({"1": ("FlowMeet", {"value": 1, "group": "for ever", "size": 2})}, "1")


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_node_stops_and_the_run_is_cancelled(flow: Flow, jobs: int) -> None:
    flow.options = RunOptions(jobs=jobs)
    flow.module.STARTED.clear()
    flow.is_cancelled = flow.module.STARTED.is_set
    with pytest.raises(RunCancelled):
        flow.value({"1": ("FlowUntilStopped", {"value": 1})}, "1")
    assert [event.node_id for event in flow.of_kind(RunInterrupted)] == ["1"]
    assert flow.of_kind(RunFinished)[0].status == "cancelled"


def test_an_error_beside_other_jobs_keeps_what_they_finish(flow: Flow) -> None:
    flow.options = RunOptions(jobs=2)
    nodes: Nodes = {
        "1": ("FlowFail", {"value": 1, "message": "first"}),
        "2": ("FlowInt", {"value": 2}),
        "3": ("FlowShow", {"value": ["1", 0]}),
        "4": ("FlowShow", {"value": ["2", 0]}),
    }
    with pytest.raises(NodeExecutionError, match="first"):
        flow.run(nodes)
    assert len(flow.of_kind(NodeFailed)) == 1


def test_progress_and_previews_come_from_inside_of_a_node(flow: Flow) -> None:
    flow.value({"1": ("FlowProgress", {"steps": 3})}, "1")
    assert [(event.value, event.total) for event in flow.of_kind(NodeProgress)] == [(1, 3), (2, 3), (3, 3)]
    previews = [event.preview for event in flow.of_kind(NodePreview)]
    assert [(preview.format, preview.max_size) for preview in previews] == [("jpeg", 32)] * 3


@pytest.mark.parametrize(
    "wrong", [{"jobs": 0}, {"jobs": 257}, {"node_timeout": 0.0}, {"node_timeout": float("nan")}, {"retries": -1}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        RunOptions(**wrong)  # type: ignore[arg-type]  # the point of the test


def test_the_event_of_a_failure_has_plain_inputs_as_they_are_and_others_as_text(flow: Flow) -> None:
    with pytest.raises(NodeExecutionError):
        flow.value({"1": ("FlowFail", {"value": 7, "message": "x" * 5000})}, "1")
    [failed] = flow.of_kind(NodeFailed)
    assert failed.inputs == {"value": (7,), "message": ("x" * 1000 + "…",)}
    assert (failed.exception_type, failed.exception_message) == ("ValueError", "x" * 5000)
    assert any("v1_flow" in line for line in failed.traceback)
