"""What the header of a model file says of a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Element sizes in bytes and torch's names of the dtypes that a header may name.
DTYPES: Mapping[str, tuple[int, str]] = {
    "F64": (8, "float64"),
    "F32": (4, "float32"),
    "F16": (2, "float16"),
    "BF16": (2, "bfloat16"),
    "F8_E4M3": (1, "float8_e4m3fn"),
    "F8_E5M2": (1, "float8_e5m2"),
    "I64": (8, "int64"),
    "I32": (4, "int32"),
    "I16": (2, "int16"),
    "I8": (1, "int8"),
    "U64": (8, "uint64"),
    "U32": (4, "uint32"),
    "U16": (2, "uint16"),
    "U8": (1, "uint8"),
    "BOOL": (1, "bool"),
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What the header says of a tensor; `start` and `end` are byte offsets in the file.

    strides: how far apart, in elements, neighbours along each dimension lie; None where the numbers lie in order.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    strides: tuple[int, ...] | None = None
