"""The code of packs while an engine is in use: noticing that it changed, and taking it in."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from graphengine.engine import Engine
from graphengine.errors import PackError, Problem
from graphengine.packs.code import CodeOfPack
from graphengine.packs.discover import Pack
from graphengine.packs.imported import Imported
from graphengine.packs.importing import read_source
from graphengine.packs.pack_problems import pack_problem
from graphengine.packs.source import PackSource
from graphengine.settings import Settings
from graphengine.watch.changes import Place
from graphengine.workflow.collector import collector_paused

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
                CodeOfPack(self._known[pack], ()).remember()  # what edited files said before tells what to reload

    def places(self) -> Iterator[Place]:
        """The folders to observe."""
        for path in (pack.path for pack in self._known):
            if path is not None:
                yield Place(path, recursive=True) if path.is_dir() else Place(path.parent)

    def concerns(self, path: Path) -> bool:
        """Whether a change of the path may be one of the source."""
        return any(pack.path is not None and path.is_relative_to(pack.path) for pack in self._known)

    def changed(self) -> list[Pack]:
        """The packs whose source differs from when it was last looked at."""
        found: list[Pack] = []
        for pack, before in list(self._known.items()):
            now = _source(pack)
            if now.version != before.version:
                self._known[pack] = now
                found.append(pack)
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
    with collector_paused():  # a collection goes through all that torch made, ten times as long as the rest
        return _renewed(engine, settings, changed)


def _renewed(engine: Engine, settings: Settings, changed: Collection[Pack]) -> tuple[Engine, Sequence[Problem]]:
    fresh = Engine.from_settings(replace(settings, cache=None, remote=None))  # the stores are those of the old one
    fresh = replace(
        fresh,
        store=engine.store,
        executor=engine.executor,
        memo=engine.memo,
        records=engine.records,
        memory=engine.memory,
    )
    before = [Imported.now(pack) for pack in changed]
    problems = list(_failures(fresh, changed))
    if not problems:
        engine.packs.close()
        return fresh, ()
    fresh.packs.close()
    for imported in before:
        imported.put_back()
    if engine.packs.surroundings is not None:
        engine.packs.connect(engine.packs.surroundings)
    return engine, problems


def _failures(engine: Engine, packs: Collection[Pack]) -> Iterator[Problem]:
    """Import those of the packs that are still there."""
    for pack in packs:
        try:
            if pack in engine.custom:
                engine.packs.load(pack)
        except PackError as error:
            yield pack_problem(error)
