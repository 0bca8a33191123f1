"""Engine events become the messages that a ComfyUI server sends, in its order: five small traces."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import Problem, RunCancelled, ValidationFailed
from graphengine.execution.events import (
    Event,
    Expanded,
    NodeBlocked,
    NodeCached,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeRetried,
    NodeStarted,
    RunFinished,
    RunInterrupted,
    RunStarted,
)
from graphengine.server.frames import Audience, Message
from graphengine.server.messages import WHOLE, PromptRun, conclude, last, snapshot, start, translate
from graphengine.workflow.models import NodeId

NOW = 1_700_000_000_000


def ids(*names: str) -> tuple[NodeId, ...]:
    return tuple(NodeId(name) for name in names)


def run_of(**class_types: str) -> PromptRun:
    named = {name.removeprefix("n"): class_type for name, class_type in class_types.items()}
    return PromptRun("p1", named, outputs=frozenset({"2"}))


def started(name: str, expanded: Expanded | None = None) -> NodeStarted:
    return NodeStarted(NodeId(name), "Add", expanded=expanded)


def finished(name: str, ui: dict[str, Any] | None = None, expanded: Expanded | None = None) -> NodeFinished:
    return NodeFinished(NodeId(name), "Add", 0.1, ui=ui or {}, expanded=expanded)


def trace(
    run: PromptRun, events: Iterable[Event], outcome: BaseException | None = None, *, cancelled: bool = False
) -> list[str]:
    """A whole prompt's messages, each in a short form."""
    messages = start(run, NOW)
    for event in events:
        messages += translate(run, event, NOW)
    messages += [*conclude(run, outcome, NOW, cancelled=cancelled), last(run)]
    return [short(message) for message in messages]


def short(message: Message) -> str:
    data = message.data
    assert data["prompt_id"] == "p1"
    match message.type:
        case "progress_state":
            states = (f"{node['node_id']} {node['state']}" for node in data["nodes"].values())
            return f"progress_state {', '.join(states)}"
        case "executing" if data["node"] is not None:
            return f"executing {data['node']} at {data['display_node']}"
        case "executed":
            return f"executed {data['node']} at {data['display_node']}: {data['output']}"
        case "execution_cached":
            return f"execution_cached {', '.join(data['nodes'])}".strip()
        case "execution_error":
            return f"execution_error {data['node_id']} {data['exception_type']}"
        case "progress":
            return f"progress {data['node']} {data['value']}/{data['max']}"
        case other:
            return other


def test_a_first_run_tells_of_each_node_as_it_starts_shows_something_and_ends() -> None:
    events: list[Event] = [
        RunStarted(ids("1", "3", "2"), ()),
        started("1"), finished("1"),
        started("3"), finished("3"),
        started("2"), finished("2", {"value": [778]}),
        RunFinished("success", 0.1, 3, 0),
    ]  # fmt: skip
    assert trace(run_of(n1="Const", n3="Add", n2="Out"), events) == [
        "execution_start",
        "execution_cached",
        "progress_state 1 running",
        "executing 1 at 1",
        "progress_state 1 finished",
        "progress_state 1 finished, 3 running",
        "executing 3 at 3",
        "progress_state 1 finished, 3 finished",
        "progress_state 1 finished, 3 finished, 2 running",
        "executing 2 at 2",
        "executed 2 at 2: {'value': [778]}",
        "progress_state 1 finished, 3 finished, 2 finished",
        "execution_success",
        "executing",
    ]


def test_a_cached_run_shows_the_outputs_again() -> None:
    events: list[Event] = [
        RunStarted((), ids("2"), ids("1", "3", "2")),
        NodeCached(NodeId("2"), "Out", ui={"value": [778]}),
    ]
    assert trace(run_of(n1="Const", n3="Add", n2="Out"), events) == [
        "execution_start",
        "execution_cached 1, 3, 2",
        "executed 2 at 2: {'value': [778]}",
        "progress_state 2 finished",
        "execution_success",
        "executing",
    ]


