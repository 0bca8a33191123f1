"""The modules of a pack that are imported: which of them an edit makes outdated, letting go, and putting back.

What is outdated: a module whose file changed; one that imports it, inside functions too; one behind whose names
an outdated module may have changed something (a table in which it enters its classes, a cache that it fills); one
that holds anything that an outdated module made; one that may notice the classes of others. All other modules stay
as they are, with what they keep: a loaded model, for instance.
"""

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from types import ModuleType

# Any: modules hold values of all types.
from typing import Any

from graphengine.packs.code import CodeOfPack
from graphengine.packs.discover import Pack, import_names
from graphengine.packs.holders import holders
from graphengine.packs.modules import PackLoader
from graphengine.packs.source import PackSource, is_source

#: Attribute of the module of a pack: its source when it was imported.
SOURCE = "__graphengine_source__"

Modules = Mapping[str, ModuleType]


def known_source(pack: Pack) -> PackSource | None:
    """The source that a pack was imported from, None when it was not."""
    source = getattr(sys.modules.get(pack.module), SOURCE, None)
    return source if isinstance(source, PackSource) else None


def modules_of(pack: Pack) -> Modules:
    """The imported modules of a custom pack by name: those below its own, and others that are files of it.

    A pack may find its files on a path of its own, under names that do not tell. What others imported before, as
    pytest does in the folder of a pack, is not counted.
    """
    roots = _roots(pack)
    return {
        name: module
        for name, module in list(sys.modules.items())
        if _is_below(name, pack) or _file_in(module, roots) is not None
    }


@dataclass(frozen=True, slots=True)
class Outdated:
    """The names of modules that an edit makes outdated, and of those among them that nobody imports any more."""

    names: Collection[str]
    orphaned: Collection[str] = ()


def outdated(pack: Pack, before: PackSource, now: PackSource) -> Outdated:
    """What is outdated of a pack that was imported from the source `before`."""
    modules = modules_of(pack)
    roots = _roots(pack)
    places = {name: _place(name, module, pack, roots) for name, module in modules.items()}
    edit = _Edit(before, now, import_names(pack))
    reached = edit.changed | edit.touched_before | edit.orphaned
    lonely = {_dotted(file) for file in edit.orphaned}
    orphaned = {name for name, place in places.items() if place in lonely}
    while True:
        reached = edit.spread(reached)
        touched = {_dotted(file) for file in reached}
        names = {name for name, place in places.items() if place in touched}
        held = holders({name: modules[name] for name in modules.keys() - names}, {n: modules[n] for n in names})
        if held is None:
            return Outdated(set(modules), orphaned)
        if not held:
            return Outdated(names, orphaned)
        touched = {places[name] for name in held}
        reached |= {file for file in edit.every if _dotted(file) in touched}


@dataclass(frozen=True)
class _Edit:
    """What changed in the files of a pack. `names` are those that the pack is imported by."""

    before: PackSource
    now: PackSource
    names: tuple[str, ...]

    @cached_property
    def code(self) -> CodeOfPack:
        """The code of all files, those that are gone too."""
        return CodeOfPack(PackSource(self.now.root, {**self.before.files, **self.now.files}), self.names)

    @cached_property
    def code_before(self) -> CodeOfPack:
        """The code as it was; what is not known of it counts as the worst."""
        return CodeOfPack(PackSource(self.now.root, {**self.now.files, **self.before.files}), self.names)

    @cached_property
    def touched_before(self) -> set[str]:
        """The files behind what the changed ones changed in others, as far as they said it before."""
        edited = self.changed & self.before.files.keys()
        return {touched for file in edited for touched in self.code_before.touched_by(file)}

    @cached_property
    def orphaned(self) -> set[str]:
        """The files that the first one of the pack, and what it imports, imported before and do not import now."""
        first = "__init__.py" if self.now.root.is_dir() else self.now.root.name
        if first not in self.before.files or first not in self.now.files:
            return set()
        return set(self.code_before.closure(first) - self.code.closure(first))

    @cached_property
    def every(self) -> frozenset[str]:
        """The files of before and of now."""
        return frozenset(self.before.files.keys() | self.now.files.keys())

    @cached_property
    def changed(self) -> set[str]:
        """Those that came, went or are not as before, and others that stand for the same module as one of them."""
        places = {_dotted(file) for file in self.every if self.before.files.get(file) != self.now.files.get(file)}
        return {file for file in self.every if _dotted(file) in places}

    @cached_property
    def importers(self) -> Mapping[str, set[str]]:
        """The files that import a file. What is gone is not read: it is outdated in any case."""
        found: dict[str, set[str]] = {}
        for file in self.now.files:
            imports = self.code.imports_of(file)
            for imported in self.every if imports is None else imports:
                found.setdefault(imported, set()).add(file)
        return found

    def spread(self, files: Collection[str]) -> set[str]:
        """These files, and all whose modules they make outdated."""
        found: set[str] = set()
        waiting = [*files, *(file for file in self.now.files if self.code.gathers(file))]
        while waiting:
            file = waiting.pop()
            if file in found:
                continue
            found.add(file)
            waiting.extend(self.importers.get(file, ()))
            if file in self.now.files:
                waiting.extend(self.code.touched_by(file))
        return found


