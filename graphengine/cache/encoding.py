"""Outputs as text or bytes and back, without pickle: a tagged JSON structure, and tensors in a safetensors blob.

Outputs without tensors and long texts become a `str`, the structure alone; all others become `bytes`, a
safetensors file with the tensors "0", "1", … in their own dtype and the structure as the uint8 tensor "structure".

The structure is a flat JSON array in postfix order, so that neither writing nor reading recurses: the format
version, then for every value its token, members before their container. None, bool, int, float and str stand for
themselves, all else is an array:

    ["i", hex]  ["f", hex of the IEEE bits]  ["s", hex of UTF-8]  ["b", base64]    what JSON cannot hold exactly
    ["k", "" or + and hex of UTF-8]            a blocker without or with its message
    ["l", n]  ["u", n]  ["d", n]               list, tuple, dict (key, value, …) of the last n values or pairs
    ["B", name]  ["S", name]                   long bytes, long text: in the blob
    ["t" | "n" | "x", name, dtype, shape]      torch tensor, numpy array, numpy scalar: in the blob
    ["p", mode, width, height]                 picture of the last three values: pixels, palette, info

The format is part of the schema of the index: raise both.
"""

import json
import math
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, NoneType
from typing import Any, cast

from graphengine.cache.compression import ValueKind
from graphengine.cache.pictures import describe_picture, picture_parts, restore_picture
from graphengine.cache.store import Outputs
from graphengine.cache.tensors import describe_array, load_blob, restore_array, save_blob
from graphengine.node.api import ExecutionBlocker

STRUCTURE_FORMAT = 1
_INLINE_CHARS = 4096
_MAX_TOKENS = 1_000_000


class DamagedEncoding(Exception):
    """Bytes or a structure that `encode` did not write."""


class NotStorable(Exception):
    """A value that has no encoding; the message says what it is."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A safetensors file in parts, which share the memory of the values, and what it mostly holds."""

    parts: tuple[memoryview, ...]
    kind: ValueKind

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.nbytes for part in self.parts)

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)


#: The structure of outputs without tensors, or a safetensors file.
Encoded = str | bytes


@dataclass(slots=True)
class _Arrays:
    """What goes into the blob, by name; an object that occurs twice is written once."""

    values: dict[str, Any] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    def name(self, value: object) -> str:
        known = self.names.get(id(value))
        if known is None:
            known = self.names[id(value)] = str(len(self.values))
            self.values[known] = value
        return known


def encode(outputs: Outputs) -> Encoded | None:
    """The values of all slots; None when one of them is no plain data (see `encode_parts`)."""
    try:
        encoded = encode_parts(outputs)
    except NotStorable:
        return None
    return bytes(encoded) if isinstance(encoded, Blob) else encoded


def encode_parts(outputs: Outputs) -> str | Blob:
    """The values of all slots, with tensors that are not copied.

    Plain data: None, bool, int, float, str, bytes, torch tensors, numpy arrays and scalars, pictures of Pillow,
    and lists, tuples and dicts (keys: str or int) of them. Subclasses of these are objects of their own and not
    taken for plain data.

    Raises:
        NotStorable: one of them is a model or another object that is no plain data.
    """
    arrays = _Arrays()
    structure = json.dumps(_tokens(outputs.slots, arrays), separators=(",", ":"), allow_nan=False)
    if not arrays.values and len(structure) <= _INLINE_CHARS:
        return structure
    parts = save_blob({**arrays.values, "structure": structure.encode()})
    text = len(structure) + sum(len(value) for value in arrays.values.values() if type(value) is str)
    total = sum(part.nbytes for part in parts)
    return Blob(tuple(parts), "text" if text * 2 > total else "tensors")


def why_not_storable(outputs: Outputs) -> str | None:
    """What keeps the outputs from being stored, "slot 0 holds an object of type Model" for instance; None when
    nothing does.
    """
    for number, items in enumerate(outputs.slots):
        try:
            _tokens(items, _Arrays())
        except NotStorable as error:
            return f"slot {number} holds {error}"
    return None


def decode(encoded: str | bytes | bytearray) -> tuple[tuple[object, ...], ...]:
    """The slots that were encoded, as a structure or the bytes of a blob; tensors share the memory of a bytearray.

    Imports torch only when there are torch tensors.

    Raises:
        DamagedEncoding: `encode` did not write this.
    """
    try:
        if isinstance(encoded, str):
            return _slots(json.loads(encoded), {})
        arrays = load_blob(bytearray(encoded) if isinstance(encoded, bytes) else encoded)
        return _slots(json.loads(bytes(arrays["structure"])), arrays)
    except (ValueError, LookupError, TypeError, RuntimeError, struct.error, MemoryError) as error:
        raise DamagedEncoding(f"{type(error).__name__}: {error}") from error


