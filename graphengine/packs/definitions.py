"""What the nodes of packs take and give, known without importing a pack as long as its index is up to date.

A pack is imported when one of its nodes is called, or when only that tells what a node is: there is no index yet,
the source changed, or the definition is none that an index can hold. An import writes the index anew.
"""

import logging
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

from graphengine.errors import PackError, Problem
from graphengine.node.definition import NodeDefinition
from graphengine.packs.discover import Pack, source_root
from graphengine.packs.elsewhere import PackElsewhere
from graphengine.packs.import_policy import ImportPolicy
from graphengine.packs.importing import imported_version, read_source
from graphengine.packs.index import IndexedPack, PackIndex
from graphengine.packs.load import ClassReference, LoadedPack, load_pack, node_classes
from graphengine.packs.project import TrustPolicy
from graphengine.packs.records import Records
from graphengine.packs.source import PackSource, SourceReader
from graphengine.packs.stand_ins import Surroundings, in_place
from graphengine.packs.trust import Trust

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IndexedClass:
    """Gives the class of a node that the index knows; the first call imports the pack."""

    packs: "PackDefinitions"
    pack: Pack
    class_type: str
    version: str

    # Any: the class is its author's.
    def __call__(self) -> type[Any]:
        """The class.

        Raises:
            PackError: the pack cannot be imported, or is another one by now.
        """
        return self.packs.node_class(self.pack, self.class_type, self.version)

    def __reduce__(self) -> tuple[type[ClassReference], tuple[str, str]]:
        # Another process finds the class by its module, as it does for packs that were imported at once.
        return ClassReference, (self.pack.module, self.class_type)


