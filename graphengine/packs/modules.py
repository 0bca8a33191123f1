"""Finds and compiles the modules of packs; what is kept compiled counts by the content of the file.

Python takes a compiled file for current when the source has the second and the size of then. An editor saves
twice within a second, and a checkout sets times back: the old code would run. Modules that lie in a pack are
therefore kept compiled with a hash of their source (PEP 552), which Python's own loader understands as well.

A finder before Python's own does this. It is put there when the first pack is imported from a path and stays for
the life of the process, because packs import inside functions as well. It answers for files in packs only.
"""

import importlib.util
import marshal
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

# Flags of a compiled file: it has a hash of its source, which is to be compared.
_CHECKED = (0b11).to_bytes(4, "little")


class PackLoader(SourceFileLoader):
    """Loads a module of a pack."""

    def get_code(self, fullname: str) -> CodeType:
        """The compiled source, as it is now.

        Raises:
            OSError: the file cannot be read.
            SyntaxError: it is no Python.
        """
        path = self.get_filename(fullname)
        source = self.get_data(path)  # read once: hash and code are of one text
        header = importlib.util.MAGIC_NUMBER + _CHECKED + importlib.util.source_hash(source)
        compiled = importlib.util.cache_from_source(path)
        code = _compiled(compiled, header)
        if code is None or code.co_filename != path:  # of a folder that was moved since
            code = self.source_to_code(source, path)
            if not sys.dont_write_bytecode:
                self.set_data(compiled, header + marshal.dumps(code))  # does nothing where it may not write
        return code


def _compiled(path: str, header: bytes) -> CodeType | None:
    """The code in a compiled file with that header; None when there is none, or it is damaged."""
    with suppress(OSError, EOFError, ValueError, TypeError), open(path, "rb") as file:
        if file.read(len(header)) == header:
            code = marshal.load(file)
            return code if isinstance(code, CodeType) else None
    return None


class _Stays(Loader):
    """Gives a module that was imported before in the place of a new one."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def exec_module(self, module: ModuleType) -> None:
        """Put it in the place of the empty one; the import system gives what stands in `sys.modules`."""
        sys.modules[module.__name__] = self._module


class PackFinder(MetaPathFinder):
    """Finds modules in packs. `roots` are the folders and files of the packs, as given and where links lead."""

    def __init__(self) -> None:
        self.roots: set[str] = set()
        self._staying: Mapping[str, ModuleType] = {}

    def add(self, root: Path) -> None:
        """Answer for a pack from now on."""
        self.roots |= {os.path.abspath(root), os.path.realpath(root)}

    @contextmanager
    def staying(self, modules: Mapping[str, ModuleType]) -> Iterator[None]:
        """Let imports inside find these modules, which were taken out of `sys.modules`, as they are.

        So a package is run before modules below it are found, and they become its attributes, as usual.
        """
        outer = self._staying  # a pack may have another one imported
        self._staying = {**outer, **modules}
        try:
            yield
        finally:
            self._staying = outer

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module that lies in a pack, None for all others."""
        if (stays := self._staying.get(fullname)) is not None:
            return ModuleSpec(fullname, _Stays(stays), is_package=hasattr(stays, "__path__"))
        if path is not None and not any(self._has(str(folder)) for folder in path):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or not self._has(spec.origin):
            return None
        if type(spec.loader) is SourceFileLoader:  # one of another kind knows better
            spec.loader = PackLoader(fullname, spec.origin)
        return spec

    def _has(self, path: str) -> bool:
        """Whether a file or folder is in a pack."""
        folder = path
        while folder not in self.roots:
            parent = os.path.dirname(folder)
            if parent == folder:
                return False
            folder = parent
        return True


def pack_finder() -> PackFinder:
    """What finds the modules of packs; the first call puts it in its place."""
    for finder in sys.meta_path:
        if isinstance(finder, PackFinder):
            return finder
    made = PackFinder()
    # Before Python's finder of files, and behind all that answer for other names.
    place = next((n for n, finder in enumerate(sys.meta_path) if finder is PathFinder), len(sys.meta_path))
    sys.meta_path.insert(place, made)
    return made
