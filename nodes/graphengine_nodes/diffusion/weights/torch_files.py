"""Files that `torch.save` wrote (`.ckpt`, `.pt`, `.pth`, `.bin`), read as data: nothing in them runs.

Since PyTorch 1.6 such a file is a zip archive: `data.pkl` says what there is, `data/0`, `data/1`, … are the
numbers, uncompressed, so that they can be mapped like those of a safetensors file. Before, it was a row of pickles
with the numbers behind. What the pickles say is found out by torch_program.py, which carries nothing out.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

from graphengine.node.api import ModelError

from .tensor_info import DTYPES, TensorInfo
from .torch_program import Made, Name, ProgramError, Reference, read_program

__all__ = ["TensorInfo", "flattened", "is_torch_file", "read_torch_file", "read_torch_tree"]

_MAGIC = 0x1950A86A20F9469CFC6C
_LARGEST_PROGRAM = 256 * 2**20
_MOST_VALUES = 5_000_000
_DEEPEST = 64
_STORAGES: Mapping[str, str] = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
_TORCH_DTYPES: Mapping[str, str] = {torch_name: name for name, (_, torch_name) in DTYPES.items()}
_TABLES = frozenset({Name("collections", "OrderedDict"), Name("collections", "defaultdict")})
_PARAMETERS = frozenset({"_rebuild_parameter", "_rebuild_parameter_with_state"})
_TENSORS = frozenset({"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"})

# What zipfile and the reading of programs raise about bytes that are no archive or no program.
_DAMAGES = (zipfile.BadZipFile, ValueError, EOFError, KeyError, IndexError, OverflowError, RuntimeError)

#: Where the numbers of a storage lie: its key → (first byte, number of bytes).
_Places = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Storage:
    """The numbers that tensors are views of; dtype None for bytes of any kind."""

    dtype: str | None
    key: str


def is_torch_file(start: bytes) -> bool:
    """Whether a file that starts so may be one: a zip archive or a pickle."""
    pickled = len(start) > 1 and start[0] == 0x80 and start[1] in range(2, 6)
    return start.startswith(b"PK\x03\x04") or pickled


def read_torch_file(path: Path) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """The tensors of the file by name, as `flattened` names them, and its other values at the top, as texts.

    Offsets are those in the file.

    Raises:
        ModelError: the file is damaged, compressed, or holds no tensors.
    """
    tree = read_torch_tree(path)
    entries = dict(flattened(path, tree))
    if not entries:
        raise _error(path, "holds no tensors")
    plain = tree.items() if isinstance(tree, dict) else ()
    return entries, {str(key): str(value) for key, value in plain if isinstance(value, str | int | float)}


def read_torch_tree(path: Path) -> Any:
    """What was saved: tables, lists and plain values, with a `TensorInfo` for each tensor and `Made` for the rest.

    Raises:
        ModelError: the file is damaged or compressed.
    """
    try:
        with path.open("rb") as file:
            read = _read_archive if file.peek(4)[:4] == b"PK\x03\x04" else _read_row
            return read(path, file)
    except OSError as error:
        raise _error(path, f"cannot be read: {error.strerror}") from error
    except _DAMAGES as error:
        raise _error(path, f"is not what torch.save writes: {error or 'it ends too early'}") from error


def _read_archive(path: Path, file: IO[bytes]) -> Any:
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        program = next((member for name, member in members.items() if name.endswith("/data.pkl")), None)
        if program is None:
            raise _error(path, "is a zip archive without the data.pkl that torch.save writes")
        if program.file_size > _LARGEST_PROGRAM:
            raise _error(path, f"has a data.pkl of {program.file_size} bytes, more than any model needs")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
            raise _error(
                path, "is compressed, which torch.save does not do", "unpack it with the tool that packed it"
            )
        folder = program.filename.removesuffix("data.pkl")
        order = members.get(f"{folder}byteorder")
        if order is not None and archive.read(order).strip() != b"little":
            raise _error(path, "was saved on a machine with another byte order")
        with archive.open(program) as source:
            made = read_program(source)
    places = {
        name.removeprefix(f"{folder}data/"): (_data_start(path, file, member), member.file_size)
        for name, member in members.items()
        if name.startswith(f"{folder}data/")
    }
    return _Tree(path, places).of(made)


def _data_start(path: Path, file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin: behind its own header, which has a length of its own."""
    file.seek(member.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise _error(path, f"is damaged at its member {member.filename!r}")
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    start = member.header_offset + 30 + names
    if start + member.file_size > path.stat().st_size:
        raise _error(path, f"is damaged at its member {member.filename!r}")
    return start


def _read_row(path: Path, file: IO[bytes]) -> Any:
    """The format before PyTorch 1.6: magic number, version, system, the object, the keys, then the numbers."""
    if read_program(file) != _MAGIC:
        raise _error(path, "is a pickle, but not one of torch.save")
    read_program(file)
    system = read_program(file)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise _error(path, "was saved on a machine with another byte order")
    made, keys = read_program(file), read_program(file)
    if not isinstance(keys, list):
        raise _error(path, "is damaged: it does not say which storages it has")
    # The numbers come in the order of the keys, each after its count; how large one is only the object says.
    sizes = {storage.key: DTYPES[storage.dtype][0] for storage in _storages(made) if storage.dtype}
    end, places = path.stat().st_size, {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little", signed=True)
        length = count * sizes.get(str(key), 1)
        start = file.tell()
        if count < 0 or start + length > end:
            raise _error(path, "is truncated", "download or copy the file again")
        places[str(key)] = (start, length)
        file.seek(length, 1)
    return _Tree(path, places).of(made)


def _storages(made: Any) -> Iterator[_Storage]:
    """Every storage that is spoken of."""
    waiting, seen, left = [made], set[int](), _MOST_VALUES
    while waiting:
        left -= 1
        if left < 0:
            raise ProgramError("it holds too many values")
        value = waiting.pop()
        if isinstance(value, Reference):
            yield _storage(value)
        elif isinstance(value, dict | list | tuple | Made) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(_parts(value))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Made):
        return [*value.arguments, *value.items.values()]
    return list(value.values()) if isinstance(value, dict) else list(value)


def _storage(reference: Reference) -> _Storage:
    match reference.identity:
        case ("storage", Name(_, kind), key, _, _, *_):
            if kind not in _STORAGES and kind != "UntypedStorage":
                raise ProgramError(f"it holds a {kind}, which is not known")
            return _Storage(_STORAGES.get(kind), str(key))
    raise ProgramError("it speaks of something outside that is no storage")


class _Tree:
    """Turns what a program would make into tables, lists, plain values and the places of tensors."""

    def __init__(self, path: Path, places: _Places) -> None:
        self.path = path
        self.places = places
        self._left = _MOST_VALUES
        self._known: dict[int, Any] = {}

    def of(self, made: Any, depth: int = 0) -> Any:
        """The value, in which what occurs twice is one."""
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise ProgramError("it is nested too deeply, or holds too many values")
        if not isinstance(made, dict | list | tuple | Made):
            return made
        if id(made) not in self._known:
            self._known[id(made)] = None  # a value that holds itself holds nothing there
            self._known[id(made)] = self._made(made, depth) if isinstance(made, Made) else self._held(made, depth)
        return self._known[id(made)]

    def _held(self, made: Any, depth: int) -> Any:
        if isinstance(made, dict):
            return {key: self.of(value, depth + 1) for key, value in made.items()}
        return type(made)(self.of(value, depth + 1) for value in made)

    def _made(self, made: Made, depth: int) -> Any:
        if made.by in _TABLES:
            pairs = made.arguments[0] if made.arguments and isinstance(made.arguments[0], list) else []
            table = {key: value for key, value in pairs if isinstance(key, str | int)}
            return self._held({**table, **made.items}, depth)
        if isinstance(made.by, Name) and made.by.module == "torch._utils":
            if made.by.name in _PARAMETERS:
                return self.of(made.arguments[0], depth + 1)
            if made.by.name in _TENSORS:
                return self._tensor(made.by.name, made.arguments)
        if made.by == Name("torch", "Size"):
            return tuple(made.arguments[0])
        # Some object: what it holds may be tensors, as when a whole module was saved.
        made.items = self._held(made.items, depth)
        return made

    def _tensor(self, how: str, arguments: tuple[Any, ...]) -> TensorInfo:
        match arguments:
            case (Reference() as reference, int(offset), tuple(shape), tuple(strides), *more):
                storage = _storage(reference)
            case _:
                raise ProgramError("it describes a tensor in an unknown way")
        dtype = _dtype(more[2]) if how == "_rebuild_tensor_v3" and len(more) > 2 else storage.dtype
        sizes = (*shape, *strides, offset)
        if (
            dtype is None
            or len(shape) != len(strides)
            or not all(type(n) is int and 0 <= n < 2**62 for n in sizes)
        ):
            raise ProgramError("it describes a tensor in an unknown way")
        if storage.key not in self.places:
            raise _error(self.path, f"lacks the numbers {storage.key!r} of a tensor", "download the file again")
        start, length = self.places[storage.key]
        size = DTYPES[dtype][0]
        last = (
            offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True)) if prod(shape) else -1
        )
        if (last + 1) * size > length:
            raise _error(self.path, "is damaged: a tensor is larger than the numbers it has")
        begin = start + offset * size
        contiguous = strides == _contiguous(shape) or not prod(shape)
        end = begin + (prod(shape) if contiguous else last + 1 - offset) * size
        return TensorInfo(dtype, shape, begin, end, None if contiguous else strides)


