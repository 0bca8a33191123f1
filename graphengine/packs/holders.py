"""Which modules of a pack hold something that others of it made: a class in a table, an object in a cache."""

import gc
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

_MOST_OBJECTS = 200_000
#: Where the types are from whose objects are looked into; others, as tensors, hold nothing of a pack.
_TRANSPARENT = frozenset({"builtins", "collections", "functools", "types"})
_PLAIN = frozenset({bool, bytes, float, int, str, type(None)})


def holders(kept: Mapping[str, ModuleType], gone: Mapping[str, ModuleType]) -> set[str] | None:
    """The names of the modules of `kept` from which something made by the modules of `gone` can be reached.

    None when there is too much to look at. Modules that one of them imports are not looked into: imports are known
    from the text.
    """
    look = _Look(set(kept), set(gone), {id(module) for module in gone.values()})
    found = {name for name, module in kept.items() if gone and look.reaches(name, module)}
    return None if look.left <= 0 else found


class _Look:
    def __init__(self, kept: set[str], gone: set[str], modules: set[int]) -> None:
        self.kept, self.gone, self.modules = kept, gone, modules
        self.left = _MOST_OBJECTS

    def reaches(self, name: str, module: ModuleType) -> bool:
        """Whether anything that the module's names stand for was made by a module that goes."""
        seen = {id(vars(module))}
        waiting = [value for key, value in vars(module).items() if not _is_set_by_import(name, key, value)]
        while waiting and self.left > 0:
            value = waiting.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            self.left -= 1
            if id(value) in self.modules or _maker(value) in self.gone:
                return True
            waiting.extend(part for part in self._parts(value) if type(part) not in _PLAIN)
        return False

    # Any: it may be anything.
    def _parts(self, value: Any) -> list[object]:
        """What a value holds, if it is one to look into."""
        kind = type(value)
        if issubclass(kind, FunctionType):  # its globals are those of its module, which has its own turn
            kept = _maker(value) in self.kept
            return [value.__closure__, value.__defaults__, value.__kwdefaults__, vars(value)] if kept else []
        if issubclass(kind, type):
            return gc.get_referents(value) if _maker(value) in self.kept else []
        transparent = kind.__module__ in _TRANSPARENT or kind.__module__ in self.kept
        return gc.get_referents(value) if transparent and not issubclass(kind, ModuleType) else []


def _is_set_by_import(name: str, key: str, value: object) -> bool:
    """Whether the import system made an entry of a module: what it is, and the modules below a package."""
    if key.startswith("__") and key.endswith("__"):
        return True
    return isinstance(value, ModuleType) and value.__name__ == f"{name}.{key}"


# Any: as above; classes and functions say who made them.
def _maker(value: Any) -> str:
    """The module that made a class, a function, or the class of an object."""
    kind = type(value)
    made = value.__module__ if issubclass(kind, type | FunctionType) else kind.__module__
    return made if isinstance(made, str) else ""
