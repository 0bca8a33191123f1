"""One node call: lists of items go in, the node's method is called once per item, lists of items come out.

ComfyUI's meaning of lists: every input is a list of items, usually one. A node is called as often as its longest
input has items, shorter inputs repeat their last one. `INPUT_IS_LIST` nodes are called once with whole lists;
`OUTPUT_IS_LIST` outputs give several items per call.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from graphengine.cache.store import Outputs
from graphengine.errors import GraphEngineError
from graphengine.node.api import NodeContext

Items = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class NodeCall:
    """One node, its inputs as items, and the hidden values it asked for; ready to be run by an executor."""

    node_id: str
    class_type: str
    # Any: the class is an author's.
    load: Callable[[], type[Any]]
    function: str
    output_is_list: tuple[bool, ...]
    inputs: Mapping[str, Items]
    hidden: Mapping[str, object] = field(default_factory=dict)
    input_is_list: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one call of the method returned: a value per output, and what it shows."""

    values: Sequence[object]
    ui: Mapping[str, JsonValue]


def call_node(call: NodeCall) -> Outputs:
    """Call the node and collect its outputs.

    Raises:
        GraphEngineError: the node returned something that is no node result.
        Exception: whatever the node raises.
    """
    method = getattr(call.load()(), call.function)
    answers = [_answer(method(**arguments), call) for arguments in _arguments(call)]
    slots = tuple(_slot(answers, index, many) for index, many in enumerate(call.output_is_list))
    return Outputs(slots, _merge_ui(answers))


def _arguments(call: NodeCall) -> list[dict[str, object]]:
    if call.input_is_list:
        hidden = {k: v if isinstance(v, NodeContext) else [v] for k, v in call.hidden.items()}
        return [{**{name: list(items) for name, items in call.inputs.items()}, **hidden}]
    count = max((len(items) for items in call.inputs.values()), default=0)
    if count == 0:
        return [dict(call.hidden)]
    for name, items in call.inputs.items():
        if not items:
            raise GraphEngineError(
                f"input {name!r} is given an empty list while other inputs have items",
                hint="check why the node before it gave nothing",
            )
    return [
        {**{name: items[min(index, len(items) - 1)] for name, items in call.inputs.items()}, **call.hidden}
        for index in range(count)
    ]


def _answer(returned: object, call: NodeCall) -> _Answer:
    """The forms a node may return: a tuple, None, or a dict with "result" and "ui"."""
    if inspect.iscoroutine(returned):
        import asyncio  # a twentieth of a second to import, which few workflows need

        returned = asyncio.run(returned)
    match returned:
        case {"expand": _}:
            raise GraphEngineError(
                "the node expands into other nodes, which is not supported yet",
                hint="replace it by the nodes it stands for",
            )
        case dict():
            ui = returned.get("ui") or {}
            result = returned.get("result")
        case _:
            ui, result = {}, returned
    if result is None:
        return _Answer((None,) * len(call.output_is_list), ui)
    if not isinstance(result, tuple | list) or len(result) < len(call.output_is_list):
        given = f"{len(result)} values" if isinstance(result, tuple | list) else type(result).__name__
        raise GraphEngineError(
            f"{call.function}() returned {given}, its class declares {len(call.output_is_list)} outputs",
            hint="a node returns a tuple with one value per entry of RETURN_TYPES",
        )
    return _Answer(result, ui)


def _slot(answers: Sequence[_Answer], index: int, many: bool) -> Items:
    if not many:
        return tuple(answer.values[index] for answer in answers)
    return tuple(item for answer in answers for item in _items(answer.values[index]))


def _items(value: object) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, tuple | list):
        raise GraphEngineError(f"an output that is a list was given {type(value).__name__}")
    return value


def _merge_ui(answers: Sequence[_Answer]) -> Mapping[str, JsonValue]:
    """The calls' messages one after the other, for the keys of the first."""
    if len(answers) == 1:
        return answers[0].ui
    return {
        key: [item for answer in answers for item in _items(answer.ui.get(key))]  # type: ignore[misc]  # JSON items
        for key in answers[0].ui
    }