def test_cached_nodes_that_only_feed_others_are_not_told_of() -> None:
    run = run_of(n1="Const", n2="Out")
    assert translate(run, NodeCached(NodeId("1"), "Const"), NOW) == []
    (executed, _) = translate(run, NodeCached(NodeId("2"), "Out"), NOW)
    assert executed.data["output"] is None
    assert run.shown == {}


def test_an_error_is_told_at_the_end_with_what_the_node_was_given() -> None:
    failed = NodeFailed(
        NodeId("3"), "Fail", "RuntimeError: broken", "mend it", exception_type="RuntimeError",
        exception_message="broken", traceback=("line 1\n",), inputs={"value": ("7",)},
    )  # fmt: skip
    run = run_of(n1="Const", n3="Fail", n2="Out")
    events: list[Event] = [RunStarted(ids("1", "3", "2"), ()), started("1"), finished("1"), started("3"), failed]
    assert trace(run, events, RuntimeError("broken"))[-3:] == [
        "executing 3 at 3",
        "execution_error 3 RuntimeError",
        "executing",
    ]
    assert run.log[-1] == (
        "execution_error",
        {
            "prompt_id": "p1", "node_id": "3", "node_type": "Fail", "executed": ["1"],
            "exception_message": "broken\nmend it", "exception_type": "RuntimeError", "traceback": ["line 1\n"],
            "current_inputs": {"value": ["7"]}, "current_outputs": ["1", "3", "2"], "timestamp": NOW,
        },
    )  # fmt: skip


def test_nodes_of_an_expansion_are_shown_at_the_node_that_made_them() -> None:
    place = Expanded(NodeId("3"), NodeId("3"), NodeId("3"))
    events: list[Event] = [
        RunStarted(ids("3", "2"), ()),
        started("3"),
        started("3.0.4", place),  # it waits for a lazy input
        started("3.0.2", place), finished("3.0.2", expanded=place),
        started("3.0.4", place), finished("3.0.4", {"text": ["x"]}, place),
        finished("3"),
    ]  # fmt: skip
    run = run_of(n3="Loop", n2="Out")
    assert trace(run, events)[2:] == [
        "progress_state 3 running",
        "executing 3 at 3",
        "progress_state 3 running, 3.0.4 running",
        "executing 3.0.4 at 3",
        "progress_state 3 running, 3.0.4 running, 3.0.2 running",
        "executing 3.0.2 at 3",
        "progress_state 3 running, 3.0.4 running, 3.0.2 finished",
        "progress_state 3 running, 3.0.4 running, 3.0.2 finished",
        "executing 3.0.4 at 3",
        "executed 3.0.4 at 3: {'text': ['x']}",
        "progress_state 3 running, 3.0.4 finished, 3.0.2 finished",
        "progress_state 3 finished, 3.0.4 finished, 3.0.2 finished",
        "execution_success",
        "executing",
    ]
    assert run.nodes["3.0.4"]["parent_node_id"] == "3"
    assert run.meta["3.0.4"] == {
        "node_id": "3.0.4", "display_node": "3", "parent_node": "3", "real_node_id": "3"
    }  # fmt: skip


def test_an_error_inside_an_expansion_is_booked_on_the_node_of_the_document() -> None:
    place = Expanded(NodeId("3.0.1"), NodeId("3.0.1"), NodeId("3"))
    run = run_of(n3="Loop", n2="Out")
    translate(run, NodeFailed(NodeId("3.0.1.0.2"), "Fail", "broken", expanded=place), NOW)
    (message,) = conclude(run, RuntimeError(), NOW, cancelled=False)
    assert (message.data["node_id"], message.data["node_type"]) == ("3", "Loop")


