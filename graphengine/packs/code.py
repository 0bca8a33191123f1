"""Which files compute a node: the file that writes its class, and all that it imports inside the pack.

Where the text does not tell what is imported (`importlib` with a computed name, a class that a function makes),
every file of the pack counts: a needless run is better than a stale picture. A package that a file lies in counts
only when importing it does more than import and define, so that a list of all nodes does not tie them together.
What a node reads besides its code, its class or a module of its code names in `GRAPHENGINE_CODE_FILES`: paths
relative to the folder of the pack.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from graphengine.packs.imports import DATA_FILES, FileFacts, Import, read_facts
from graphengine.packs.source import PackSource

_PACKAGE = "__init__"
_MOST_DATA_FILES = 1000


class LazyTexts(Mapping[str, str]):
    """Texts by name that are made when the first one is asked for."""

    def __init__(self, make: Callable[[], Mapping[str, str]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Mapping[str, str]:
        return self._make()

    def __getitem__(self, name: str) -> str:
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


class CodeOfPack:
    """Tells which files of a pack compute a node. `names` are the dotted names that the pack is imported by."""

    def __init__(self, source: PackSource, names: Iterable[str]) -> None:
        self.source = source
        self._names = tuple(names)
        self._closures: dict[str, frozenset[str]] = {}
        self._imports: dict[str, frozenset[str] | None] = {}
        self._facts: dict[str, FileFacts] = {}
        self._data: dict[str, str] = {}

    # Any: the class is its author's.
    def code_of(self, node: type[Any] | str) -> dict[str, str]:
        """The digests (hex) of the files behind a node class or a module, by path relative to the pack."""
        files = self.files_of(node)
        return {**{file: self.source.files[file] for file in sorted(files)}, **self.data_of(self.data_files(node))}

    @cached_property
    def _modules(self) -> dict[str, str]:
        """The files by the dotted names of their modules, relative to the pack."""
        return dict(_modules(self.source.files))

    @cached_property
    def _starts(self) -> tuple[Path, Path]:
        """The folder that the files lie in, as given and where links lead."""
        base = self.source.root if self.source.root.is_dir() else self.source.root.parent
        return base, base.resolve()

    @cached_property
    def _all(self) -> frozenset[str]:
        return frozenset(self.source.files)

    # Any: as above.
    def files_of(self, node_class: type[Any] | str) -> frozenset[str]:
        """The files behind a node class or a module, by path relative to the pack."""
        if isinstance(node_class, str):
            start = self._file_of_module(node_class)
            return self._all if start is None else self.closure(start)
        start = self._file_of_module(node_class.__module__)
        if start is None or node_class.__qualname__ not in self._facts_of(start).classes:
            return self._all
        files = self.closure(start)
        method = inspect.unwrap(getattr(node_class, str(getattr(node_class, "FUNCTION", "")), node_class))
        written = getattr(getattr(method, "__code__", None), "co_filename", None)
        place = None if written is None else self._inside(Path(written))
        # Somebody may have put another method into the class.
        return files if place is None or place in files else files | self.closure(place)

    def _file_of_module(self, name: str) -> str | None:
        file = getattr(sys.modules.get(name), "__file__", None)
        return None if file is None else self._inside(Path(file))

    def _inside(self, path: Path) -> str | None:
        """The file's path relative to the pack, or None when it is none of its files."""
        for start in self._starts:
            if path.is_relative_to(start):
                file = path.relative_to(start).as_posix()
                return file if file in self.source.files else None
        return None

    def _facts_of(self, file: str) -> FileFacts:
        if file not in self._facts:
            self._facts[file] = _facts_of(self.source.path(file), self.source.files[file])
        return self._facts[file]

    def closure(self, start: str) -> frozenset[str]:
        """The file, and all files of the pack that its imports and theirs reach."""
        if start not in self._closures:
            self._closures[start] = self._follow(start)
        return self._closures[start]

    def _follow(self, start: str) -> frozenset[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            file = waiting.pop()
            if file in found:
                continue
            found.add(file)
            reached = self.imports_of(file)
            if reached is None:
                return self._all
            waiting.extend(reached)
        return frozenset(found)

    def imports_of(self, file: str) -> frozenset[str] | None:
        """The files of the pack that a file imports, without what those import; None when that cannot be told."""
        if file not in self._imports:
            facts = self._facts_of(file)
            reached = None if facts.dynamic else self._reached(file, facts.imports)
            self._imports[file] = None if reached is None else reached | set(self._acting_packages(file))
        return self._imports[file]

    def touched_by(self, file: str) -> frozenset[str]:
        """The files of the pack that stand behind what a file may change in other modules."""
        facts = self._facts_of(file)
        reached = None if facts.unread else self._reached(file, facts.touches)
        return self._all if reached is None else frozenset().union(*map(self.closure, reached))

    def remember(self) -> None:
        """Read all files, so that what they say is known when they are other ones."""
        for file in self.source.files:
            self._facts_of(file)

    def gathers(self, file: str) -> bool:
        """Whether a file may notice the classes that others make."""
        return self._facts_of(file).gathers

    def _reached(self, file: str, imports: Iterable[Import]) -> frozenset[str] | None:
        """The files that imports reach, or None when that cannot be told."""
        reached: set[str] = set()
        for imported in imports:
            targets = self._targets(file, imported)
            if targets is None:
                return None
            reached.update(targets)
        return frozenset(reached)

    def _acting_packages(self, file: str) -> Iterator[str]:
        for folder in PurePosixPath(file).parents:
            package = (folder / f"{_PACKAGE}.py").as_posix()
            if package in self.source.files and package != file and self._facts_of(package).acts:
                yield package

    def _targets(self, file: str, imported: Import) -> list[str] | None:
        """The files that an import reaches, or None when that cannot be told."""
        targets: list[str] = []
        for place in self._places(file, imported):
            for name in imported.names or ("",):
                target = self._modules.get(_joined(place, name)) if name else None
                target = target or self._modules.get(place)
                if target is None:
                    continue
                if name == "*" and _is_package(target):
                    return None
                targets.append(target)
        return targets

    def _places(self, file: str, imported: Import) -> Iterator[str]:
        """The dotted names below the pack that an import may mean."""
        here = PurePosixPath(file).parent.parts
        if imported.level:
            if imported.level - 1 <= len(here):
                yield _joined(*here[: len(here) - imported.level + 1], imported.module)
            return
        for name in self._names:
            if imported.module == name or imported.module.startswith(f"{name}."):
                yield imported.module[len(name) + 1 :]
                return
        # A custom pack may have put one of its own folders onto the path.
        top = imported.module.partition(".")[0]
        if top not in sys.stdlib_module_names:
            yield from (_joined(folder, imported.module) for folder in self._folders_with.get(top, ()))

    @cached_property
    def _folders_with(self) -> dict[str, list[str]]:
        """The folders of the pack that hold a module of a name."""
        folders: dict[str, list[str]] = {}
        for module in self._modules:
            folder, _, name = module.rpartition(".")
            folders.setdefault(name, []).append(folder)
        return folders

    # Any: as above.
    def data_files(self, node_class: type[Any] | str) -> tuple[str, ...]:
        """The data files that a node class, or a module of its code, names."""
        declared = getattr(node_class, DATA_FILES, ())
        own = (declared,) if isinstance(declared, str) else tuple(map(str, declared))
        named = (name for file in sorted(self.files_of(node_class)) for name in self._facts_of(file).data)
        return tuple(dict.fromkeys((*own, *named)))

    def data_of(self, names: Iterable[str]) -> dict[str, str]:
        """The digests (hex) of data files of the pack; "absent" for one that is not there."""
        wanted = [str(name) for name in islice(names, _MOST_DATA_FILES)]
        for name in wanted:
            if name not in self._data:
                self._data[name] = self._digest_of_data(name)
        return {name: self._data[name] for name in wanted}

    def _digest_of_data(self, name: str) -> str:
        base = self.source.root if self.source.root.is_dir() else self.source.root.parent
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or not (base / relative).is_file():
            return "absent"
        return sha256((base / relative).read_bytes()).hexdigest()


# Packs share files, and parsing one takes a millisecond. The digest tells one state of a file from another.
@lru_cache(maxsize=4096)
def _read_facts(path: Path, digest: str) -> FileFacts:
    content = path.read_bytes() if path.suffix == ".py" else b""
    if content and sha256(content).hexdigest() != digest:
        raise LookupError(path)
    return read_facts(content)


def _facts_of(path: Path, digest: str) -> FileFacts:
    """What a file says, or said when it had that digest, if it was asked for at that time."""
    try:
        return _read_facts(path, digest)
    except (OSError, LookupError):  # it is gone, or another one by now
        return FileFacts(dynamic=True, acts=True, unread=True)


def _modules(files: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Dotted names and their files: `sub/resize.py` is "sub.resize", `sub/__init__.py` is "sub"."""
    for file in files:
        path = PurePosixPath(file)
        stem = path.name.partition(".")[0]
        yield _joined(*path.parent.parts, "" if stem == _PACKAGE else stem), file


def _is_package(file: str) -> bool:
    return PurePosixPath(file).name == f"{_PACKAGE}.py"


def _joined(*names: str) -> str:
    return ".".join(name for name in names if name)
