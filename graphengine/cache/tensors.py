"""Torch tensors and numpy arrays in a safetensors file: the only module of the cache that knows them.

The file is written and read here, not by the package: its functions copy every tensor twice on the way out and
once on the way in, and that is most of the time that a large tensor takes. Other programs can read the file.

Neither torch nor numpy is imported to look at a value: it can only be a tensor when somebody has imported torch.
Tensors come back contiguous, on the CPU, without gradient; views that shared storage each have their own.
"""

import json
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, cast

#: Written in their own dtype under this name, readable by any safetensors program.
_HEADER_DTYPES: Mapping[str, str] = MappingProxyType(
    {
        "bool": "BOOL",
        "uint8": "U8",
        "int8": "I8",
        "int16": "I16",
        "int32": "I32",
        "int64": "I64",
        "float16": "F16",
        "bfloat16": "BF16",
        "float32": "F32",
        "float64": "F64",
        "float8_e4m3fn": "F8_E4M3",
        "float8_e5m2": "F8_E5M2",
    }
)
_ITEM_BYTES: Mapping[str, int] = MappingProxyType(
    {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "F16": 2, "BF16": 2}
    | {"I32": 4, "F32": 4, "I64": 8, "F64": 8}
)
_RARE = ("complex64", "complex128", "uint16", "uint32", "uint64")
#: Written as raw bytes, because not every release of safetensors knows them.
_RAW_DTYPES = frozenset((*_RARE, "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"))
_TORCH_DTYPES = _RAW_DTYPES | _HEADER_DTYPES.keys()
_LENGTH_BYTES = 8
_ALIGNMENT = 64
_NUMPY_KINDS = "biufc"

#: Torch tensor, numpy array, numpy scalar.
Tag = Literal["t", "n", "x"]


# Any: naming the types of values would import torch and numpy.
def describe_array(value: Any) -> tuple[Tag, str, list[int]] | None:
    """Kind, dtype and shape of a tensor or array that a blob can hold; None for anything else.

    Not held: tensors that are sparse, quantised, nested or on the meta device, subclasses (`Parameter`), and
    arrays of objects, texts or dates.
    """
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    kind = type(value)
    if kind is getattr(torch, "Tensor", None):
        return _describe_tensor(value)
    if (
        numpy is None
        or not isinstance(value, numpy.ndarray | numpy.generic)
        or value.dtype.kind not in _NUMPY_KINDS
    ):
        return None
    if isinstance(value, numpy.generic):
        return "x", value.dtype.str, []
    return ("n", value.dtype.str, list(value.shape)) if kind is numpy.ndarray else None


def _describe_tensor(tensor: Any) -> tuple[Tag, str, list[int]] | None:
    dtype = str(tensor.dtype).removeprefix("torch.")
    dense = str(tensor.layout) == "torch.strided" and not tensor.is_nested and tensor.device.type != "meta"
    return ("t", dtype, list(tensor.shape)) if dense and dtype in _TORCH_DTYPES else None


def save_blob(values: Mapping[str, Any]) -> list[memoryview]:
    """A safetensors file of tensors, arrays, bytes and texts (UTF-8), the latter two as uint8 tensors.

    It comes in parts, header first, that share the memory of the values: large tensors are not copied.
    """
    stored = [(name, *_as_bytes(value)) for name, value in values.items()]
    stored.sort(key=lambda item: -_ITEM_BYTES[item[1]])  # stable; the widest first, so that each is aligned
    header: dict[str, object] = {}
    start = 0
    for name, dtype, shape, data in stored:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + data.nbytes]}
        start += data.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + _LENGTH_BYTES) % _ALIGNMENT)
    return [memoryview(len(text).to_bytes(_LENGTH_BYTES, "little") + text), *(item[3] for item in stored)]


def _as_bytes(value: Any) -> tuple[str, list[int], memoryview]:
    """Name of the dtype in a safetensors header, shape and bytes; of the rare ones, bytes only."""
    torch = sys.modules.get("torch")
    if torch is not None and type(value) is torch.Tensor:
        dense = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
        dtype = _HEADER_DTYPES.get(str(dense.dtype).removeprefix("torch."))
        raw = memoryview(dense.reshape(-1).view(torch.uint8).numpy())
        return (dtype, list(dense.shape), raw) if dtype else ("U8", [raw.nbytes], raw)
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return "U8", [len(value)], memoryview(value)
    return _array_as_bytes(value)


def _array_as_bytes(value: Any) -> tuple[str, list[int], memoryview]:
    import numpy  # the value is an array, so it is there already

    dense = numpy.asarray(value, order="C")
    raw = memoryview(cast(Any, dense.reshape(-1).view(numpy.uint8)))
    dtype = _HEADER_DTYPES.get(dense.dtype.name) if dense.dtype.isnative else None
    return (dtype, list(dense.shape), raw) if dtype else ("U8", [raw.nbytes], raw)


def load_blob(blob: bytearray) -> dict[str, memoryview]:
    """The bytes of each tensor in a safetensors file, by name; they share the memory of the blob.

    Raises:
        ValueError: it is none, or damaged.
    """
    view = memoryview(blob)
    length = int.from_bytes(view[:_LENGTH_BYTES], "little")
    body = _LENGTH_BYTES + length
    if len(view) < _LENGTH_BYTES or body > len(view):
        raise ValueError("the header is longer than the file")
    header = json.loads(bytes(view[_LENGTH_BYTES:body]))
    if type(header) is not dict:
        raise ValueError("the header is no object")
    found: dict[str, memoryview] = {}
    for name, described in header.items():
        if name == "__metadata__":
            continue
        match described:
            case {"data_offsets": [int(start), int(end)]} if 0 <= start <= end <= len(view) - body:
                found[name] = view[body + start : body + end]
            case _:
                raise ValueError(f"tensor {name!r} lies outside the file")
    return found


def restore_array(tag: str, data: memoryview, dtype: str, shape: list[Any]) -> Any:
    """The tensor or array that `describe_array` described, over these bytes.

    Raises:
        ValueError: kind, dtype, shape and number of bytes do not fit together.
    """
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"shape {shape}")
    if tag == "t" and dtype in _TORCH_DTYPES:
        return _torch_tensor(data, dtype, shape)
    if tag in ("n", "x"):
        array = _numpy_array(data, dtype, shape)
        return array[()] if tag == "x" else array
    raise ValueError(f"unknown token {tag!r} with dtype {dtype!r}")


def _torch_tensor(data: memoryview, dtype: str, shape: list[int]) -> Any:
    import torch  # only entries with tensors need it

    if not data.nbytes:
        return torch.empty(0, dtype=getattr(torch, dtype)).reshape(shape)
    return torch.frombuffer(data, dtype=getattr(torch, dtype)).reshape(shape)


def _numpy_array(data: memoryview, dtype: str, shape: list[int]) -> Any:
    import numpy  # only entries with arrays need it

    kind = numpy.dtype(dtype)
    if kind.kind not in _NUMPY_KINDS:
        raise ValueError(f"numpy dtype {dtype}")
    return numpy.frombuffer(data, kind).reshape(shape) if data.nbytes else numpy.empty(0, kind).reshape(shape)
