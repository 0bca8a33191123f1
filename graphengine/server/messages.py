"""Engine events as the messages of ComfyUI's WebSocket protocol: functions over a small state, no sockets.

`progress_state` tells of all nodes that have begun while these are few. In larger prompts it tells only of the
node that changed, so that the bytes stay linear in the nodes; a client that connects later gets one with all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from graphengine.errors import GraphEngineError, ValidationFailed
from graphengine.execution.events import (
    Event,
    Expanded,
    NodeBlocked,
    NodeCached,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeStarted,
    RunInterrupted,
    RunStarted,
)
from graphengine.server.frames import Audience, Message

#: Nodes up to which `progress_state` tells of all of them.
WHOLE = 20

State = Literal["running", "finished", "error"]
# Any: what a node shows is open-ended, the rest is JSON.
Data = dict[str, Any]


@dataclass(slots=True)
class PromptRun:
    """What is known of a prompt that runs.

    `class_types` are those of the document, `outputs` the nodes it runs for. `nodes` are the entries of
    `progress_state`; they are replaced, never changed. `shown`, `meta` and `log` become its history entry.
    """

    prompt_id: str
    class_types: Mapping[str, str]
    outputs: frozenset[str] = frozenset()
    nodes: dict[str, Data] = field(default_factory=dict)
    executing: Data | None = None
    finished: dict[str, None] = field(default_factory=dict)
    shown: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    meta: dict[str, Data] = field(default_factory=dict)
    log: list[tuple[str, Data]] = field(default_factory=list)
    failed: Data | None = None
    interrupted: Data | None = None
    has_begun: bool = False


def start(run: PromptRun, now: int) -> list[Message]:
    """The messages as the worker takes the prompt; `now` in milliseconds since 1970."""
    return [_logged(run, "execution_start", {"prompt_id": run.prompt_id, "timestamp": now})]


def translate(run: PromptRun, event: Event, now: int, *, wanted: bool = True) -> list[Message]:
    """Take note of an event and give its messages; none when nobody wants them."""
    translator = _TRANSLATORS.get(type(event))
    if translator is None:
        return []
    messages = translator(run, event, now)
    if wanted:
        return list(messages)
    for _ in messages:  # the state changes on the way
        pass
    return []


def snapshot(run: PromptRun) -> Message:
    """`progress_state` with every node that has begun."""
    return _progress_message(run, dict(run.nodes))


def catch_up(run: PromptRun) -> list[Message]:
    """What a client that comes back must know of its prompt: that it runs, how far it is, and which node is on.

    The editor offers to stop a prompt only when it was told of its start.
    """
    begun = [Message(type_, data) for type_, data in run.log if type_ == "execution_start"]
    state = [snapshot(run)] if run.nodes else []
    executing = [Message("executing", run.executing)] if run.executing is not None else []
    return [*begun, *state, *executing]


def conclude(run: PromptRun, outcome: BaseException | None, now: int, *, cancelled: bool) -> list[Message]:
    """The message that ends the prompt: success, error or interrupted."""
    if cancelled:
        where = run.interrupted or _place(run, (run.executing or {}).get("node"))
        data = {"prompt_id": run.prompt_id, **where, "executed": list(run.finished), "timestamp": now}
        return [_logged(run, "execution_interrupted", data, Audience.ALL)]
    if outcome is not None:
        data = run.failed or _unexpected(run, outcome)
        return [_logged(run, "execution_error", {**data, "timestamp": now})]
    return [_logged(run, "execution_success", {"prompt_id": run.prompt_id, "timestamp": now})]


def last(run: PromptRun) -> Message:
    """What follows when the prompt has left the queue, however it ended."""
    return Message("executing", {"node": None, "prompt_id": run.prompt_id}, Audience.CLIENT)


def status(remaining: int, sid: str | None = None) -> Message:
    """How many prompts are queued or run; `sid` tells a new client its id."""
    data: Data = {"status": {"exec_info": {"queue_remaining": remaining}}}
    if sid is not None:
        return Message("status", {**data, "sid": sid})
    return Message("status", data, key="status")


def _logged(run: PromptRun, type_: str, data: Data, audience: Audience = Audience.CLIENT) -> Message:
    run.log.append((type_, data))
    return Message(type_, data, audience)


def _run_started(run: PromptRun, event: RunStarted, now: int) -> Iterator[Message]:
    if run.has_begun:  # the run began anew because the cache could not give what it promised
        return
    run.has_begun = True
    data = {"nodes": list(event.known), "prompt_id": run.prompt_id, "timestamp": now}
    yield _logged(run, "execution_cached", data)


def _node_started(run: PromptRun, event: NodeStarted | NodeBlocked, _now: int) -> Iterator[Message]:
    seen = run.nodes.get(event.node_id)
    value, most = (seen["value"], seen["max"]) if seen else (0.0, 1.0)
    yield _progress(run, event.node_id, value, most, "running", event.expanded)
    display = event.expanded.display if event.expanded else event.node_id
    run.executing = {"node": event.node_id, "display_node": display, "prompt_id": run.prompt_id}
    yield Message("executing", run.executing, Audience.CLIENT, ("executing", run.prompt_id))


def _node_progress(run: PromptRun, event: NodeProgress, _now: int) -> Iterator[Message]:
    yield _progress(run, event.node_id, event.value, event.total, "running")
    yield Message(
        "progress",
        {"value": event.value, "max": event.total, "prompt_id": run.prompt_id, "node": event.node_id},
        Audience.CLIENT_OR_ALL,
        ("progress", run.prompt_id, event.node_id),
    )


def _node_finished(run: PromptRun, event: NodeFinished, _now: int) -> Iterator[Message]:
    run.finished[event.node_id] = None
    if event.ui:
        yield _executed(run, event)
    yield _finished(run, event.node_id, event.expanded)


def _node_cached(run: PromptRun, event: NodeCached, _now: int) -> Iterator[Message]:
    """Cached nodes are told of when they show something or the prompt runs for them."""
    if event.ui or event.node_id in run.outputs:
        yield _executed(run, event)
        yield _finished(run, event.node_id, event.expanded)


def _node_blocked(run: PromptRun, event: NodeBlocked, now: int) -> Iterator[Message]:
    """A node that was not called is shown as begun; that it has finished is an event of its own."""
    begun = run.nodes.get(event.node_id)
    if begun is None or begun["state"] != "running":
        yield from _node_started(run, event, now)
    data = _error(run, event.node_id, event.class_type, event.expanded)
    data |= {"exception_message": f"Execution Blocked: {event.message}", "exception_type": "ExecutionBlocked"}
    data |= {"traceback": [], "current_inputs": [], "current_outputs": []}
    yield Message("execution_error", data, Audience.CLIENT)


def _node_failed(run: PromptRun, event: NodeFailed, _now: int) -> Iterator[Message]:
    """The message comes with the end of the prompt, when its entry is in the history."""
    text = event.exception_message or event.message
    run.failed = _error(run, event.node_id, event.class_type, event.expanded) | {
        "exception_message": f"{text}\n{event.hint or ''}",
        "exception_type": event.exception_type or "Exception",
        "traceback": list(event.traceback),
        "current_inputs": {name: list(texts) for name, texts in event.inputs.items()},
        "current_outputs": list(run.class_types),
    }
    _enter(run, event.node_id, 0.0, 1.0, "error", event.expanded)
    yield from ()


def _run_interrupted(run: PromptRun, event: RunInterrupted, _now: int) -> Iterator[Message]:
    run.interrupted = {"node_id": event.node_id, "node_type": event.class_type}
    yield from ()


# Any: each function takes the one kind of event that it is listed for.
_TRANSLATORS: Mapping[type, Callable[[PromptRun, Any, int], Iterator[Message]]] = {
    RunStarted: _run_started,
    NodeStarted: _node_started,
    NodeProgress: _node_progress,
    NodeFinished: _node_finished,
    NodeCached: _node_cached,
    NodeBlocked: _node_blocked,
    NodeFailed: _node_failed,
    RunInterrupted: _run_interrupted,
}


def _executed(run: PromptRun, event: NodeFinished | NodeCached) -> Message:
    expanded = event.expanded
    display = expanded.display if expanded else event.node_id
    if event.ui:
        run.shown[event.node_id] = event.ui
        run.meta[event.node_id] = {
            "node_id": event.node_id,
            "display_node": display,
            "parent_node": expanded.parent if expanded else None,
            "real_node_id": expanded.real if expanded else event.node_id,
        }
    data = {
        "node": event.node_id,
        "display_node": display,
        "output": event.ui or None,
        "prompt_id": run.prompt_id,
    }
    return Message("executed", data, Audience.CLIENT)


def _finished(run: PromptRun, node_id: str, expanded: Expanded | None) -> Message:
    seen = run.nodes.get(node_id)
    most = seen["max"] if seen else 1.0
    return _progress(run, node_id, most, most, "finished", expanded)


def _progress(
    run: PromptRun, node_id: str, value: float, most: float, state: State, expanded: Expanded | None = None
) -> Message:
    _enter(run, node_id, value, most, state, expanded)
    if len(run.nodes) > WHOLE:
        return _progress_message(run, {node_id: run.nodes[node_id]})
    return snapshot(run)


def _progress_message(run: PromptRun, nodes: Mapping[str, Data]) -> Message:
    data = {"prompt_id": run.prompt_id, "nodes": nodes}
    return Message("progress_state", data, Audience.CLIENT_OR_ALL, ("progress_state", run.prompt_id))


def _enter(
    run: PromptRun, node_id: str, value: float, most: float, state: State, expanded: Expanded | None
) -> None:
    """Note the progress of a node; where it comes from stays known when the event does not say it again."""
    seen = run.nodes.get(node_id)
    origin: tuple[str, str | None, str]
    if expanded is not None:
        origin = (expanded.display, expanded.parent, expanded.real)
    elif seen is not None:
        origin = (seen["display_node_id"], seen["parent_node_id"], seen["real_node_id"])
    else:
        origin = (node_id, None, node_id)
    run.nodes[node_id] = {
        "value": value,
        "max": most,
        "state": state,
        "node_id": node_id,
        "prompt_id": run.prompt_id,
        "display_node_id": origin[0],
        "parent_node_id": origin[1],
        "real_node_id": origin[2],
    }


def _error(run: PromptRun, node_id: str, class_type: str, expanded: Expanded | None) -> Data:
    """Errors are booked on the node of the document."""
    real = expanded.real if expanded else node_id
    return {
        "prompt_id": run.prompt_id,
        "node_id": real,
        "node_type": run.class_types.get(real, class_type),
        "executed": list(run.finished),
    }


def _unexpected(run: PromptRun, outcome: BaseException) -> Data:
    """An error that no node raised: the workflow no longer fits, the disk is full, …"""
    node_id = (run.executing or {}).get("node")
    texts = [str(outcome)]
    if isinstance(outcome, ValidationFailed):
        found = [problem for problem in outcome.problems if problem.severity == "error"]
        node_id = next((problem.node_id for problem in found if problem.node_id), node_id)
        texts = [str(problem) for problem in found]
    if isinstance(outcome, GraphEngineError) and outcome.hint:
        texts.append(outcome.hint)
    return {
        "prompt_id": run.prompt_id,
        **_place(run, node_id),
        "executed": list(run.finished),
        "exception_message": "\n".join(texts),
        "exception_type": type(outcome).__name__,
        "traceback": [],
        "current_inputs": {},
        "current_outputs": [],
    }


def _place(run: PromptRun, node_id: str | None) -> Data:
    return {"node_id": node_id, "node_type": run.class_types.get(node_id or "")}
