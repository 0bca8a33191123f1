"""What chosen nodes are given and give in a run, taken down when it happens.

A later node may change a value in place, so each value is encoded before the node is called, or as soon as it has
answered. Nothing is kept of other nodes.
"""

from collections.abc import Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from graphengine.cache.encoding import Blob, NotStorable, decode, encode_parts
from graphengine.cache.store import Outputs
from graphengine.execution.answers import Finished, Outcome
from graphengine.execution.call import NodeCall
from graphengine.execution.executor import Executor, Instances

_KILO = 1000


@dataclass(frozen=True, slots=True)
class KeptItems:
    """The items of an input or an output as plain data: the text or bytes that `cache.encoding` makes.

    `refusal` says in words why there is none; `is_object` that an item is no plain data, however large it may be.
    `types` names the Python types of the items.
    """

    encoded: str | bytes | None
    types: tuple[str, ...] = ()
    refusal: str = ""
    is_object: bool = False

    # Any: nodes give each other whatever they like.
    def items(self) -> tuple[Any, ...]:
        """The items, made anew from what was kept; only where there is something."""
        assert self.encoded is not None
        return decode(self.encoded)[0]


def keep_items(items: Iterable[object], limit: int) -> KeptItems:
    """The items as plain data of `limit` bytes at most."""
    items = tuple(items)
    types = tuple(type(item).__name__ for item in items)
    try:
        encoded = encode_parts(Outputs((items,)))
    except NotStorable as error:
        return KeptItems(None, types, f"it holds {error}", is_object=True)
    size = encoded.nbytes if isinstance(encoded, Blob) else len(encoded)
    if size > limit:
        return KeptItems(None, types, f"it takes {size_text(size)}, more than the limit of {size_text(limit)}")
    return KeptItems(bytes(encoded) if isinstance(encoded, Blob) else encoded, types)


def size_text(count: int) -> str:
    """A number of bytes for people: `812 bytes`, `3.1 MB`."""
    if count < _KILO:
        return f"{count} bytes"
    size, unit = count / _KILO, "kB"
    for larger in ("MB", "GB", "TB"):
        if size < _KILO:
            break
        size, unit = size / _KILO, larger
    return f"{size:.1f} {unit}"


@dataclass(frozen=True, slots=True)
class Captured:
    """One call of a node: its inputs by name, those that were not evaluated, and what it gave.

    `slots` is None when other nodes took its place: what these gave is known when the run has ended.
    """

    inputs: dict[str, KeptItems]
    absent: frozenset[str] = frozenset()
    slots: tuple[KeptItems, ...] | None = None
    # Any: what a node shows is JSON of its author's.
    ui: dict[str, Any] = field(default_factory=dict)


def keep_outputs(outputs: Outputs, limit: int) -> tuple[KeptItems, ...]:
    """What a node gave, by slot."""
    return tuple(keep_items(items, limit) for items in outputs.slots)


class CapturingExecutor:
    """Hands calls on to another executor and takes down those of chosen nodes in `captured`.

    Values that take more than `limit` bytes are not kept. A chosen node that is a coroutine is waited for.
    """

    def __init__(self, inner: Executor, chosen: Collection[str], limit: int) -> None:
        self._inner = inner
        self._chosen = frozenset(chosen)
        self._limit = limit
        self.captured: dict[str, Captured] = {}

    @property
    def instances(self) -> Instances:
        """The objects that nodes are called on."""
        return self._inner.instances

    @property
    def jobs(self) -> int:
        """How many calls may be under way at once."""
        return self._inner.jobs

    def submit(self, call: NodeCall) -> "Future[Outcome]":
        """Start the call; of a chosen node, what it is given and what it gives is kept."""
        if call.node_id not in self._chosen:
            return self._inner.submit(call)
        inputs = {name: keep_items(items, self._limit) for name, items in call.inputs.items()}
        future = self._inner.submit(call)
        if future.exception() is None:
            self._take(call, inputs, future.result())
        return future

    def _take(self, call: NodeCall, inputs: dict[str, KeptItems], outcome: Outcome) -> None:
        slots, ui = None, {}
        if isinstance(outcome, Finished):
            slots, ui = keep_outputs(outcome.outputs, self._limit), dict(outcome.outputs.ui)
        self.captured[call.node_id] = Captured(inputs, call.absent, slots, ui)

    def abandon(self, future: "Future[Outcome]") -> None:
        """Stop waiting for a call."""
        self._inner.abandon(future)

    def close(self) -> None:
        """Let go of threads."""
        self._inner.close()
