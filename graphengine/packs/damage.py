"""What a pack changes in the process when it is imported: noticed, and put back where that is safe.

A pack shares its process with the engine and all other packs. What it sets for all of them is of three kinds:
settings with one value (the working directory, a default of torch, a signal's handler), which get their former
value back; entries it adds or exchanges in shared tables (`sys.modules`, `os.environ`, `sys.path`); and functions
of others that it replaces (`patches.py`). What the pack may need for its work stays as it is, and is told.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

# Any: filters of warnings and finders of modules are of kinds of their own.
from typing import Any, cast

from graphengine.packs.patches import Patches, is_below
from graphengine.packs.process_settings import SETTINGS, Setting

logger = logging.getLogger(__name__)

_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is not as it was: what it is, and whether it was put back."""

    what: str
    restored: bool = False

    def __str__(self) -> str:
        return f"{self.what}; it was put back" if self.restored else self.what


# Any: a filter of `warnings` is a tuple of its own kind.
_Filter = tuple[Any, ...]


@dataclass(slots=True)
class ProcessState:
    """The state of the process at one moment.

    `own` are the names that a pack may give its modules, `roots` the paths of its folder or file.
    """

    own: Sequence[str]
    roots: tuple[str, ...]
    modules: dict[str, ModuleType]
    environ: dict[str, str]
    path: list[str]
    finders: list[Any]
    filters: list[_Filter]
    patches: Patches
    settings: list[tuple[Setting, object]] = field(default_factory=list)


def take_state(own: Sequence[str], root: Path, shared: Sequence[str] = ()) -> ProcessState:
    """What the process is like now, in about a millisecond.

    `own` are the names that a pack may give its modules, `root` is its folder or file, `shared` are the packages
    whose functions it may not replace.
    """
    return ProcessState(
        own=own,
        roots=tuple({str(root), str(root.resolve())}),
        modules=dict(sys.modules),
        environ=dict(os.environ),
        path=list(sys.path),
        finders=list(sys.meta_path),
        filters=list(warnings.filters),
        patches=Patches.take(shared),
        settings=[(setting, setting.read()) for setting in SETTINGS],
    )


def undo(before: ProcessState) -> list[Change]:
    """All that is not as it was; what others rely on and the pack does not need is put back."""
    return [
        *_modules(before),  # first: settings are asked for in modules
        *_settings(before),
        *_filters(before),
        *_path(before),
        *_finders(before),
        *_environ(before),
        *(Change(text) for text in before.patches.found(before.roots)),
    ]


def _settings(before: ProcessState) -> Iterator[Change]:
    for setting, value in before.settings:
        now = setting.read()
        if not setting.differs(value, now):
            continue
        restored = setting.restore(value)
        yield Change(f"{setting.name}{setting.told(now)}", restored)


def _modules(before: ProcessState) -> Iterator[Change]:
    """Modules that were exchanged or removed come back; own ones under a name that others may want are told."""
    for name, module in before.modules.items():
        now = sys.modules.get(name)
        if now is module or _is_own(name, before):
            continue
        sys.modules[name] = module
        verb = "removed" if now is None else "replaced"
        yield Change(f"the module {name!r} in sys.modules, which it {verb}", restored=True)
    added = [
        name
        for name in sys.modules.keys() - before.modules.keys()
        if name.isidentifier() and not _is_own(name, before) and _lies_in(sys.modules[name], before.roots)
    ]
    if added:
        yield Change(f"sys.modules: {_listed(added)} of its own under a name that others may import")


def _is_own(name: str, before: ProcessState) -> bool:
    return any(name == own or name.startswith(f"{own}.") for own in before.own)


def _lies_in(module: ModuleType, roots: tuple[str, ...]) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and is_below(file, roots)


def _filters(before: ProcessState) -> Iterator[Change]:
    """Filters that hide warnings of all modules go; those of a package for its own stay."""
    known = {id(entry) for entry in before.filters}
    filters = cast(list[_Filter], warnings.filters)
    broad = [entry for entry in filters if id(entry) not in known and _hides_all(entry)]
    if broad:
        gone = {id(entry) for entry in broad}
        filters[:] = [entry for entry in filters if id(entry) not in gone]
        yield Change(f"the filters of warnings: it ignores {_listed(_category(e) for e in broad)}", restored=True)


def _hides_all(entry: _Filter) -> bool:
    action, message, category, module, line = entry
    general = getattr(category, "__module__", None) == "builtins"
    return action == "ignore" and general and message is None and module is None and not line


def _category(entry: _Filter) -> str:
    return f"every {entry[2].__name__}"


def _path(before: ProcessState) -> Iterator[Change]:
    added = [entry for entry in sys.path if entry not in before.path]
    removed = [entry for entry in before.path if entry not in sys.path]
    if added:
        yield Change(f"sys.path: it adds {_listed(added)}")
    if removed:
        sys.path.extend(removed)
        yield Change(f"sys.path: it removed {_listed(removed)}", restored=True)


def _finders(before: ProcessState) -> Iterator[Change]:
    """Finders that were removed come back, or the stand-ins could not be imported any more."""
    if any(finder not in sys.meta_path for finder in before.finders):
        sys.meta_path[:] = [*before.finders, *(f for f in sys.meta_path if f not in before.finders)]
        yield Change("sys.meta_path: it removed finders of modules", restored=True)


def _environ(before: ProcessState) -> Iterator[Change]:
    """Names only: a value may be a secret."""
    now = dict(os.environ)
    names = [name for name in now.keys() | before.environ.keys() if now.get(name) != before.environ.get(name)]
    if names:
        yield Change(f"os.environ: {_listed(names)}")


def _listed(names: Iterator[str] | Sequence[str] | Mapping[str, object]) -> str:
    every = sorted(set(names))
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
