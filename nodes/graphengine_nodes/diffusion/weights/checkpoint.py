"""Model files: what they hold, read and checked, and their tensors, memory-mapped.

The format (https://github.com/huggingface/safetensors) is eight bytes with the length of the header, the header as
JSON (name → dtype, shape, offsets), then the data. Reading the header tells every name and shape, so the kind of a
model is known before any weight is touched. The data is mapped, not read: a tensor costs memory when it is used,
and `Checkpoint.release` gives that memory back once a copy was made. Files of `torch.save` are read alike, without
running anything in them (torch_files.py). The module imports without torch.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from graphengine.node.api import ModelError

from .tensor_info import DTYPES, TensorInfo
from .torch_files import is_torch_file, read_torch_file

__all__ = ["DTYPES", "Checkpoint", "TensorInfo", "open_checkpoint"]

if TYPE_CHECKING:
    from torch import Tensor

_HEADER_LIMIT = 100_000_000  # the limit of the reference implementation
_LARGEST = 2**62  # far above any file; keeps the arithmetic of a hostile header small


@dataclass(frozen=True)
class Checkpoint:
    """An opened model file: what its header says, and its tensors on demand."""

    path: Path
    entries: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict)
    state: tuple[int, ...] = ()  # device, inode, size and times of the file when it was opened

    def part(self, *prefixes: str) -> dict[str, TensorInfo]:
        """The entries under any of the prefixes, named without it."""
        return {
            name.removeprefix(prefix): info
            for name, info in self.entries.items()
            for prefix in prefixes
            if name.startswith(prefix)
        }

    def tensor(self, info: TensorInfo) -> Tensor:
        """The tensor, a view into the mapped file; treat it as read-only."""
        import torch  # heavy: only needed once weights are used

        dtype = getattr(torch, DTYPES[info.dtype][1])
        count = prod(info.shape)
        if count == 0:
            return torch.empty(info.shape, dtype=dtype)
        size = DTYPES[info.dtype][0]
        if info.start % size:  # old writers did not align the data
            copied = bytearray(self._mapped[info.start : info.end])
            numbers = torch.frombuffer(copied, dtype=dtype)
        else:
            stored = (info.end - info.start) // size
            numbers = torch.frombuffer(self._mapped, dtype=dtype, count=stored, offset=info.start)
        return numbers.view(info.shape) if info.strides is None else numbers.as_strided(info.shape, info.strides)

    def place(self, address: int) -> tuple[int, ...] | None:
        """Which bytes of which state of a file lie at a memory address; None when they are not of this file."""
        if "_mapped" not in self.__dict__ or not self.state:
            return None
        offset = address - self._start
        return (*self.state, offset) if 0 <= offset < len(self._mapped) else None

    @cached_property
    def _start(self) -> int:
        """The address of the first mapped byte."""
        import torch  # heavy: only needed once weights are used

        return torch.frombuffer(self._mapped, dtype=torch.uint8, count=1).data_ptr()

    def release(self) -> None:
        """Give back the memory of pages that were read; tensors stay valid and are read again when used."""
        if "_mapped" in self.__dict__ and sys.platform == "linux":
            self._mapped.madvise(mmap.MADV_DONTNEED)

    @cached_property
    def _mapped(self) -> mmap.mmap:
        # ACCESS_COPY: torch wants writable memory; a write would go to a private page, never to the file.
        try:
            with self.path.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except OSError as error:
            raise _error(self.path, f"cannot be mapped: {error.strerror}") from error


def open_checkpoint(path: Path) -> Checkpoint:
    """Read and check the header of a safetensors file, or what a file of `torch.save` says of itself.

    Which of them it is follows from its first bytes. metadata of the latter: its plain values, such as "step".

    Raises:
        ModelError: the file is missing, in no such format, or shorter than it says.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            size = status.st_size
            start = file.read(512)
            state = (status.st_dev, status.st_ino, size, status.st_mtime_ns, status.st_ctime_ns)
            # a header of 640 bytes and others begin as pickles do, but then comes a brace
            if is_torch_file(start) and start[8:9] != b"{":
                return Checkpoint(path, *read_torch_file(path), state)
            _refuse_other_formats(path, start)
            length = _header_length(path, start, size)
            file.seek(8)
            header = file.read(length)
    except OSError as error:
        raise _error(path, f"cannot be read: {error.strerror}") from error
    fields = _parse(path, header)
    metadata = fields.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _error(path, "is not a safetensors file: its metadata is no table")
    entries = {name: _entry(path, name, value, 8 + length) for name, value in fields.items()}
    _check_extent(path, entries, 8 + length, size)
    return Checkpoint(path, entries, {str(key): str(value) for key, value in metadata.items()}, state)


def _refuse_other_formats(path: Path, start: bytes) -> None:
    if start.startswith(b"version https://git-lfs"):
        raise _error(path, "is a Git LFS pointer, not the model itself", "run `git lfs pull` or download the file")
    if start.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise _error(path, "is a web page, not a model", "the download failed; some sites want a login first")
    if start.startswith(b"GGUF"):
        raise _error(path, "is a GGUF file, which is not supported", "use the .safetensors version of the model")


def _header_length(path: Path, start: bytes, size: int) -> int:
    if size < 10:
        raise _error(path, f"is not a safetensors file: it has only {size} bytes", _AGAIN)
    length = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or length > _HEADER_LIMIT:
        raise _error(path, "is not a safetensors file", "use a model in the .safetensors format")
    if 8 + length > size:
        raise _error(path, f"is truncated: its header has {length} bytes, the whole file {size}", _AGAIN)
    return length


def _parse(path: Path, header: bytes) -> dict[str, object]:
    try:
        fields = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise _error(path, f"is damaged: its header is not JSON ({error})", _AGAIN) from error
    if not isinstance(fields, dict):
        raise _error(path, "is not a safetensors file: its header is no table")
    return fields


def _entry(path: Path, name: str, value: object, data: int) -> TensorInfo:
    match value:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(end)]}:
            if dtype not in DTYPES:
                raise _error(path, f"holds tensor {name!r} of the unknown type {dtype!r}")
            counts = [count for count in shape if type(count) is int and 0 <= count < _LARGEST]
            if len(counts) == len(shape) and 0 <= start <= end < _LARGEST:
                if prod(counts) * DTYPES[dtype][0] != end - start:
                    raise _error(path, f"is damaged: tensor {name!r} of shape {shape} has {end - start} bytes")
                return TensorInfo(dtype, tuple(counts), data + start, data + end)
    raise _error(path, f"is damaged: the header entry of tensor {name!r} is malformed", _AGAIN)


def _check_extent(path: Path, entries: Mapping[str, TensorInfo], data: int, size: int) -> None:
    if not entries:
        raise _error(path, "holds no tensors")
    needed = max(data, *(info.end for info in entries.values()))
    if needed > size:
        raise _error(path, f"is truncated: it should have {needed} bytes and has {size}", _AGAIN)


_AGAIN = "download or copy the file again"


def _error(path: Path, what: str, hint: str | None = None) -> ModelError:
    return ModelError(f"model file {path.name!r} {what}", hint=hint)
