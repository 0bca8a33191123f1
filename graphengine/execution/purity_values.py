"""Copies of what nodes give each other, and what differs between two values of a kind.

Containers, tensors, arrays, pictures, dataclasses, functions and the weights of torch modules are looked into. Any
other object counts as equal when it is the same or says so itself; when it does not say, it is not compared, and
its type told.
"""

import dataclasses
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import BuiltinMethodType, CellType, FunctionType, MappingProxyType, MethodType, NoneType
from typing import Any

_MAX_PARTS = 1_000_000
_SHOWN = 3  # differences that a person wants to read
_PLAIN = (NoneType, bool, int, str, bytes)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs, each with its place, the first few; and the types of objects that were not compared."""

    differences: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


# Any throughout: nodes give each other whatever they like.
def copy_value(root: Any) -> Any:
    """The value with its lists, dicts, tuples, tensors, arrays and pictures copied; other objects are shared.

    What occurs twice is copied once.
    """
    copies: dict[int, Any] = {}
    stack = [(root, False)]
    while stack:
        value, is_filled = stack.pop()
        kind = type(value)
        if id(value) in copies and not is_filled:
            continue
        if kind is list or kind is dict:
            if is_filled:
                _fill(value, copies)
                continue
            copies[id(value)] = kind()
        elif kind is not tuple:
            copies[id(value)] = _copy_of_leaf(value)
            continue
        elif is_filled:
            copies[id(value)] = tuple(copies.get(id(member), member) for member in value)
            continue
        stack.append((value, True))
        stack.extend((member, False) for member in (value.values() if kind is dict else value))
    return copies[id(root)]


def _fill(value: Any, copies: dict[int, Any]) -> None:
    target = copies[id(value)]
    if type(value) is dict:
        target.update((name, copies.get(id(member), member)) for name, member in value.items())
    else:
        target.extend(copies.get(id(member), member) for member in value)


def _copy_of_leaf(value: Any) -> Any:
    if _is_a(value, "torch", "Tensor") and type(value).__name__ == "Tensor":  # not of subclasses: they hold more
        return value.detach().clone()
    if _is_a(value, "numpy", "ndarray") or _is_a(value, "PIL.Image", "Image"):
        return value.copy()
    return value


def _is_a(value: Any, module: str, name: str) -> bool:
    """Whether a value is of a class whose module is imported; if it is not, there are no such values."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, name))


def compare(first: Any, second: Any, tolerance: float = 0.0) -> Comparison:
    """What differs between two values.

    Numbers may differ by `tolerance`: in tensors and arrays times the standard deviation, in floats times their
    size. Without a tolerance, each byte counts.
    """
    differences: list[str] = []
    unknown: dict[str, None] = {}
    seen: dict[tuple[int, int], object] = {}  # holds both: the id of a value that is gone may be given again
    stack: list[tuple[str, Any, Any]] = [("", first, second)]
    while stack and len(differences) < _SHOWN:
        place, one, other = stack.pop()
        if one is other or (id(one), id(other)) in seen:
            continue
        seen[id(one), id(other)] = (one, other)
        if len(seen) > _MAX_PARTS:
            unknown["more than a million parts"] = None
            break
        found = _difference(place, one, other, tolerance)
        if isinstance(found, str):
            differences.append(f"{place}: {found}" if place else found)
        elif found is NotImplemented:
            unknown[type(one).__qualname__] = None
        elif found is not None:
            stack.extend(reversed(list(found)))
    return Comparison(tuple(differences), tuple(unknown))


_Parts = Iterator[tuple[str, Any, Any]]


def _difference(place: str, one: Any, other: Any, tolerance: float) -> Any:
    """What differs, as a text; None when nothing does; the parts to compare; or NotImplemented."""
    kind = type(one)
    if kind is not type(other):
        return f"is {kind.__qualname__}, then {type(other).__qualname__}"
    if kind in _PLAIN:
        return None if one == other else f"is {_short(one)}, then {_short(other)}"
    if (of_type := _TYPES.get(kind)) is not None:
        return of_type(place, one, other, tolerance)
    for module, name, of_kind in _KINDS:
        if _is_a(one, module, name):
            return of_kind(place, one, other, tolerance)
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return ((f"{place}.{name}", getattr(one, name, None), getattr(other, name, None)) for name in names)
    return _of_objects(one, other)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _of_floats(place: str, one: float, other: float, tolerance: float) -> str | None:
    if one.hex() == other.hex() or (math.isfinite(one) and abs(one - other) <= tolerance * abs(one) > 0):
        return None
    return f"is {one!r}, then {other!r}"


def _members(place: str, one: Any, other: Any, tolerance: float) -> str | _Parts:
    if len(one) != len(other):
        return f"has {len(one)} members, then {len(other)}"
    return ((f"{place}[{index}]", *pair) for index, pair in enumerate(zip(one, other, strict=True)))


def _entries(place: str, one: Mapping[Any, Any], other: Mapping[Any, Any], tolerance: float) -> str | _Parts:
    only = [name for name in one if name not in other] + [name for name in other if name not in one]
    if only:
        return f"has {_short(only[0])} in one call alone"
    return ((f"{place}[{_short(name)}]", value, other[name]) for name, value in one.items())