def test_a_blocked_node_is_an_error_that_ends_nothing() -> None:
    events: list[Event] = [
        RunStarted(ids("1", "2"), ()),
        started("1"), finished("1"),
        NodeBlocked(NodeId("2"), "Preview", "Blocked Execution"), finished("2"),
    ]  # fmt: skip
    run = run_of(n1="Block", n2="Preview")
    assert trace(run, events)[4:] == [
        "progress_state 1 finished",
        "progress_state 1 finished, 2 running",
        "executing 2 at 2",
        "execution_error 2 ExecutionBlocked",
        "progress_state 1 finished, 2 finished",
        "execution_success",
        "executing",
    ]
    assert [type_ for type_, _ in run.log] == ["execution_start", "execution_cached", "execution_success"]


def test_an_interrupt_is_told_to_everybody_with_the_node_that_ran() -> None:
    run = run_of(n1="Slow", n2="Out")
    for event in (started("1"), RunInterrupted(NodeId("1"), "Slow")):
        translate(run, event, NOW)
    (message,) = conclude(run, RunCancelled(), NOW, cancelled=True)
    assert message.audience is Audience.ALL
    assert message.data == {
        "prompt_id": "p1",
        "node_id": "1",
        "node_type": "Slow",
        "executed": [],
        "timestamp": NOW,
    }


def test_a_workflow_that_does_not_fit_any_more_names_its_first_node() -> None:
    run = run_of(n1="Load", n2="Out")
    refused = ValidationFailed([Problem("missing_file", "no file 'a.png'", "1", "Load", "image")])
    (message,) = conclude(run, refused, NOW, cancelled=False)
    assert (message.data["node_id"], message.data["node_type"]) == ("1", "Load")
    assert message.data["exception_message"] == "node 1 (Load): no file 'a.png'"


def test_progress_goes_to_everybody_when_the_prompt_names_no_client() -> None:
    run = run_of(n1="Count")
    translate(run, started("1"), NOW)
    messages = translate(run, NodeProgress(NodeId("1"), 2, 8), NOW)
    assert [short(message) for message in messages] == ["progress_state 1 running", "progress 1 2/8"]
    assert {message.audience for message in messages} == {Audience.CLIENT_OR_ALL}
    assert run.nodes["1"]["value"] == 2


def test_a_prompt_of_many_nodes_tells_only_of_the_node_that_changed() -> None:
    run = run_of()
    sizes = []
    for index in range(WHOLE + 5):
        (state, _) = translate(run, started(str(index)), NOW)
        sizes.append(len(state.data["nodes"]))
    assert sizes == [*range(1, WHOLE + 1), 1, 1, 1, 1, 1]
    assert len(snapshot(run).data["nodes"]) == WHOLE + 5


def test_a_run_that_begins_anew_is_not_announced_twice() -> None:
    run = run_of(n1="Add")
    assert len(translate(run, RunStarted((), ()), NOW)) == 1
    assert translate(run, RunStarted((), ()), NOW) == []


@pytest.mark.parametrize(
    "event", [RunFinished("success", 1.0, 1, 0), NodeRetried(NodeId("1"), "Add", 1, "broken")]
)
def test_events_without_a_message_are_passed_over(event: Event) -> None:
    assert translate(run_of(n1="Add"), event, NOW) == []


def test_what_nobody_wants_is_noted_and_not_sent() -> None:
    run = run_of(n2="Out")
    assert translate(run, finished("2", {"value": [1]}), NOW, wanted=False) == []
    assert run.shown == {"2": {"value": [1]}}


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["start", "progress", "finish"])), max_size=80))
def test_a_client_that_puts_the_messages_together_knows_the_state_of_every_node(
    told: list[tuple[int, str]],
) -> None:
    run, known = run_of(), dict[str, Any]()
    for number, kind in told:
        name = NodeId(str(number))
        event: Event = started(name) if kind == "start" else finished(name)
        if kind == "progress":
            event = NodeProgress(name, number, 50)
        for message in translate(run, event, NOW):
            if message.type == "progress_state":
                known |= message.data["nodes"]
    assert known == run.nodes
