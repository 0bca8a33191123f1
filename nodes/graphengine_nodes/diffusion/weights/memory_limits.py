"""Trying again with less when the memory is not enough."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from graphengine.node.api import GraphEngineError

T = TypeVar("T")

# How allocators say it where they do not raise `torch.OutOfMemoryError`: that of the CPU, MPS, cuDNN, the drivers.
_PHRASES = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "failed to allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory was not enough, on whatever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _PHRASES)


def no_room() -> int:
    """The default `make_room`: nothing else can be unloaded."""
    return 0


def first_that_fits(
    attempts: Iterable[Callable[[], T]], problem: str, make_room: Callable[[], int] = no_room
) -> T:
    """What the first attempt gives that does not run out of memory; each should need less than the one before.

    make_room unloads what else is in memory and gives the number of bytes; it is asked once, when memory first
    runs out, and the attempt is repeated if that freed any.

    Raises:
        GraphEngineError: none fits; `problem` is the message.
    """
    waiting = list(attempts)[::-1]
    may_unload = True
    while waiting:
        try:
            return waiting[-1]()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the handler: the traceback would keep the tensors of the attempt alive.
        release_memory()
        if not (may_unload and make_room()):
            waiting.pop()
        may_unload = False
    raise GraphEngineError(
        problem, hint="use a smaller picture, close other programs that use the device, or compute on the CPU"
    )


def release_memory() -> None:
    """Give memory that nothing refers to back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