def _tokens(root: object, arrays: _Arrays) -> list[Any]:
    """Tokens in postfix order: written container first and last member first, then turned round."""
    tokens: list[Any] = []
    stack = [root]
    while stack:
        value = stack.pop()
        kind = type(value)
        if kind is tuple or kind is list:
            members = cast("list[object]", value)
            tokens.append(["u" if kind is tuple else "l", len(members)])
            stack.extend(members)
        elif kind is dict:
            mapping = cast("dict[object, object]", value)
            tokens.append(["d", len(mapping)])
            for name, member in mapping.items():
                stack.append(_dict_key(name))
                stack.append(member)
        elif (writer := _WRITERS.get(kind)) is not None:
            tokens.append(writer(value))
        elif (picture := describe_picture(value)) is not None:
            tokens.append(["p", *picture])
            stack.extend(picture_parts(value))
        else:
            tokens.append(_rare_token(value, arrays))
        if len(tokens) + len(stack) > _MAX_TOKENS:  # also what contains itself ends here
            raise NotStorable("a value that contains itself or has more than a million parts")
    tokens.append(STRUCTURE_FORMAT)
    tokens.reverse()
    return tokens


def _dict_key(name: object) -> object:
    if type(name) is not str and type(name) is not int:
        raise NotStorable(f"a dict with a key of type {type(name).__name__}")
    return name


def _int_token(value: int) -> object:
    return value if -(2**63) <= value < 2**63 else ["i", f"{value:x}"]


def _float_token(value: float) -> object:
    return value if math.isfinite(value) else ["f", struct.pack(">d", value).hex()]


def _same(value: object) -> object:
    return value


#: Any: each takes values of the type it stands under.
_WRITERS: Mapping[type, Callable[[Any], object]] = MappingProxyType(
    {NoneType: _same, bool: _same, int: _int_token, float: _float_token}
)


def _rare_token(value: object, arrays: _Arrays) -> object:
    """The token of a text, bytes, tensor or array; long ones go into the blob."""
    if type(value) is str:
        return _text_token(value, arrays)
    if type(value) is bytes:
        short = len(value) <= _INLINE_CHARS
        return ["b", b64encode(value).decode()] if short else ["B", arrays.name(value)]
    if type(value) is ExecutionBlocker:
        return ["k", "" if value.message is None else f"+{value.message.encode('utf-8', 'surrogatepass').hex()}"]
    described = describe_array(value)
    if described is None:
        raise NotStorable(_what(value))
    tag, dtype, shape = described
    return [tag, arrays.name(value), dtype, shape]


def _text_token(value: str, arrays: _Arrays) -> object:
    if len(value) > _INLINE_CHARS:
        return ["S", arrays.name(value)]
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair; in JSON two halves would come back as one character
        return ["s", value.encode("utf-8", "surrogatepass").hex()]
    return value


def _what(value: object) -> str:
    """A value in the words of a message."""
    kind = type(value)
    if kind.__module__ in ("torch", "numpy"):
        return f"a {kind.__module__} value of a kind that cannot be kept ({kind.__name__})"
    return f"an object of type {kind.__name__}"


def _slots(tokens: Any, arrays: Mapping[str, memoryview]) -> tuple[tuple[object, ...], ...]:
    if type(tokens) is not list or not tokens or tokens[0] != STRUCTURE_FORMAT:
        raise ValueError(f"not a structure of format {STRUCTURE_FORMAT}")
    made: dict[str, object] = {}
    stack: list[Any] = []
    for token in tokens[1:]:
        if type(token) is not list:
            stack.append(token)
        elif token[0] in ("l", "u", "d"):
            _close_container(token, stack)
        elif token[0] == "p":
            _, mode, width, height = token
            stack[-3:] = [restore_picture(mode, width, height, stack[-3:])]
        elif len(token) == 2 and token[0] in _READERS:
            stack.append(_READERS[token[0]](token[1]))
        else:
            name = token[1]
            if name not in made:
                made[name] = _from_blob(token, arrays[name])
            stack.append(made[name])
    if len(stack) != 1 or type(stack[0]) is not tuple or not all(type(items) is tuple for items in stack[0]):
        raise ValueError("the structure is not a tuple of slots")
    return cast("tuple[tuple[object, ...], ...]", stack[0])


def _close_container(token: list[Any], stack: list[Any]) -> None:
    tag, count = token
    start = len(stack) - count * (2 if tag == "d" else 1)
    if type(count) is not int or count < 0 or start < 0:
        raise ValueError(f"{tag!r} of {count} values, {len(stack)} are there")
    members = stack[start:]
    del stack[start:]
    match tag:
        case "l":
            stack.append(members)
        case "u":
            stack.append(tuple(members))
        case _:
            stack.append(dict(zip(members[::2], members[1::2], strict=True)))


def _from_blob(token: list[Any], stored: memoryview) -> object:
    match token:
        case ["B", str()]:
            return bytes(stored)
        case ["S", str()]:
            return bytes(stored).decode("utf-8", "surrogatepass")
        case [str(tag), str(), str(dtype), list(shape)]:
            return restore_array(tag, stored, dtype, shape)
    raise ValueError(f"unknown token {token[:1]}")


def _surrogates(text: str) -> str:
    return bytes.fromhex(text).decode("utf-8", "surrogatepass")


def _blocker(text: str) -> ExecutionBlocker:
    return ExecutionBlocker(_surrogates(text[1:]) if text else None)


def _float_bits(text: str) -> float:
    return cast(float, struct.unpack(">d", bytes.fromhex(text))[0])


_READERS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {"i": lambda text: int(text, 16), "f": _float_bits, "s": _surrogates, "b": b64decode, "k": _blocker}
)
