"""A server over the sample nodes that tests ask one question after the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from tests.server.asking import Server, running


@pytest.fixture
def engine(folders: Folders, registry: NodeRegistry) -> Engine:
    """An engine with the sample nodes and empty folders below the test's."""
    return Engine(registry=registry, store=MemoryStore(), folders=folders, executor=LocalExecutor(), device="cpu")


@pytest.fixture
def server(engine: Engine, tmp_path: Path) -> Iterator[Server]:
    """A server on loopback without a token."""
    with running(engine, tmp_path) as server:
        yield server
