"""Puts stand-ins in the place of the modules that ComfyUI packs import: `comfy`, `comfy_api`, `folder_paths`, ….

A distribution announces a package of stand-ins in the entry point group `graphengine.stand_ins`. Every public
module or package in it stands in for the top-level module of the same name: with `graphengine_comfy`,
`import comfy.utils` gives `graphengine_comfy.comfy.utils`. There is one module object, whichever name it is
imported by, so what a pack assigns is seen by all.

A finder at the front of `sys.meta_path` does this. It is put there when the first custom pack is loaded and stays
for the life of the process, because packs import inside functions as well. It answers for those names only, and
imports nothing before a pack asks for it. docs/adr/0007-stand-ins-by-a-finder.md says why it is done so.
"""

import importlib
import importlib.util
import logging
import pkgutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from graphengine.node.definition import NodeDefinition
from graphengine.node.folders import Folders
from graphengine.packs.source import SourceReader, digest_of

logger = logging.getLogger(__name__)

#: Entry point group in which an installed distribution announces a package of stand-ins.
ENTRY_POINTS = "graphengine.stand_ins"


# Any: messages are open-ended JSON.
def _unheard(event: str | int, data: Any, client: str | None) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stand-ins may know of the engine that loads a pack.

    `definitions` are all its node types and may grow; `send` sends a message (type, or number of a
    binary one; data; client, or None for all) to whoever watches.
    """

    folders: Folders = field(default_factory=Folders)
    definitions: Mapping[str, NodeDefinition] = field(default_factory=dict)
    send: Callable[[str | int, Any, str | None], None] = _unheard


class PackRoute(Protocol):
    """A path that a pack wants to answer: `handler` takes an aiohttp request; with the method "STATIC" it is a
    folder whose files lie below the path.
    """

    @property
    def method(self) -> str:
        """GET, POST, …"""

    @property
    def path(self) -> str:
        """As aiohttp writes it: `/thing/{name}`."""

    # Any: handlers are the packs'.
    @property
    def handler(self) -> Any:
        """What answers."""


class StandInFinder(MetaPathFinder, Loader):
    """Answers an import of a name that ComfyUI has with the stand-in for it. `names` maps top-level names."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = dict(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a stand-in, or None for a name that is none of ours.

        Raises:
            ModuleNotFoundError: the name lies in a module that we stand in for, and there is nothing for it.
        """
        own = self._own_name(fullname)
        if own is None:
            return None
        found = importlib.util.find_spec(own)
        if found is None:
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: graphengine has no stand-in for it", name=fullname
            )
        return ModuleSpec(fullname, self, is_package=found.submodule_search_locations is not None)

    def exec_module(self, module: ModuleType) -> None:
        """Put our module in the place of the empty one; the import system gives what stands in `sys.modules`."""
        own = self._own_name(module.__name__)
        if own is None:
            raise ImportError(f"{module.__name__!r} is no stand-in", name=module.__name__)
        sys.modules[module.__name__] = importlib.import_module(own)

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that hold the stand-ins."""
        return tuple(sorted({own.rpartition(".")[0] for own in self.names.values()}))

    def connect(self, surroundings: Surroundings | None) -> None:
        """Import the packages of stand-ins, and tell those with a function `connect` which engine loads packs."""
        for package in self.packages:
            connect = getattr(importlib.import_module(package), "connect", None)
            if connect is not None and surroundings is not None:
                connect(surroundings)

    def routes(self) -> list[PackRoute]:
        """What packs want to answer, as the packages of stand-ins that have a function `routes` tell."""
        asked = (getattr(sys.modules.get(package), "routes", None) for package in self.packages)
        return [route for routes in asked if routes is not None for route in routes()]

    def loaded(self) -> None:
        """Tell the packages of stand-ins that have a function `loaded` that a pack is loaded, or could not be."""
        for package in self.packages:
            loaded = getattr(sys.modules.get(package), "loaded", None)
            if loaded is not None:
                loaded()

    def public_name(self, own: str) -> str | None:
        """The name that packs know a module of a stand-in package by, or None when it is none."""
        for top, package in self.names.items():
            if own == package or own.startswith(package + "."):
                return top + own[len(package) :]
        return None

    def _own_name(self, fullname: str) -> str | None:
        top, dot, rest = fullname.partition(".")
        package = self.names.get(top)
        return None if package is None else package + dot + rest


def put_in_place(packages: Iterable[str] | None = None) -> StandInFinder:
    """Let imports find the stand-ins; a second call changes nothing.

    `packages` are the packages that hold them, by default those that installed distributions announce.
    """
    finder = in_place()
    if finder is None:
        finder = StandInFinder({})
        # The front: a checkout has a folder `nodes`, which the path finder would take for a package.
        sys.meta_path.insert(0, finder)
    elif packages is None:
        return finder
    for package in packages if packages is not None else _announced():
        for top in _public_modules(package):
            if top not in finder.names:
                finder.names[top] = f"{package}.{top}"
                _make_way(top)
    return finder


def in_place() -> StandInFinder | None:
    """What finds the stand-ins, None while they are not in place."""
    return next((finder for finder in sys.meta_path if isinstance(finder, StandInFinder)), None)


def _announced() -> list[str]:
    return sorted(point.value for point in entry_points(group=ENTRY_POINTS))


@cache
def edited_stand_ins() -> str:
    """A hash (16 hex digits) of the stand-ins' source where it is not installed but in a checkout, else "".

    What is installed changes with its version only. It is read once: what is imported stays as it is, too.
    """
    installed = tuple(filter(None, (sysconfig.get_path(name) for name in ("purelib", "platlib"))))
    found: dict[str, str] = {}
    for package in _announced():
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            if not place.startswith(installed):
                found[package] = SourceReader().read(Path(place)).version
    return digest_of(found) if found else ""


def _public_modules(package: str) -> list[str]:
    """Names of the modules in a package that has not been imported; those with an underscore are its own."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec is not None else None
    names = [info.name for info in pkgutil.iter_modules(places)] if places is not None else []
    return sorted(name for name in names if not name.startswith("_"))


def _make_way(top: str) -> None:
    """A folder that happens to be on the path gives way to the stand-in; a real module of that name stays."""
    present = sys.modules.get(top)
    if present is None or present.__name__ != top:
        return
    if getattr(present, "__file__", None) is None:
        del sys.modules[top]
        return
    logger.warning(
        "the module %r from %s hides graphengine's stand-in of that name from node packs", top, present.__file__
    )
