"""How people tell the runs of a sweep apart: labels of values, and names of files made of them."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from pydantic import JsonValue

from graphengine.cli.sweep_axes import Row, SweptInput
from graphengine.node.definition import Files

_VALUE_CHARS = 40
_NAME_BYTES = 160  # of the 255 that file systems take, with room for number and suffix
_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")


def short_names(inputs: Sequence[SweptInput]) -> Mapping[str, str]:
    """A name for each input by its address: `seed`, or `3.seed` and `7.seed` when there are two of that name."""
    counts = Counter(swept.name for swept in inputs)
    return {swept.address: swept.name if counts[swept.name] == 1 else swept.address for swept in inputs}


def value_text(swept: SweptInput, value: JsonValue) -> str:
    """A value as people read it; a file without its suffix, and no secret."""
    value = swept.shown(value)
    if isinstance(value, str):
        is_file = swept.spec is not None and isinstance(swept.spec.choices, Files)
        return str(PurePosixPath(value).with_suffix("")) if is_file and value.strip("./") else value
    return json.dumps(value, ensure_ascii=False)


def row_label(inputs: Sequence[SweptInput], row: Row) -> str:
    """`seed=3, cfg=7`: what a run is called in messages."""
    names = short_names(inputs)
    pairs = zip(inputs, row, strict=True)
    return ", ".join(f"{names[swept.address]}={_cut(value_text(swept, value))}" for swept, value in pairs)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _VALUE_CHARS else f"{text[: _VALUE_CHARS - 1]}…"


def file_stem(inputs: Sequence[SweptInput], row: Row, number: int, count: int) -> str:
    """`003_seed=3_cfg=7`: the name of a run's files without suffix; the number keeps them in order and apart.

    Letters, digits and `._+-` of values stay, anything else becomes `-`.
    """
    names = short_names(inputs)
    parts = [
        f"{_clean(names[swept.address])}={_clean(value_text(swept, value)[:_VALUE_CHARS])}"
        for swept, value in zip(inputs, row, strict=True)
    ]
    width = max(3, len(str(count)))
    name = "_".join([f"{number:0{width}d}", *parts])
    return name.encode()[:_NAME_BYTES].decode(errors="ignore").rstrip(".-_= ")


def _clean(text: str) -> str:
    return _NOT_IN_NAMES.sub("-", text).strip("-")