@dataclass(frozen=True, slots=True)
class Imported:
    """What is imported of a pack at one moment, to be put back when an import fails.

    `attributes` are what importing set in its modules: the modules below a package, the source of the pack.
    """

    pack: Pack
    modules: Modules
    attributes: Mapping[str, Mapping[str, Any]]

    @classmethod
    def now(cls, pack: Pack) -> "Imported":
        """What is imported now."""
        modules = modules_of(pack)
        return cls(pack, modules, {name: dict(_set_by_import(name, module)) for name, module in modules.items()})

    def let_go(self, names: Collection[str]) -> Modules:
        """Have the next import of these modules run them anew; gives the others, to be found meanwhile."""
        for name, module in self.modules.items():
            sys.modules.pop(name, None)
            package, _, last = name.rpartition(".")
            around = self.modules.get(package)
            if name in names and around is not None and vars(around).get(last) is module:
                delattr(around, last)  # or `from . import name` goes on to find it
        return {name: module for name, module in self.modules.items() if name not in names}

    def put_back(self) -> None:
        """Forget what was imported since, and use the modules of then."""
        for name in modules_of(self.pack):
            del sys.modules[name]
        sys.modules.update(self.modules)
        for name, module in self.modules.items():
            for attribute in dict(_set_by_import(name, module)):
                delattr(module, attribute)
            vars(module).update(self.attributes[name])


def _set_by_import(name: str, module: ModuleType) -> Iterator[tuple[str, Any]]:
    for attribute, value in vars(module).items():
        below = isinstance(value, ModuleType) and value.__name__ == f"{name}.{attribute}"
        if below or attribute == SOURCE:
            yield attribute, value


def _is_below(name: str, pack: Pack) -> bool:
    return name == pack.module or name.startswith(f"{pack.module}.")


def _place(name: str, module: ModuleType, pack: Pack, roots: tuple[str, ...]) -> str:
    """The module below the pack that an imported one is."""
    if _is_below(name, pack) and (pack.path is None or pack.path.is_dir()):
        return name[len(pack.module) + 1 :]
    return _dotted(_file_in(module, roots) or "")


def _dotted(file: str) -> str:
    """The module that a file stands for, below the pack: "sub" for `sub.py` and `sub/__init__.py`."""
    path = PurePosixPath(file)
    stem = path.name.partition(".")[0]
    return ".".join(path.parent.parts if stem == "__init__" else (*path.parent.parts, stem))


def _roots(pack: Pack) -> tuple[str, ...]:
    """The paths of the pack, as given and where links lead."""
    return () if pack.path is None else tuple({os.path.abspath(pack.path), os.path.realpath(pack.path)})


def _file_in(module: object, roots: tuple[str, ...]) -> str | None:
    """The file of a module, relative to the pack, or its name when the pack is that file; None for others."""
    if not isinstance(module, ModuleType) or not isinstance(vars(module).get("__loader__"), PackLoader):
        return None
    file = vars(module).get("__file__")
    if not isinstance(file, str) or not file.startswith(roots or ("\0",)):
        return None
    if file in roots:
        return os.path.basename(file)
    inside = next((file[len(root) + 1 :] for root in roots if file.startswith(root + os.sep)), None)
    if inside is None or not is_source(inside):
        return None
    return inside.replace(os.sep, "/")
