"""One node call: lists of items go in, the node's method is called once per item, an outcome comes out.

ComfyUI's meaning of lists: every input is a list of items, usually one. A node is called as often as its longest
input has items, shorter inputs repeat their last one. `INPUT_IS_LIST` nodes are called once with whole lists;
`OUTPUT_IS_LIST` outputs give several items per call.

A call whose arguments hold an `ExecutionBlocker` is left out and gives a blocker on all outputs. A node with lazy
inputs that it has not been given is asked first, by `check_lazy_status`, which of them it needs.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from graphengine.errors import GraphEngineError
from graphengine.execution.answers import (
    Expanding,
    Finished,
    Items,
    Outcome,
    Wanting,
    collect,
    read_answer,
)
from graphengine.execution.numerics import Numerics
from graphengine.node.api import ExecutionBlocker, NodeContext, current_context

#: What a call that is left out gives.
_BLOCKED = ExecutionBlocker()
_ABSENT: Items = (None,)
Arguments = dict[str, object]


@dataclass(frozen=True, slots=True)
class NodeCall:
    """One node, its inputs as items, and the hidden values it asked for; ready to be run by an executor.

    `absent` are linked lazy inputs that are not computed yet. `restructure` turns the arguments of one call into
    what the method takes, for nodes with dynamic inputs. `numerics` is how torch is to compute, None for nodes
    that are not built on it.
    """

    node_id: str
    class_type: str
    # Any: the class is an author's.
    load: Callable[[], type[Any]]
    function: str
    output_is_list: tuple[bool, ...]
    inputs: Mapping[str, Items]
    hidden: Mapping[str, object] = field(default_factory=dict)
    input_is_list: bool = False
    is_async: bool = False
    absent: frozenset[str] = frozenset()
    linked: frozenset[str] = frozenset()
    context: NodeContext = field(default_factory=NodeContext)
    restructure: Callable[..., dict[str, object]] | None = None
    numerics: Numerics | None = None


# Any throughout: nodes and what they return are their authors'.
def call_node(call: NodeCall, node: Any) -> Outcome:
    """Call a node whose method is no coroutine.

    Raises:
        GraphEngineError: the node returned something that is no node result, or asked for an input it has not.
        Exception: whatever the node raises.
    """
    if call.numerics is not None:
        call.numerics.apply()
    if _is_asked(call, node) and (names := _wanted(call, _each(call, node.check_lazy_status, _lazy(call, node)))):
        return Wanting(names)
    calls, blocked = _arguments(call)
    return _outcome(call, _each(call, getattr(node, call.function), calls), blocked)


async def call_async_node(call: NodeCall, node: Any) -> Outcome:
    """Call a node whose method is a coroutine; calls for several items overlap.

    Raises:
        GraphEngineError: as `call_node`.
        Exception: whatever the node raises.
    """
    if call.numerics is not None:
        call.numerics.apply()
    if _is_asked(call, node):
        wanted = await _each_async(call, node.check_lazy_status, _lazy(call, node))
        if names := _wanted(call, wanted):
            return Wanting(names)
    calls, blocked = _arguments(call)
    return _outcome(call, await _each_async(call, getattr(node, call.function), calls), blocked)


def _is_asked(call: NodeCall, node: Any) -> bool:
    return bool(call.absent) and hasattr(node, "check_lazy_status")


def _each(call: NodeCall, method: Callable[..., Any], calls: Iterable[Arguments | None]) -> list[Any]:
    """What the method answers to each of the arguments, in the call's context; a blocker for calls left out."""
    answers: list[Any] = []
    for index, arguments in enumerate(calls):
        token = current_context.set(_context(call, index))
        try:
            answer = _BLOCKED if arguments is None else method(**arguments)
            if inspect.iscoroutine(answer):
                import asyncio  # a twentieth of a second to import, which few workflows need

                answer = asyncio.run(answer)
            answers.append(answer)
        finally:
            current_context.reset(token)
    return answers


