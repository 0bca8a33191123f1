"""Content digests of outputs: equal digests promise equal values, so that what reads them need not run again.

A digest is SHA-256 over a tagged text, as in `hashing`, and the raw bytes of tensors, arrays and pictures.
Values that are no plain data (a model, an object of a pack) have none of their own: for these the recipe is the
value, and the digest is that of the recipe and the place of the output.
"""

import struct
import sys
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, cast

from graphengine.cache.pictures import describe_picture, picture_parts
from graphengine.cache.tensors import describe_array
from graphengine.node.api import ExecutionBlocker

_MAX_PARTS = 1_000_000


class _Opaque(Exception):
    """A value whose content cannot be told."""


def slot_digests(slots: Iterable[tuple[object, ...]], recipe: str) -> tuple[str, ...]:
    """A digest (hex) per output slot; `recipe` stands for values whose content cannot be told."""
    return tuple(_slot_digest(items, index, recipe) for index, items in enumerate(slots))


def recipe_digest(recipe: str, index: int) -> str:
    """The digest (hex) of an output whose value is its recipe."""
    return sha256(f"graphengine recipe\n{index} {recipe}".encode()).hexdigest()


def _slot_digest(items: tuple[object, ...], index: int, recipe: str) -> str:
    content = sha256(b"graphengine content 1\n")
    if len(items) == 1 and type(items[0]) is int:  # the most frequent, without what follows
        content.update(f"t1:i{items[0]:x};".encode())
        return content.hexdigest()
    parts: list[str] = []
    try:
        for part in _parts(items):
            if isinstance(part, str):
                parts.append(part)
            else:
                content.update("".join(parts).encode("utf-8", "surrogatepass"))
                parts.clear()
                content.update(part)
    except _Opaque:
        return recipe_digest(recipe, index)
    content.update("".join(parts).encode("utf-8", "surrogatepass"))
    return content.hexdigest()


def _parts(items: tuple[object, ...]) -> Iterable[str | memoryview]:
    """The text of the items with the bytes of arrays between, by a stack: nesting may be deep."""
    stack: list[object] = [items]
    count = 0
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is str:
            yield f"s{len(cast(str, item))}:{item}"
        elif kind is int:
            yield f"i{item:x};"
        elif kind is tuple or kind is list:
            members = cast("list[object]", item)
            yield f"{'l' if kind is list else 't'}{len(members)}:"
            stack.extend(reversed(members))
        elif kind is dict:
            pairs = cast("dict[object, object]", item)
            yield f"d{len(pairs)}:"
            stack.extend(part for pair in reversed(pairs.items()) for part in reversed(pair))
        elif (picture := describe_picture(item)) is not None:
            pixels, *rest = picture_parts(item)
            yield f"p{picture};"
            yield memoryview(pixels)
            stack.append(rest)
        else:
            yield from _rare(item)
        count += 1
        if count + len(stack) > _MAX_PARTS:  # also what contains itself ends here
            raise _Opaque


def _rare(item: object) -> Iterable[str | memoryview]:
    if item is None or item is True or item is False:
        yield str(item)[0]
    elif type(item) is float:
        yield f"f{struct.pack('>d', item).hex()};"
    elif type(item) is bytes:
        yield f"b{len(item)}:"
        yield memoryview(item)
    elif type(item) is ExecutionBlocker:
        yield "k;" if item.message is None else f"k{len(item.message)}:{item.message}"
    else:
        yield from _array(item)


# Any: naming the types of values would import torch and numpy.
def _array(item: Any) -> Iterable[str | memoryview]:
    described = describe_array(item)
    if described is None:
        raise _Opaque
    tag, dtype, shape = described
    yield f"a{tag}{dtype}{shape};"
    yield _tensor_bytes(item) if tag == "t" else _array_bytes(item)


def _tensor_bytes(tensor: Any) -> memoryview:
    torch = sys.modules["torch"]  # a tensor is there, so it has been imported
    dense = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return memoryview(dense.reshape(-1).view(torch.uint8).numpy())


def _array_bytes(array: Any) -> memoryview:
    import numpy  # as above

    return numpy.ascontiguousarray(array).reshape(-1).view(numpy.uint8).data