def _of_partials(place: str, one: Any, other: Any, tolerance: float) -> _Parts:
    return iter([(place, (one.func, one.args, one.keywords), (other.func, other.args, other.keywords))])


def _of_methods(place: str, one: Any, other: Any, tolerance: float) -> _Parts:
    return iter([(place, (one.__func__, one.__self__), (other.__func__, other.__self__))])


def _of_functions(place: str, one: Any, other: Any, tolerance: float) -> Any:
    """Functions of the same code differ in what they were made with."""
    if one.__code__ is not other.__code__:
        return NotImplemented
    return iter([(f"{place} {one.__qualname__}()", _made_with(one), _made_with(other))])


def _made_with(function: Any) -> list[Any]:
    filled = [cell for cell in function.__closure__ or () if cell != CellType()]
    return [[cell.cell_contents for cell in filled], function.__defaults__, function.__kwdefaults__]


def _of_objects(one: Any, other: Any) -> Any:
    """What an object of an unknown kind says itself; most say nothing, `object.__eq__` being the identity."""
    kind: Any = type(one)
    if kind.__eq__ is object.__eq__ or kind is BuiltinMethodType:
        return NotImplemented
    try:
        answer = one == other
    except Exception:  # noqa: BLE001 (a node author's __eq__ may raise anything)
        return NotImplemented
    if not isinstance(answer, bool):
        return NotImplemented
    return None if answer else f"is {_short(one)}, then {_short(other)}"


def _of_tensors(place: str, one: Any, other: Any, tolerance: float) -> Any:
    kinds = [f"{tuple(t.shape)} {t.dtype} {t.layout} on {t.device}" for t in (one, other)]
    if kinds[0] != kinds[1]:
        return f"is {kinds[0]}, then {kinds[1]}"
    try:
        return _of_like_tensors(one, other, tolerance)
    except (RuntimeError, TypeError):  # torch has no bytes for it: sparse, quantized, without storage
        return NotImplemented


def _of_like_tensors(one: Any, other: Any, tolerance: float) -> str | None:
    import torch  # a value of it is at hand, so it is imported

    raw = [t.detach().resolve_conj().resolve_neg().contiguous().reshape(-1) for t in (one, other)]
    if torch.equal(*(t.view(torch.uint8) for t in raw)):
        return None
    wide = torch.complex128 if one.is_complex() else torch.float64
    numbers = [t.to("cpu").to(wide).numpy() for t in raw]
    return _of_numbers(numbers[0], numbers[1], tolerance)


def _of_arrays(place: str, one: Any, other: Any, tolerance: float) -> Any:
    if one.dtype != other.dtype or one.shape != other.shape:
        return f"is {one.shape} {one.dtype}, then {other.shape} {other.dtype}"
    if one.dtype.hasobject:
        return NotImplemented
    if one.tobytes() == other.tobytes():
        return None
    if one.dtype.kind not in "biufc":
        return "has other values"
    wide = "complex128" if one.dtype.kind == "c" else "float64"
    return _of_numbers(one.astype(wide), other.astype(wide), tolerance)


def _of_numbers(one: Any, other: Any, tolerance: float) -> str | None:
    """What differs between two arrays of equal shape, in float64 or complex128, whose bytes differ."""
    import numpy as np  # tensors and arrays alone need it

    finite = np.isfinite(one) & np.isfinite(other)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    if (~finite & ~same).any():
        return "is not finite in other places"
    gaps = np.abs(one[finite] - other[finite])
    largest = float(gaps.max(initial=0.0))
    spread = float(one[finite].std()) or float(np.abs(one[finite]).max(initial=0.0)) or 1.0
    if tolerance > 0 and largest <= tolerance * spread:
        return None
    if largest == 0:
        return "has other bytes for equal numbers"
    count = int((gaps > 0).sum())
    return f"{count} of {one.size} numbers differ, by up to {largest:.2g} ({largest / spread:.2g} of their spread)"


def _of_pictures(place: str, one: Any, other: Any, tolerance: float) -> Any:
    if (one.mode, one.size) != (other.mode, other.size):
        return f"is {one.mode} {one.size}, then {other.mode} {other.size}"
    return None if one.tobytes() == other.tobytes() else "has other pixels"


def _of_modules(place: str, one: Any, other: Any, tolerance: float) -> _Parts:
    return iter([(f"{place}.state_dict()", dict(one.state_dict()), dict(other.state_dict()))])


_Compare = Callable[[str, Any, Any, float], Any]

_TYPES: Mapping[type, _Compare] = MappingProxyType(
    {
        float: _of_floats,
        list: _members,
        tuple: _members,
        dict: _entries,
        partial: _of_partials,
        MethodType: _of_methods,
        FunctionType: _of_functions,
    }
)

#: Kinds of values by module and class, which are imported when there is such a value.
_KINDS: tuple[tuple[str, str, _Compare], ...] = (
    ("torch", "Tensor", _of_tensors),
    ("numpy", "ndarray", _of_arrays),
    ("numpy", "generic", _of_arrays),
    ("PIL.Image", "Image", _of_pictures),
    ("torch.nn", "Module", _of_modules),
)
