"""Small functions that nodes share."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from graphengine_comfy._placeholders import placeholders_of

A = TypeVar("A")
R = TypeVar("R")


# Any throughout: CONDITIONING is a list of [tensor, dict of anything].
def conditioning_set_values(
    conditioning: Sequence[Sequence[Any]], values: Mapping[str, Any] | None = None, append: bool = False
) -> list[list[Any]]:
    """The conditioning with these values in every entry; with `append`, lists that are there are made longer."""
    made = []
    for tensor, options, *_ in conditioning:
        own = dict(options)
        for name, value in (values or {}).items():
            before = own.get(name) if append else None
            own[name] = value if before is None else before + value
        made.append([tensor, own])
    return made


def pillow(fn: Callable[[A], R], arg: A) -> R:
    """What a function of Pillow gives; when the file is cut off, what can be read of it."""
    from PIL import ImageFile, UnidentifiedImageError

    try:
        return fn(arg)
    except (OSError, UnidentifiedImageError, ValueError):
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            return fn(arg)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def hasher() -> Callable[..., Any]:
    """The hash function for the content of files."""
    return hashlib.sha256


__getattr__ = placeholders_of(__name__)
