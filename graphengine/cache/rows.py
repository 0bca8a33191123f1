"""Rows of the index: what is kept under a key, and what blobs there are."""

from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from graphengine.cache.compression import Codec


class Action(NamedTuple):
    """One row of `actions`: what a key stands for.

    `content` is the digest of a row of `contents`, or `structure` the values themselves. `digests` are the content
    hashes of the slots, separated by spaces. `size` is in bytes and counts only what this row adds. `seconds` is
    how long the node took, None when nobody said. `writer` names the release and the machine that wrote it. Times
    are seconds since 1970. `mark` is what `marked` computes.
    """

    key: str
    content: str | None
    structure: str | None
    ui: str
    digests: str
    size: int
    class_type: str
    seconds: float | None
    writer: str
    created: float
    used: float
    mark: int = 0


class Content(NamedTuple):
    """One row of `contents`: bytes by their SHA-256 (hex).

    They lie in the row itself (`data`), or in a blob of `size` bytes. The digest is of the uncompressed bytes, of
    which there are `length`.
    """

    digest: str
    codec: Codec
    size: int
    length: int
    data: bytes | None
    used: float


class Found(NamedTuple):
    """An action and its content; `staged` is where the content still lies when it has no lasting name yet."""

    action: Action
    content: Content | None
    staged: Path | None = None


class Shown(NamedTuple):
    """What a peek needs of an action."""

    ui: str
    digests: str
    used: float


class Eviction(NamedTuple):
    """When and why an entry was removed; `why` is "budget", "gc", "damaged" or "cleared"."""

    when: float
    why: str
    class_type: str


class Timing(NamedTuple):
    """What nodes of one class took so far: how many are kept, their mean seconds and mean bytes."""

    entries: int
    seconds: float
    bytes: float


def checksum(key: str, content: str | None, structure: str | None, ui: str, digests: str) -> int:
    """A checksum over the parts of an action that must not change: SQLite does not check its pages.

    It finds damage and rows under a wrong key. Against who wants to deceive it is no help.
    """
    return crc32(f"{key}\0{content}\0{structure}\0{ui}\0{digests}".encode("utf-8", "surrogatepass"))


def marked(action: Action) -> Action:
    """The action with its mark."""
    return action._replace(mark=checksum(action.key, action.content, action.structure, action.ui, action.digests))


def is_sound(action: Action) -> bool:
    """Whether the mark is that of the action."""
    key, content, structure, ui, digests = action[:5]
    return action.mark == checksum(key, content, structure, ui, digests)
