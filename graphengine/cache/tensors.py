"""Torch tensors and numpy arrays in a safetensors blob: the only module of the cache that knows them.

Neither torch nor numpy is imported to look at a value: it can only be a tensor when somebody has imported torch.
Tensors come back contiguous, on the CPU, without gradient; views that shared storage each have their own.
"""

import sys
from collections.abc import Mapping
from typing import Any, Literal

_WIDE = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
#: Written in their own dtype, readable by any safetensors program.
_PLAIN_DTYPES = frozenset((*_WIDE, "float8_e4m3fn", "float8_e5m2"))
_RARE = ("complex64", "complex128", "uint16", "uint32", "uint64")
#: Written as raw bytes, because not every release of safetensors knows them.
_RAW_DTYPES = frozenset((*_RARE, "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"))
_TORCH_DTYPES = _PLAIN_DTYPES | _RAW_DTYPES
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


def save_blob(values: Mapping[str, Any]) -> bytes:
    """A safetensors file of tensors, arrays, bytes and texts (UTF-8), the latter two as uint8 tensors."""
    torch = sys.modules.get("torch")
    if torch is None or not any(type(value) is torch.Tensor for value in values.values()):
        from safetensors.numpy import save as save_arrays  # imports numpy: only needed for blobs

        return save_arrays({name: _as_numpy(value) for name, value in values.items()})
    from safetensors.torch import save as save_tensors  # imports torch, which is there already

    tensors: dict[str, Any] = {}
    storages: set[int] = set()
    for name, value in values.items():
        tensor = _as_torch(value) if type(value) is torch.Tensor else torch.from_numpy(_as_numpy(value))
        storage = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if storage in storages else tensor  # safetensors refuses shared storage
        storages.add(storage)
    return save_tensors(tensors)


def _as_torch(tensor: Any) -> Any:
    dense = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    if str(dense.dtype).removeprefix("torch.") in _PLAIN_DTYPES:
        return dense
    return dense.reshape(-1).view(sys.modules["torch"].uint8)


def _as_numpy(value: Any) -> Any:
    import numpy  # where there is a blob there is an array, or a text too long for the structure

    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return numpy.frombuffer(bytearray(value), numpy.uint8)
    array = numpy.array(value, order="C")  # a copy: writable, as torch wants it
    if array.dtype.isnative and array.dtype.name in _PLAIN_DTYPES:
        return array
    return array.reshape(-1).view(numpy.uint8)


def load_blob(blob: bytes) -> dict[str, Any]:
    """The raw tensors of a safetensors file by name, each with its bytes under "data".

    Raises:
        ValueError: it is none, or damaged.
    """
    from safetensors import SafetensorError, deserialize  # a compiled package: only needed for blobs

    try:
        return dict(deserialize(blob))  # type: ignore[no-untyped-call]  # its stub has no annotations
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def restore_array(tag: str, data: bytearray, dtype: str, shape: list[Any]) -> Any:
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


def _torch_tensor(data: bytearray, dtype: str, shape: list[int]) -> Any:
    import torch  # only entries with tensors need it

    if not data:
        return torch.empty(0, dtype=getattr(torch, dtype)).reshape(shape)
    return torch.frombuffer(data, dtype=getattr(torch, dtype)).reshape(shape)


def _numpy_array(data: bytearray, dtype: str, shape: list[int]) -> Any:
    import numpy  # only entries with arrays need it

    kind = numpy.dtype(dtype)
    if kind.kind not in _NUMPY_KINDS:
        raise ValueError(f"numpy dtype {dtype}")
    return numpy.frombuffer(data, kind).reshape(shape) if data else numpy.empty(0, kind).reshape(shape)