def _dtype(value: Any) -> str | None:
    return _TORCH_DTYPES.get(value.name) if isinstance(value, Name) and value.module == "torch" else None


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose numbers lie in order; a side of 1 may have any."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * max(size, 1))
    return tuple(reversed(strides)) if shape else ()


def flattened(path: Path, tree: Any) -> Iterator[tuple[str, TensorInfo]]:
    """Each tensor of a tree with its name: the keys on the way to it, joined by dots.

    The tables `state_dict` and `model_state_dict`, which trainers put around a model, are left out of names. A
    table that occurs twice is taken once.

    Raises:
        ModelError: two tensors have one name.
    """
    names, tables = set[str](), set[int]()
    waiting: list[tuple[str, Any]] = [("", tree)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, TensorInfo):
            if name in names:
                raise _error(path, f"holds two tensors of the name {name!r}")
            names.add(name)
            yield name, value
        elif id(value) not in tables:
            tables.add(id(value))
            parts = [(_joined(name, key), part) for key, part in _named_parts(value)]
            waiting.extend(reversed(parts))


_AROUND: Callable[[str], bool] = frozenset({"state_dict", "model_state_dict"}).__contains__


def _joined(name: str, key: object) -> str:
    own = "" if not name and _AROUND(str(key)) else str(key)
    return f"{name}.{own}" if name and own else name or own


def _named_parts(value: Any) -> list[tuple[object, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, Made):
        return list(value.items.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []


def _error(path: Path, what: str, hint: str | None = None) -> ModelError:
    return ModelError(f"model file {path.name!r} {what}", hint=hint or "use the .safetensors version of the model")
