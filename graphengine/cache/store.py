"""Where outputs are kept between runs: the protocol, the store in memory, and two stores in a row."""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol, cast

from pydantic import JsonValue

_OPAQUE_BYTES = 1024
_ITEM_BYTES = 64
_ALIASES = 4  # second keys kept per entry
_NUMBERS = (int, float)
_TEXTS = (str, bytes, bytearray)
_SEQUENCES = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class Made:
    """How outputs came about: the class of the node and the seconds it took, None when nobody measured.

    Stores keep it for estimates, and commit at once what took long to make.
    """

    class_type: str = ""
    seconds: float | None = None


UNKNOWN = Made()


@dataclass(frozen=True, slots=True)
class Outputs:
    """What one node gave: for each output slot its items (one, unless lists are involved), and what it shows.

    `ui` is the node's message to whoever watches, `{"images": [{"filename", "subfolder", "type"}]}` for instance.
    `digests` are content hashes (hex) of the slots, where they are known. `made` does not count when outputs are
    compared.
    """

    slots: tuple[tuple[object, ...], ...] = ()
    ui: Mapping[str, JsonValue] = field(default_factory=dict)
    digests: tuple[str, ...] = ()
    made: Made = field(default=UNKNOWN, compare=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a store knows of an entry without reading its values."""

    ui: Mapping[str, JsonValue]
    digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreStats:
    """How much a store holds: entries, and bytes (estimated in memory, as stored on disk)."""

    entries: int
    bytes: int


class CacheStore(Protocol):
    """Outputs by cache key. A miss is None, never an exception; a damaged entry is a miss.

    Stores may be used from several threads. Tensors and arrays in outputs are never changed in place, neither by
    who puts nor by who gets them.
    """

    def peek(self, key: str) -> Entry | None:
        """What is kept under the key without reading values, or None.

        A later `get` may still miss: values are checked only when they are read.
        """

    def peek_many(self, keys: Collection[str]) -> dict[str, Entry]:
        """The entries of those keys that are kept. Cheap: plans ask it for every node."""

    def get(self, key: str) -> Outputs | None:
        """The outputs, or None on a miss."""

    def put(self, key: str, outputs: Outputs) -> bool:
        """Keep the outputs; False when this store cannot hold such values or has no room."""

    def alias(self, key: str, existing: str) -> bool:
        """Find what is kept under `existing` under `key` as well; False when nothing is kept there."""

    def flush(self) -> None:
        """Make what was put visible to other processes and safe from the end of this one."""

    def free_memory(self) -> None:
        """Let go of what is in memory. What is nowhere else is computed again."""

    def close(self) -> None:
        """Flush and let go of files; the store is not used afterwards."""


class MemoryStore:
    """Outputs in memory, the least recently used ones dropped when a limit is exceeded (None: no limit).

    `limit_bytes` is for all of them together, `limit_entries` is how many nodes' outputs are kept.

    Lists and dicts (`{"samples": …}`, conditionings) are copied on the way in and out, so that a node which
    changes the dict it was given does not change the store. Tensors, arrays and all else are shared, not copied.
    """

    def __init__(self, limit_bytes: int | None = None, limit_entries: int | None = None) -> None:
        self._limit = limit_bytes
        self._most = limit_entries
        self._kept: OrderedDict[str, tuple[Outputs, int]] = OrderedDict()
        self._aliases: OrderedDict[str, str] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def peek(self, key: str) -> Entry | None:
        """What is kept under the key, or None."""
        with self._lock:
            found = self._find(key)
        return None if found is None else Entry(_detached(found.ui), found.digests)

    def peek_many(self, keys: Collection[str]) -> dict[str, Entry]:
        """The entries of those keys that are kept."""
        with self._lock:
            found = {key: outputs for key in keys if (outputs := self._find(key)) is not None}
        return {key: Entry(_detached(outputs.ui), outputs.digests) for key, outputs in found.items()}

    def get(self, key: str) -> Outputs | None:
        """The outputs, or None on a miss."""
        with self._lock:
            found = self._find(key)
        return None if found is None else _detached_outputs(found)

    def _find(self, key: str) -> Outputs | None:
        found = self._kept.get(key)
        if found is None:
            key = self._aliases.get(key, key)
            found = self._kept.get(key)
            if found is None:
                return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: str, outputs: Outputs) -> bool:
        """Keep the outputs; False when they alone exceed the limit."""
        size = estimate_bytes(outputs.slots) + estimate_bytes(outputs.ui)
        if self._limit is not None and size > self._limit:
            return False
        kept = _detached_outputs(outputs)
        with self._lock:
            _, replaced = self._kept.pop(key, (None, 0))
            self._kept[key] = (kept, size)
            self._bytes += size - replaced
            while self._is_over():
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped
        return True

    def _is_over(self) -> bool:
        if self._most is not None and len(self._kept) > self._most:
            return True
        return self._limit is not None and self._bytes > self._limit

    def alias(self, key: str, existing: str) -> bool:
        """Find the same outputs under another key, for as long as they are kept."""
        with self._lock:
            existing = existing if existing in self._kept else self._aliases.get(existing, existing)
            if existing not in self._kept:
                return False
            if key not in self._kept:
                self._aliases[key] = existing
            while len(self._aliases) > _ALIASES * (len(self._kept) + 1):
                self._aliases.popitem(last=False)
        return True

    def flush(self) -> None:
        """Do nothing: memory ends with the process."""

    def free_memory(self) -> None:
        """Forget everything."""
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._aliases.clear()
            self._bytes = 0

    def stats(self) -> StoreStats:
        """How much is kept; bytes are estimated."""
        with self._lock:
            return StoreStats(len(self._kept), self._bytes)

    def close(self) -> None:
        """Do nothing: there is no file to let go of."""


class TieredStore:
    """Two stores in a row, the quick one first: what only the second holds is copied to the first when read."""

    def __init__(self, first: CacheStore, second: CacheStore) -> None:
        self.first = first
        self.second = second

    def peek(self, key: str) -> Entry | None:
        """What either keeps under the key, or None."""
        return self.first.peek(key) or self.second.peek(key)

    def peek_many(self, keys: Collection[str]) -> dict[str, Entry]:
        """The entries of those keys that either keeps."""
        found = self.first.peek_many(keys)
        absent = [key for key in keys if key not in found]
        return found | self.second.peek_many(absent) if absent else found

    def get(self, key: str) -> Outputs | None:
        """The outputs from the first store that has them, or None on a miss."""
        outputs = self.first.get(key)
        if outputs is None:
            outputs = self.second.get(key)
            if outputs is not None:
                self.first.put(key, outputs)
        return outputs

    def put(self, key: str, outputs: Outputs) -> bool:
        """Keep the outputs in both; False when neither could."""
        kept = [store.put(key, outputs) for store in (self.first, self.second)]
        return any(kept)

    def alias(self, key: str, existing: str) -> bool:
        """Find it under another key in both; False when neither keeps it."""
        found = [store.alias(key, existing) for store in (self.first, self.second)]
        return any(found)

    def flush(self) -> None:
        """Flush both."""
        self.first.flush()
        self.second.flush()

    def free_memory(self) -> None:
        """Free the memory of both."""
        self.first.free_memory()
        self.second.free_memory()

    def close(self) -> None:
        """Close both."""
        self.first.close()
        self.second.close()


def estimate_bytes(value: object) -> int:
    """About how much memory a value takes: bytes of tensors, arrays, text; 64 per item, 1 KiB for anything opaque.

    An object that occurs twice counts once.
    """
    total = 0
    seen: set[int] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        total += _ITEM_BYTES
        if item is None or isinstance(item, _NUMBERS) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, _SEQUENCES):
            stack.extend(item)
        elif isinstance(item, _TEXTS):
            total += len(item)
        elif isinstance(item, Mapping):
            stack.extend(item.keys())
            stack.extend(item.values())
        else:
            total += _array_bytes(item)
    return total


def _array_bytes(item: object) -> int:
    # Duck-typed, so that neither torch nor numpy is imported here. Any: whatever a node gave.
    thing = cast(Any, item)
    size = getattr(thing, "nbytes", None)
    if size is None and hasattr(thing, "element_size") and hasattr(thing, "nelement"):
        size = thing.element_size() * thing.nelement()
    return size if isinstance(size, int) else _OPAQUE_BYTES


def _detached_outputs(outputs: Outputs) -> Outputs:
    slots = tuple(tuple(_detached(item) for item in items) for items in outputs.slots)
    return Outputs(slots, _detached(outputs.ui), outputs.digests, outputs.made)


# Any: whatever a node gave; the type of the value is kept.
def _detached(value: Any) -> Any:
    """The value with its nested lists and dicts copied; everything else, tuples included, is the same object."""
    if type(value) is not list and type(value) is not dict:
        return value
    copies: dict[int, Any] = {id(value): type(value)()}
    stack = [value]
    while stack:
        source = stack.pop()
        pairs = list(source.items() if type(source) is dict else enumerate(source))
        for _, child in pairs:
            if (type(child) is list or type(child) is dict) and id(child) not in copies:
                copies[id(child)] = type(child)()
                stack.append(child)
        target = copies[id(source)]
        if type(source) is dict:
            target.update((name, copies.get(id(child), child)) for name, child in pairs)
        else:
            target.extend(copies.get(id(child), child) for _, child in pairs)
    return copies[id(value)]
