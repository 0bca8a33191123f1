"""What a shared cache says of one node's outputs: JSON, checked when read, signed where there is a key.

    {"format": 1, "key": …, "class": …, "seconds": …, "digests": […], "ui": {…}, "values": …, "content": {…},
     "signature": …}

`class` is the node's, `seconds` how long it took. `values` is the encoded structure of outputs without tensors and
long texts; `content` names the encoded bytes of all others, compressed where that saves something. The signature
is HMAC-SHA256 over all the rest, the cache key included: a signed entry cannot be moved to another key.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from graphengine.cache.compression import Codec
from graphengine.cache.remote_health import RemoteFailure
from graphengine.cache.store import UNKNOWN, Entry, Made

#: Largest record, in bytes.
MAX_RECORD_BYTES = 2**20
#: Largest batch of records, in bytes.
MAX_BATCH_BYTES = 2**26
_SIGNED = b"graphengine remote 1\n"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class ContentReference:
    """Encoded outputs by their SHA-256 and size; how they are stored does not count when references are compared.

    `stored` is the size of the object, whose bytes are the outputs or one zstd frame of them.
    """

    digest: str
    size: int
    stored: int = field(compare=False)
    codec: Codec = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The name of the object."""
        return f"contents/{self.digest}{'.zst' if self.codec else ''}"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of outputs: their digests, what the node showed, and the values or where they are.

    How they were made does not count when records are compared.
    """

    digests: tuple[str, ...]
    ui: Mapping[str, JsonValue] = field(default_factory=dict)
    values: str | None = None
    content: ContentReference | None = None
    made: Made = field(default=UNKNOWN, compare=False)

    def entry(self) -> Entry:
        """What a store tells of it without reading values; the message is a copy of its own."""
        return Entry(_copied(self.ui), self.digests)


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    digest: Digest
    size: int = Field(ge=0)
    stored: int = Field(ge=0)
    codec: Literal["", "zstd"]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1]
    key: str
    made_by: str = Field(default="", alias="class")
    seconds: float | None = Field(default=None, ge=0)
    digests: list[Digest]
    ui: dict[str, JsonValue]
    values: str | None = None
    content: _Content | None = None
    signature: Digest | None = None


def names_files(ui: Mapping[str, JsonValue]) -> bool:
    """Whether a node's message names files, which only the machine has that ran the node."""
    lists = (items for items in ui.values() if isinstance(items, list | tuple))
    return any(isinstance(item, dict) and "filename" in item for items in lists for item in items)


def record_document(key: str, record: Record, secret: bytes | None) -> dict[str, JsonValue]:
    """The JSON of a record under a key, signed when there is a secret.

    Raises:
        ValueError, TypeError: what the node showed is no JSON.
    """
    document: dict[str, JsonValue] = {
        "format": 1,
        "key": key,
        "class": record.made.class_type,
        "seconds": record.made.seconds,
        "digests": list(record.digests),
        "ui": dict(record.ui),
    }
    if record.content is not None:
        document["content"] = asdict(record.content)
    else:
        document["values"] = record.values
    if secret is not None:
        document["signature"] = _signature(document, secret)
    return document


def record_bytes(key: str, record: Record, secret: bytes | None) -> bytes:
    """The JSON of a record as it is stored."""
    return _canonical(record_document(key, record, secret))


def read_record(data: bytes, key: str, secret: bytes | None) -> Record:
    """The record that was stored under the key.

    Raises:
        RemoteFailure: it is none, of another version, of another key, or not signed with the secret.
    """
    return checked_record(_parsed(data), key, secret)


def checked_record(document: JsonValue, key: str, secret: bytes | None) -> Record:
    """The record in a parsed document, checked as `read_record` does.

    Raises:
        RemoteFailure: as there.
    """
    if isinstance(document, dict) and document.get("format") != 1:
        raise RemoteFailure("version", f"the entry has format {str(document.get('format'))[:20]!r}, 1 is read")
    try:
        checked = _Document.model_validate(document)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"])) or "the entry"
        raise RemoteFailure("damaged", f"{place}: {error.errors()[0]['msg']}") from error
    if names_files(checked.ui):
        raise RemoteFailure("damaged", "the entry names files of another machine")
    if checked.key != key:
        raise RemoteFailure("damaged", "the entry belongs to another key")
    if (checked.values is None) == (checked.content is None):
        raise RemoteFailure("damaged", "the entry has values and content, or neither")
    if secret is not None and isinstance(document, dict):
        _check_signature(document, checked.signature, secret)
    content = checked.content
    reference = ContentReference(**content.model_dump()) if content is not None else None
    made = Made(checked.made_by, checked.seconds)
    return Record(tuple(checked.digests), checked.ui, checked.values, reference, made)


def batch_bytes(records: Mapping[str, Record], secret: bytes | None) -> bytes:
    """The JSON of many records, by key."""
    documents = [record_document(key, records[key], secret) for key in sorted(records)]
    return _canonical({"format": 1, "records": documents})  # type: ignore[dict-item]  # a list is invariant


def read_batch(data: bytes) -> dict[str, JsonValue]:
    """The documents of a batch by key, none of them checked.

    Raises:
        RemoteFailure: it is no batch.
    """
    found: dict[str, JsonValue] = {}
    match _parsed(data):
        case {"format": 1, "records": list(documents)}:
            for document in documents:
                match document:
                    case {"key": str(key)}:
                        found[key] = document
            return found
    raise RemoteFailure("damaged", "a batch of entries is damaged")


def _parsed(data: bytes) -> JsonValue:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        document: JsonValue = json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise RemoteFailure("damaged", f"the entry is no JSON: {str(error)[:100]}") from error
    return document


def _check_signature(document: Mapping[str, JsonValue], signature: str | None, secret: bytes) -> None:
    if signature is None:
        raise RemoteFailure("unsigned", "the entry is not signed")
    rest = {name: value for name, value in document.items() if name != "signature"}
    if not hmac.compare_digest(signature, _signature(rest, secret)):
        raise RemoteFailure("signature", "the entry is signed with another key, or was changed")


def _signature(document: dict[str, JsonValue], secret: bytes) -> str:
    return hmac.new(secret, _SIGNED + _canonical(document), "sha256").hexdigest()


def _canonical(document: Mapping[str, JsonValue]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _copied(ui: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    copy: dict[str, JsonValue] = json.loads(json.dumps(ui)) if ui else {}
    return copy
