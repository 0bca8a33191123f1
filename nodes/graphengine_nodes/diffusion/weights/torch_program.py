"""What a pickle would make, told without making it.

A pickle is a program for a small stack machine whose instructions may call any function. `pickletools` decodes the
instructions without carrying them out. The machine here follows them with values that can do nothing: containers,
numbers and texts are themselves, a function or class is its `Name`, and a call of one is a `Made`, which remembers
what was called with what. So a file's structure is known, and nothing in it ever runs.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

_MOST_INSTRUCTIONS = 20_000_000  # a checkpoint of 10,000 tensors has some 400,000
_LONGEST_ARGUMENT = 2**31


class ProgramError(ValueError):
    """The bytes are no pickle, or one with instructions that no file of tensors has."""


@dataclass(frozen=True, slots=True)
class Name:
    """A function or class, by where it is found; nothing is imported."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class Made:
    """What a call would give. For a class of containers that is filled afterwards, `items` are those."""

    by: object
    arguments: tuple[Any, ...] = ()
    items: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """An object outside of the pickle, by whatever the pickle calls it."""

    identity: object


# Any throughout: a pickle holds values of every kind.
def read_program(source: IO[bytes]) -> Any:
    """What the pickle at the place of the source would make; the source is behind it then.

    Raises:
        ProgramError: it is malformed.
    """
    machine = _Machine()
    try:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(source)):
            if count > _MOST_INSTRUCTIONS:
                raise ProgramError("it has too many instructions")
            if instruction.name == "STOP":
                return machine.pop()
            machine.step(instruction.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        if isinstance(error, ProgramError):
            raise
        raise ProgramError(f"it is malformed ({error})") from error
    raise ProgramError("it ends too early")


class _Machine:
    """The stack, what lies below marks, and what was remembered."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memory: dict[int, Any] = {}

    def pop(self) -> Any:
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        """What was pushed since the last mark, taken off."""
        items, self.stack = self.stack, self.marked.pop()
        return items

    def step(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in _WITHOUT_EFFECT:
            raise ProgramError(f"its instruction {name} is in no file of tensors")


def _pushed(make: Callable[[_Machine, Any], Any]) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, argument: Any) -> None:
        made = make(machine, argument)  # first: it may put another stack in place
        machine.stack.append(made)

    return step


def _mark(machine: _Machine, argument: Any) -> None:
    machine.marked.append(machine.stack)
    machine.stack = []


def _last(count: int) -> Callable[[_Machine, Any], tuple[Any, ...]]:
    def taken(machine: _Machine, argument: Any) -> tuple[Any, ...]:
        items = tuple(machine.stack[-count:])
        if len(items) < count:
            raise ProgramError("its stack is empty")
        del machine.stack[-count:]
        return items

    return taken


def _pairs(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(items[::2], items[1::2], strict=True)


def _set(machine: _Machine, items: list[Any]) -> None:
    """Fill the table on top of the stack."""
    target = machine.stack[-1]
    table = target.items if isinstance(target, Made) else target
    if not isinstance(table, dict):
        raise ProgramError("it fills what is no table")
    for key, value in _pairs(items):
        table[_hashable(key)] = value


def _hashable(key: Any) -> Any:
    return key if isinstance(key, str | int | float | bytes | bool | None | Name) else _as_tuple(key)


def _as_tuple(key: Any) -> Any:
    if isinstance(key, tuple) and all(isinstance(part, str | int | float | bytes | bool | None) for part in key):
        return key
    raise ProgramError("a table has a key that is neither text nor number")


def _append(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if isinstance(target, list):
        target.extend(items)
    elif not isinstance(target, Made | set):
        raise ProgramError("it adds to what is no list")


def _call(machine: _Machine, argument: Any) -> Any:
    arguments, function = machine.pop(), machine.pop()
    return Made(function, arguments if isinstance(arguments, tuple) else (arguments,))


def _call_with_names(machine: _Machine, argument: Any) -> Any:
    machine.pop()  # the named arguments
    return _call(machine, argument)


def _instance(machine: _Machine, argument: Any) -> Any:
    return Made(_name(argument), tuple(machine.since_mark()))


def _object(machine: _Machine, argument: Any) -> Any:
    function, *arguments = machine.since_mark()
    return Made(function, tuple(arguments))


def _build(machine: _Machine, argument: Any) -> None:
    """The state of an object: kept where it is a table, as that of a module is."""
    state, target = machine.pop(), machine.stack[-1]
    if isinstance(target, Made) and isinstance(state, dict):
        target.items.update(state)


def _name(argument: str) -> Name:
    module, _, name = argument.partition(" ")
    return Name(module, name)


def _stack_name(machine: _Machine, argument: Any) -> Name:
    name, module = machine.pop(), machine.pop()
    return Name(str(module), str(name))


def _remember(machine: _Machine, argument: Any) -> None:
    machine.memory[len(machine.memory) if argument is None else argument] = machine.stack[-1]


def _drop_mark(machine: _Machine, argument: Any) -> None:
    machine.since_mark()


def _drop(machine: _Machine, argument: Any) -> None:
    machine.pop()


_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_WITHOUT_EFFECT = frozenset({"PROTO", "FRAME"})
_LITERALS = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    }
)
_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "MARK": _mark,
    "POP": _drop,
    "POP_MARK": _drop_mark,
    "DUP": _pushed(lambda machine, _: machine.stack[-1]),
    "EMPTY_DICT": _pushed(lambda machine, _: {}),
    "EMPTY_LIST": _pushed(lambda machine, _: []),
    "EMPTY_SET": _pushed(lambda machine, _: set()),
    "DICT": _pushed(lambda machine, _: {_hashable(k): v for k, v in _pairs(machine.since_mark())}),
    "LIST": _pushed(lambda machine, _: machine.since_mark()),
    "TUPLE": _pushed(lambda machine, _: tuple(machine.since_mark())),
    "FROZENSET": _pushed(lambda machine, _: tuple(machine.since_mark())),
    "TUPLE1": _pushed(_last(1)),
    "TUPLE2": _pushed(_last(2)),
    "TUPLE3": _pushed(_last(3)),
    "APPEND": lambda machine, _: _append(machine, [machine.pop()]),
    "APPENDS": lambda machine, _: _append(machine, machine.since_mark()),
    "ADDITEMS": lambda machine, _: _append(machine, machine.since_mark()),
    "SETITEM": lambda machine, _: _set(machine, list(_last(2)(machine, None))),
    "SETITEMS": lambda machine, _: _set(machine, machine.since_mark()),
    "GLOBAL": _pushed(lambda machine, argument: _name(argument)),
    "STACK_GLOBAL": _pushed(_stack_name),
    "REDUCE": _pushed(_call),
    "NEWOBJ": _pushed(_call),
    "NEWOBJ_EX": _pushed(_call_with_names),
    "INST": _pushed(_instance),
    "OBJ": _pushed(_object),
    "BUILD": _build,
    "PERSID": _pushed(lambda machine, argument: Reference(argument)),
    "BINPERSID": _pushed(lambda machine, _: Reference(machine.pop())),
    "PUT": _remember,
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "MEMOIZE": _remember,
    "GET": _pushed(lambda machine, argument: machine.memory[argument]),
    "BINGET": _pushed(lambda machine, argument: machine.memory[argument]),
    "LONG_BINGET": _pushed(lambda machine, argument: machine.memory[argument]),
}
