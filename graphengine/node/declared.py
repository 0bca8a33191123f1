"""What a node class says about its results: may they be kept, do they follow from its inputs, which files count.

A class says it in three attributes; a pack says it for all its classes at once in `GRAPHENGINE_DECLARES`:

* `CACHEABLE`: whether what it gives may be kept for the next run;
* `PURE`: whether what it gives follows from its code, its inputs and the files they name, and nothing else;
* `READS_FILES`: names of its inputs whose text is the path of a file or folder that it reads. Inputs that are
  declared by `Files` count in any case.

A class that says nothing, as those of ComfyUI do, is cacheable and pure. Since nobody said which files it reads,
its texts are looked at: see `execution.named_files`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphengine.errors import PackError

#: Attribute of a pack's module: what holds for those of its classes that do not say otherwise.
DECLARES = "GRAPHENGINE_DECLARES"

_FLAGS = ("CACHEABLE", "PURE")
_FILES = "READS_FILES"
_NAMES = (*_FLAGS, _FILES)


@dataclass(frozen=True, slots=True)
class Declared:
    """What is declared of a class; `is_declared` tells whether nothing was left to be assumed."""

    cacheable: bool = True
    pure: bool = True
    reads_files: tuple[str, ...] = ()
    is_declared: bool = False


# Any throughout: a class and a pack are their author's, and only reading them tells what is there.


def pack_defaults(module: object) -> Mapping[str, Any]:
    """What a pack declares for all its classes.

    Raises:
        PackError: it is no mapping, or names what no class declares.
    """
    declared = getattr(module, DECLARES, None)
    if declared is None:
        return {}
    if not isinstance(declared, Mapping):
        raise PackError(f"{DECLARES} is {declared!r}", hint=f"it maps {_listed(_NAMES)} to values")
    unknown = sorted(str(name) for name in declared if name not in _NAMES)
    if unknown:
        raise PackError(f"{DECLARES} names {_listed(unknown)}", hint=f"it may name {_listed(_NAMES)}")
    return declared


def read_declared(class_type: str, node_class: type[Any], defaults: Mapping[str, Any]) -> Declared:
    """What the class says, else its pack.

    Raises:
        PackError: a value is not of the expected form.
    """
    given = {name: getattr(node_class, name, defaults.get(name)) for name in _NAMES}
    for name in _FLAGS:
        if not (given[name] is None or isinstance(given[name], bool)):
            raise PackError(f"{name} of node class {class_type!r} is {given[name]!r}", hint="write True or False")
    return Declared(
        cacheable=given["CACHEABLE"] is not False,
        pure=given["PURE"] is not False,
        reads_files=_input_names(class_type, given[_FILES]),
        is_declared=None not in given.values(),
    )


def _input_names(class_type: str, given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, list | tuple) and all(isinstance(name, str) for name in given):
        return tuple(given)
    raise PackError(
        f"{_FILES} of node class {class_type!r} is {given!r}",
        hint="list names of inputs; a tuple of one needs a comma",
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
