"""Where outputs are kept between runs: the protocol, and the store in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class Outputs:
    """What one node gave: for each output slot its items (one, unless lists are involved), and what it shows.

    `ui` is the node's message to whoever watches, `{"images": [{"filename", "subfolder", "type"}]}` for instance.
    """

    slots: tuple[tuple[object, ...], ...] = ()
    ui: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a store knows of an entry without reading its values."""

    ui: Mapping[str, JsonValue]


class CacheStore(Protocol):
    """Outputs by cache key. A miss is None, never an exception; a damaged entry is a miss."""

    def peek(self, key: str) -> Entry | None:
        """What is kept under the key without reading values, or None. Cheap: plans ask it for every node."""

    def get(self, key: str) -> Outputs | None:
        """The outputs, or None on a miss."""

    def put(self, key: str, outputs: Outputs) -> bool:
        """Keep the outputs; False when this store cannot hold such values or has no room."""
