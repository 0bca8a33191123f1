"""Outputs that a run holds: each until the last node that reads it has run."""

from collections import Counter
from collections.abc import Collection, Iterable

from graphengine.cache.store import CacheStore, Outputs
from graphengine.workflow.models import NodeId


class OutputsLost(Exception):
    """The outputs of a node that was finished or cached are not to be had any more."""

    def __init__(self, node_id: NodeId) -> None:
        super().__init__(node_id)
        self.node_id = node_id


class HeldOutputs:
    """Outputs by cache key. What is not held any more is looked for in the store."""

    def __init__(self, store: CacheStore) -> None:
        self._store = store
        self._held: dict[str, Outputs] = {}
        self._readers: Counter[str] = Counter()
        self._kept: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def __getitem__(self, key: str) -> Outputs:
        return self._held[key]

    def keep(self, keys: Iterable[str]) -> None:
        """Hold these to the end."""
        self._kept.update(keys)

    def expect(self, keys: Iterable[str]) -> None:
        """One more reader for each."""
        self._readers.update(keys)

    def put(self, key: str, outputs: Outputs) -> None:
        """Hold outputs."""
        self._held[key] = outputs

    def find(self, key: str) -> Outputs | None:
        """The outputs, from the store if need be; None when they are nowhere."""
        found = self._held.get(key)
        if found is None:
            found = self._store.get(key)
            if found is not None:
                self._held[key] = found
        return found

    def release(self, keys: Iterable[str], but: Collection[str] = ()) -> None:
        """One reader less for each; those without another are let go."""
        for key in keys:
            self._readers[key] -= 1
            if self._readers[key] <= 0:
                del self._readers[key]
                if key not in self._kept and key not in but:
                    self._held.pop(key, None)
