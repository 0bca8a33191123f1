"""The code of packs while an engine is in use: noticing that it changed, and taking it in."""

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import cache_from_source
from pathlib import Path

from graphengine.engine import Engine
from graphengine.errors import PackError, Problem
from graphengine.packs.discover import Pack
from graphengine.packs.importing import read_source
from graphengine.packs.pack_problems import pack_problem
from graphengine.packs.source import PackSource
from graphengine.settings import Settings
from graphengine.watch.changes import Place

_NO_SOURCE = PackSource(Path(), {})


@dataclass(slots=True)
class PackSources:
    """The source of the packs in use, as it was when it was last looked at."""

    _known: dict[Pack, PackSource] = field(default_factory=dict)

    def follow(self, packs: Collection[Pack]) -> None:
        """Look after these packs from now on."""
        for pack in packs:
            if pack not in self._known:
                self._known[pack] = _source(pack)

    def places(self) -> Iterator[Place]:
        """The folders to observe."""
        for path in (pack.path for pack in self._known):
            if path is not None:
                yield Place(path, recursive=True) if path.is_dir() else Place(path.parent)

    def concerns(self, path: Path) -> bool:
        """Whether a change of the path may be one of the source."""
        return any(pack.path is not None and path.is_relative_to(pack.path) for pack in self._known)

    def changed(self) -> list[Pack]:
        """The packs whose source differs from when it was last looked at; what is compiled of it is dropped."""
        found: list[Pack] = []
        for pack, before in list(self._known.items()):
            now = _source(pack)
            if now.version == before.version:
                continue
            self._known[pack] = now
            found.append(pack)
            for file in now.files:
                if file.endswith(".py") and now.files[file] != before.files.get(file):
                    # Python takes it for current when size and second are those of the file
                    Path(cache_from_source(str(now.path(file)))).unlink(missing_ok=True)
        return found


def _source(pack: Pack) -> PackSource:
    try:
        return read_source(pack)
    except PackError:  # being replaced: the next event finds it whole
        return _NO_SOURCE


def renewed(engine: Engine, settings: Settings, changed: Collection[Pack]) -> tuple[Engine, Sequence[Problem]]:
    """An engine that knows packs as they are now, with the results, models and node objects of the old one.

    Where one of the changed packs cannot be loaded, or is not trusted as it is now, it is the old engine, whose
    code goes on to be used, and the problems say why.
    """
    fresh = Engine.from_settings(replace(settings, cache=None, remote=None))  # the stores are those of the old one
    fresh = replace(
        fresh,
        store=engine.store,
        executor=engine.executor,
        memo=engine.memo,
        records=engine.records,
        memory=engine.memory,
    )
    before = {name: module for name, module in sys.modules.items() if _is_of(name, changed)}
    problems = list(_failures(fresh, changed))
    if not problems:
        engine.packs.close()
        return fresh, ()
    fresh.packs.close()
    for name in [name for name in sys.modules if _is_of(name, changed)]:
        del sys.modules[name]
    sys.modules.update(before)
    return engine, problems


def _failures(engine: Engine, packs: Collection[Pack]) -> Iterator[Problem]:
    """Import those of the packs that are still there."""
    for pack in packs:
        try:
            if pack in engine.custom:
                engine.packs.load(pack)
        except PackError as error:
            yield pack_problem(error)


def _is_of(name: str, packs: Collection[Pack]) -> bool:
    return any(name == pack.module or name.startswith(f"{pack.module}.") for pack in packs)
