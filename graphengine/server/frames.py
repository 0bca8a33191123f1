"""What goes over a socket: JSON messages and binary pictures, made into bytes only when they are sent."""

import json
import struct
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

#: Types of binary frames.
PREVIEW_IMAGE = 1
PREVIEW_IMAGE_WITH_METADATA = 4
_FORMATS = {"jpeg": 1, "png": 2}


class Audience(Enum):
    """Who gets a message about a prompt."""

    CLIENT = "the client that queued it"
    CLIENT_OR_ALL = "that client, or everybody when the prompt names none"
    ALL = "everybody"


# Any: what a node shows is open-ended.
@dataclass(frozen=True)
class Message:
    """A JSON message `{"type", "data"}`.

    Messages of one `key` may stand for each other: while a client is slow, only the newest of them waits. A
    message without a key is never left out. Values are not changed after construction.
    """

    type: str
    data: Mapping[str, Any]
    audience: Audience = Audience.ALL
    key: Hashable | None = None

    @cached_property
    def payload(self) -> str:
        """The message as it is sent."""
        return to_json({"type": self.type, "data": self.data})

    def after(self, older: "Message | Picture") -> "Message":
        """The message that says what both say, when this one is to replace `older` of the same key."""
        if self.type != "progress_state" or not isinstance(older, Message):
            return self
        nodes = {**older.data["nodes"], **self.data["nodes"]}
        return Message(self.type, {**self.data, "nodes": nodes}, self.audience, self.key)


@dataclass(frozen=True)
class Picture:
    """An encoded preview picture; `metadata` names its node for clients that understand it."""

    image: bytes
    format: str
    metadata: Mapping[str, Any]
    key: Hashable = "picture"

    @cached_property
    def plain(self) -> bytes:
        """The frame for clients that sent no feature flags."""
        return struct.pack(">II", PREVIEW_IMAGE, _FORMATS[self.format]) + self.image

    @cached_property
    def described(self) -> bytes:
        """The frame with metadata."""
        text = to_json({**self.metadata, "image_type": f"image/{self.format}"}).encode()
        return struct.pack(">II", PREVIEW_IMAGE_WITH_METADATA, len(text)) + text + self.image

    def after(self, older: "Message | Picture") -> "Picture":
        """This one; an older picture is of no use."""
        return self


def to_json(value: Any) -> str:
    """The value as JSON that every parser reads: what JSON cannot say becomes its text, NaN becomes null."""
    try:
        return json.dumps(value, allow_nan=False, default=str, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        return _forced(value)


def _forced(value: Any) -> str:
    try:
        text = json.dumps(value, default=str, skipkeys=True)
    except (ValueError, RecursionError):  # circular or endlessly nested: its text has to do
        text = json.dumps(str(value)[:2000])
    return json.dumps(json.loads(text, parse_constant=lambda _: None), separators=(",", ":"))
