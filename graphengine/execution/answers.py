"""What a node's method returns, read into one form: values per output, what is shown, and nodes it asks for.

The forms, as in ComfyUI: a tuple, a list, None, an `ExecutionBlocker` for all outputs, or a dict with any of
`result`, `ui` and `expand`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from graphengine.cache.store import Outputs
from graphengine.errors import GraphEngineError
from graphengine.node.api import ExecutionBlocker

Items = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call of the method returned: a value per output, and what it shows.

    With `nodes`, API nodes by id that take the node's place, values may be links `[id, output]` into them.
    """

    values: Sequence[object]
    ui: Mapping[str, JsonValue] = field(default_factory=dict)
    # Any: API nodes whose inputs may hold any object.
    nodes: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The node's outputs.

    `left_out`: a blocker kept a call from being made; `blocked` are the messages of such blockers.
    """

    outputs: Outputs
    blocked: tuple[str, ...] = ()
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Wanting:
    """The node asks for these lazy inputs and is called again when it has them."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Expanding:
    """Nodes are to run in the node's place; its outputs are known after them."""

    answers: tuple[Answer, ...]
    blocked: tuple[str, ...] = ()


Outcome = Finished | Wanting | Expanding


def read_answer(returned: object, function: str, outputs: int) -> Answer:
    """What a method returned, which has so many outputs.

    Raises:
        GraphEngineError: it is no form of a node's answer.
    """
    match returned:
        case dict():
            ui, result, nodes = returned.get("ui") or {}, returned.get("result"), returned.get("expand")
        case _:
            ui, result, nodes = {}, returned, None
    if result is None:
        return Answer((None,) * outputs, ui, nodes)
    if isinstance(result, ExecutionBlocker):
        return Answer((result,) * outputs, ui, nodes)
    if not isinstance(result, tuple | list) or len(result) < outputs:
        given = f"{len(result)} values" if isinstance(result, tuple | list) else type(result).__name__
        raise GraphEngineError(
            f"{function}() returned {given}, its class declares {outputs} outputs",
            hint="a node returns a tuple with one value per entry of RETURN_TYPES",
        )
    return Answer(result, ui, nodes)


def collect(answers: Sequence[Answer], output_is_list: Sequence[bool]) -> Outputs:
    """The outputs of a node from the answers of its calls, in order.

    Raises:
        GraphEngineError: an output that is a list was given something else.
    """
    declared = _slots(answers, output_is_list)
    return Outputs(tuple(_slot(answers, index, many) for index, many in enumerate(declared)), merge_ui(answers))


def _slots(answers: Sequence[Answer], declared: Sequence[bool]) -> Sequence[bool]:
    """The declared outputs, and more when every call gave more (nodes whose RETURN_TYPES answer any index)."""
    given = min((len(answer.values) for answer in answers), default=0)
    return [*declared, *(False for _ in range(given - len(declared)))]


def _slot(answers: Sequence[Answer], index: int, many: bool) -> Items:
    if not many:
        return tuple(answer.values[index] for answer in answers)
    return tuple(item for answer in answers for item in list_items(answer.values[index]))


def list_items(value: object) -> Sequence[object]:
    """The items that one call gives for an output that is a list.

    Raises:
        GraphEngineError: the value is no list.
    """
    if value is None:
        return ()
    if isinstance(value, ExecutionBlocker):
        return (value,)
    if not isinstance(value, tuple | list):
        raise GraphEngineError(f"an output that is a list was given {type(value).__name__}")
    return value


def merge_ui(answers: Sequence[Answer]) -> Mapping[str, JsonValue]:
    """The calls' messages one after the other, for the keys of the first that shows any."""
    shown = [answer.ui for answer in answers if answer.ui]
    if len(shown) <= 1:
        return shown[0] if shown else {}
    return {key: [item for ui in shown for item in list_items(ui.get(key))] for key in shown[0]}  # type: ignore[misc]  # JSON items
