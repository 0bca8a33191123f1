"""The composition root and the Python API: settings in, wired parts out."""

from dataclasses import dataclass

from graphengine.cache.store import CacheStore
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry


@dataclass(frozen=True, slots=True)
class Engine:
    """A registry, a store and folders that belong together."""

    registry: NodeRegistry
    store: CacheStore
    folders: Folders
