"""The stores of an engine, one behind the other."""

from graphengine.cache.remote_place import RemotePlace
from graphengine.cache.store import CacheStore, MemoryStore, TieredStore


def tiers(memory: MemoryStore, disk: CacheStore | None, remote: RemotePlace | None) -> CacheStore:
    """What there is of memory, disk and a shared cache, the quickest first."""
    store = disk
    if remote is not None:
        from graphengine.cache.remote import RemoteStore  # few users share a cache

        shared = RemoteStore(remote)
        store = shared if store is None else TieredStore(store, shared)
    return memory if store is None else TieredStore(memory, store)