class SeenByPacks(Mapping[str, NodeDefinition]):
    """What packs see of an engine's node types: all by name, but a list of those that are imported.

    A pack that goes through the list would import all others, and a pack that is being imported has no nodes yet.
    """

    def __init__(self, definitions: Mapping[str, NodeDefinition]) -> None:
        self._definitions = definitions

    def __getitem__(self, class_type: str) -> NodeDefinition:
        found = self._definitions[class_type]
        if isinstance(found.load, IndexedClass) and found.load.packs.is_importing(found.load.pack):
            raise KeyError(class_type)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._definitions if self._is_listed(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _is_listed(self, class_type: str) -> bool:
        load = self._definitions[class_type].load
        if not isinstance(load, IndexedClass):
            return True
        return load.pack.path is None or imported_version(load.pack) == load.version


class PackDefinitions(Mapping[str, NodeDefinition]):
    """Definitions by class type, from the indexes of packs; where two packs have one, the first in order.

    What `load` imported is not among them: its definitions are with whoever asked for it. `surroundings` are
    what packs find when a call imports them, `elsewhere` has the packs that other processes import. `trust` says
    which may be imported; without it all may. `policy` is how.
    """

    def __init__(
        self,
        packs: Iterable[Pack] = (),
        records: Records | None = None,
        trust: Trust | None = None,
        policy: ImportPolicy | None = None,
    ) -> None:
        self.packs = tuple(packs)
        self._policy = policy or ImportPolicy()
        self.trust = trust or Trust(TrustPolicy(everything=True))
        self._reader = SourceReader(records)
        self._index = PackIndex(records or Records())
        self._indexed: dict[Pack, IndexedPack | None] = {}
        self._sources: dict[Path | None, PackSource] = {}
        self._given: dict[str, NodeDefinition | None] = {}
        self._loaded: dict[Pack, LoadedPack | None] = {}
        self._importing: set[Pack] = set()
        self._lock = RLock()
        self.surroundings: Surroundings | None = None
        self.elsewhere: Mapping[Pack, PackElsewhere] = {}

    def connect(self, surroundings: Surroundings) -> None:
        """Have packs, those that are imported too, find these surroundings from here on."""
        self.surroundings = surroundings
        if (finder := in_place()) is not None:
            finder.connect(surroundings)

    def __getitem__(self, class_type: str) -> NodeDefinition:
        with self._lock:
            if class_type not in self._given:
                self._given[class_type] = self._find(class_type)
            found = self._given[class_type]
        if found is None:
            raise KeyError(class_type)
        return found

    def __iter__(self) -> Iterator[str]:
        names = (name for pack in self.packs if (known := self.indexed(pack)) for name in known.record.nodes)
        return (name for name in dict.fromkeys(names) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def indexed(self, pack: Pack) -> IndexedPack | None:
        """What the index has of a pack, or None when it must be imported, or was."""
        with self._lock:
            if pack not in self._indexed:
                self._indexed[pack] = self._read(pack)
            return None if pack in self._loaded else self._indexed[pack]

    def load(self, pack: Pack, surroundings: Surroundings | None = None) -> LoadedPack:
        """Import a pack and index it; one that was imported stays as it is.

        Raises:
            UntrustedPack: it may not be imported.
            PackError: it cannot be imported.
        """
        with self._lock:
            known = self._loaded.get(pack)
            if known is not None:
                return known
            self.trust.require(pack)
            self._given.clear()
            self._loaded[pack] = None
            loaded = self._loaded[pack] = self._import(pack, surroundings)
            self._write(loaded)
            return loaded

    def mentioning(self, packs: Iterable[Pack], class_types: Collection[str]) -> dict[Pack, set[str]]:
        """Those of the packs that may define some of the node types, as their source names them, with those."""
        found: dict[Pack, set[str]] = {}
        for pack in packs if class_types else ():
            known = self.indexed(pack)
            unread = set(known.record.unread).intersection(class_types) if known is not None else set()
            found[pack] = unread | self._mentions(pack, class_types)
        return {pack: names for pack, names in found.items() if names}

    def readable(self, pack: Pack) -> IndexedPack | None:
        """What the index has of a pack if it has all its nodes."""
        known = self.indexed(pack)
        return None if known is None or known.record.unread else known

    def must_import(self, pack: Pack, class_types: Collection[str]) -> bool:
        """Whether only importing a pack tells if it has one of the node types."""
        known = self.indexed(pack)
        return known is None or not known.record.tells(class_types)

    def require_first(self, class_type: str, pack: Pack) -> None:
        """Check that no pack before this one has a node type according to its index.

        Raises:
            PackError: one has.
        """
        before = self.packs[: self.packs.index(pack)] if pack in self.packs else ()
        for other in before:
            known = self.indexed(other)
            if known is not None and class_type in known.record.nodes:
                raise PackError(
                    f"node type {class_type!r} of pack {pack.name!r} is already defined by pack {other.name!r}",
                    hint="remove or rename one of the two packs",
                )

    # Any: the class is its author's.
    def node_class(self, pack: Pack, class_type: str, version: str) -> type[Any]:
        """The class of a node type of a pack, which is imported if need be.

        Raises:
            PackError: the pack cannot be imported, or its source is not the one of that version any more.
        """
        if (other := self.elsewhere.get(pack)) is not None:
            if (refusal := self.trust.refusal(pack)) is not None:
                raise refusal
            return other.node_class(class_type, self.surroundings)
        with self._lock:  # two threads that import one pack would see half of it
            if pack in self._importing:
                raise PackError(
                    f"pack {pack.name!r} is needed by a pack that it imports", hint="report this to both"
                )
            if imported_version(pack) != version:
                if read_source(pack, self._reader).version != version:
                    raise PackError(f"pack {pack.name!r} changed while graphengine runs", hint="run again")
                self.trust.require(pack)
                self._import(pack, None)
            classes = node_classes(sys.modules[pack.module])
        if class_type not in classes:
            raise PackError(
                f"pack {pack.name!r} has no node {class_type!r} any more",
                hint="a package that it needs may be missing: install what its requirements.txt lists",
            )
        return classes[class_type]

    def is_importing(self, pack: Pack) -> bool:
        """Whether the import of a pack has begun and not ended."""
        return pack in self._importing

    def _import(self, pack: Pack, surroundings: Surroundings | None) -> LoadedPack:
        if pack in self.elsewhere:
            return self._import_elsewhere(pack, surroundings or self.surroundings)
        self._importing.add(pack)
        try:
            return load_pack(pack, surroundings or self.surroundings, self._reader, self._policy)
        finally:
            self._importing.discard(pack)

    def _import_elsewhere(self, pack: Pack, surroundings: Surroundings | None) -> LoadedPack:
        """The pack as another process tells it."""
        other = self.elsewhere[pack]
        content, problems = other.describe(surroundings)
        known = self._index.accept(pack, read_source(pack, self._reader), content)
        if known is None:
            raise PackError(f"pack {pack.name!r} changed while it was read", hint="run again")
        version, told = known.record.version, {problem.class_type for problem in problems}
        read = (known.definition(name, IndexedClass(self, pack, name, version)) for name in known.record.nodes)
        unread = tuple(
            Problem("unreadable_node", f"pack {pack.name!r}: node {name!r} cannot be told to another process")
            for name in known.record.unread
            if name not in told
        )
        return LoadedPack(
            pack,
            definitions=tuple(other.adapted(definition) for definition in read if definition is not None),
            classes={},
            code=known.code,
            packages=known.record.packages,
            models=known.models,
            problems=(*problems, *unread),
        )

    def close(self) -> None:
        """End the processes that run packs."""
        for other in self.elsewhere.values():
            other.close()

    def _find(self, class_type: str) -> NodeDefinition | None:
        for pack in self.packs:
            if pack in self._loaded:
                continue
            known = self.indexed(pack)
            if known is None:
                if self._mentions(pack, (class_type,)):
                    return None  # it would come first, and only importing it tells whether it has the node
                continue
            if class_type in known.record.unread:
                return None
            load = IndexedClass(self, pack, class_type, known.record.version)
            definition = known.definition(class_type, load)
            if definition is not None:
                other = self.elsewhere.get(pack)
                return definition if other is None else other.adapted(definition)
        return None

    def _read(self, pack: Pack) -> IndexedPack | None:
        root = source_root(pack)
        try:
            if root not in self._sources:  # several packs may lie in one package
                self._sources[root] = read_source(pack, self._reader)
            return self._index.read(pack, self._sources[root])
        except PackError as error:
            logger.debug("%s", error)
            return None

    def _write(self, loaded: LoadedPack) -> None:
        if loaded.pack in self.elsewhere:  # its record is written already
            return
        # What was edited during the import may be neither the one nor the other.
        if read_source(loaded.pack, self._reader).version == loaded.code.source.version:
            self._index.write(loaded)

    def _mentions(self, pack: Pack, class_types: Collection[str]) -> set[str]:
        root: Path | None = source_root(pack)
        if root is None:
            return set()
        try:
            return self._reader.mentions(root, class_types)
        except OSError as error:
            logger.debug("the source of pack %r cannot be read: %s", pack.name, error)
            return set()