async def _each_async(call: NodeCall, method: Callable[..., Any], calls: Iterable[Arguments | None]) -> list[Any]:
    """The same, all calls at once; when one raises, the others are cancelled."""
    import asyncio  # as above

    async def one(index: int, arguments: Arguments | None) -> Any:
        current_context.set(_context(call, index))
        answer = _BLOCKED if arguments is None else method(**arguments)
        return await answer if inspect.isawaitable(answer) else answer

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(index, arguments)) for index, arguments in enumerate(calls)]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0]  # the first one ended the others
    return [task.result() for task in tasks]


def _context(call: NodeCall, index: int) -> NodeContext:
    return call.context if index == 0 else replace(call.context, list_index=index)


# Arguments


def _arguments(call: NodeCall) -> tuple[list[Arguments | None], tuple[str, ...]]:
    """The arguments of each call, None where a blocker stands among them, and the blockers' messages."""
    calls: list[Arguments | None] = []
    messages: dict[str, None] = {}
    absent = dict.fromkeys(call.absent, _ABSENT)
    for arguments in _items_of_calls(call, {**call.inputs, **absent} if absent else call.inputs):
        blockers = _blockers(arguments, call)
        if not blockers:
            calls.append(_complete(call, arguments))
            continue
        calls.append(None)
        messages.update((blocker.message, None) for blocker in blockers if blocker.message is not None)
    return calls, tuple(messages)


# Any: a node's class is its author's.
def _lazy(call: NodeCall, node: Any) -> list[Arguments | None]:
    """The arguments of each `check_lazy_status`: inputs not computed yet are None, hidden ones if it has them."""
    parameters = inspect.signature(node.check_lazy_status).parameters
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    hidden = {name: value for name, value in call.hidden.items() if takes_all or name in parameters}
    named = None if call.restructure is None else partial(call.restructure, with_names=True)
    return _arguments(replace(call, hidden=hidden, restructure=named))[0]


def _items_of_calls(call: NodeCall, inputs: Mapping[str, Items]) -> list[Arguments]:
    if call.input_is_list:
        return [{name: list(items) for name, items in inputs.items()}]
    count = max((len(items) for items in inputs.values()), default=0)
    if count == 1 and all(inputs.values()):
        return [{name: items[0] for name, items in inputs.items()}]
    if count == 0:
        return [{}]
    for name, items in inputs.items():
        if not items:
            raise GraphEngineError(
                f"input {name!r} is given an empty list while other inputs have items",
                hint="check why the node before it gave nothing",
            )
    return [{name: items[min(index, len(items) - 1)] for name, items in inputs.items()} for index in range(count)]


def _blockers(arguments: Arguments, call: NodeCall) -> list[ExecutionBlocker]:
    if call.input_is_list:
        lists = (items for items in arguments.values() if isinstance(items, list))
        return [item for items in lists for item in items if isinstance(item, ExecutionBlocker)]
    return [value for value in arguments.values() if isinstance(value, ExecutionBlocker)]


def _complete(call: NodeCall, arguments: Arguments) -> Arguments:
    """The arguments in the form the method takes, with the hidden inputs."""
    if call.restructure is not None:
        arguments = call.restructure(arguments)
    if call.input_is_list:
        hidden = {k: v if isinstance(v, NodeContext) else [v] for k, v in call.hidden.items()}
        return {**arguments, **hidden}
    arguments.update(call.hidden)
    return arguments


# Answers


def _wanted(call: NodeCall, answers: Sequence[Any]) -> frozenset[str]:
    """The lazy inputs that the answers name and that are still absent.

    Raises:
        GraphEngineError: a name is no input, or one that holds a constant.
    """
    names = {name for answer in answers if isinstance(answer, list | tuple | set) for name in answer}
    for name in sorted(names - call.linked):
        if name in call.inputs:
            raise GraphEngineError(f"check_lazy_status() asks for input {name!r}, but that value is a constant")
        raise GraphEngineError(f"check_lazy_status() asks for {name!r}, but there is no input to that node at all")
    return frozenset(names & call.absent)


def _outcome(call: NodeCall, returned: Sequence[Any], blocked: tuple[str, ...]) -> Outcome:
    slots = len(call.output_is_list)
    answers = tuple(read_answer(answer, call.function, slots) for answer in returned)
    if any(answer.nodes is not None for answer in answers):
        return Expanding(answers, blocked)
    return Finished(collect(answers, call.output_is_list), blocked, any(answer is _BLOCKED for answer in returned))
