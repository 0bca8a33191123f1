"""What a run calls that is not its own."""

from collections.abc import Callable
from dataclasses import dataclass, field

from graphengine.execution.events import Event, Listener
from graphengine.execution.numerics import AS_IMPORTED, Numerics
from graphengine.node.memory import DeviceMemory


def silent(event: Event) -> None:
    """Nobody listens."""


def never() -> bool:
    """Nobody asks to stop."""
    return False


def _nothing() -> None:
    """There is no memory to free."""


def _cpu() -> str:
    return "cpu"


@dataclass(frozen=True, slots=True)
class RunHooks:
    """Who is told what happens and asked whether to stop, and what the surroundings of a run can do.

    `choose_device` gives a torch device string when the first node asks; `free_memory` is called when a node ran
    out of memory. `numerics` is how torch is to compute, `memory` knows which models are loaded.
    """

    on_event: Listener = silent
    is_cancelled: Callable[[], bool] = never
    choose_device: Callable[[], str] = _cpu
    free_memory: Callable[[], None] = _nothing
    numerics: Numerics = AS_IMPORTED
    memory: DeviceMemory = field(default_factory=DeviceMemory)
