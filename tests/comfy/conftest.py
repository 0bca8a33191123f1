"""Stand-ins in place, and the packs that use them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from graphengine.node.api import NodeContext, current_context
from graphengine.node.registry import NodeRegistry
from graphengine.packs.discover import Pack
from graphengine.packs.load import load_pack
from graphengine.packs.stand_ins import put_in_place

PACKS = Path(__file__).parent / "packs"
Called = Callable[[NodeContext], AbstractContextManager[None]]


@pytest.fixture(autouse=True, scope="session")
def _stand_ins() -> None:
    """Also in a bare checkout, where no distribution announces them."""
    put_in_place(["graphengine_comfy"])


@pytest.fixture(scope="session")
def flow(_stand_ins: None) -> NodeRegistry:
    """The nodes of both packs."""
    loaded = [
        load_pack(Pack(name, f"graphengine_pack_{name}", PACKS / f"{name}.py")) for name in ("v1_flow", "v3_flow")
    ]
    assert [problem for pack in loaded for problem in pack.problems] == []
    return NodeRegistry(definition for pack in loaded for definition in pack.definitions)


@pytest.fixture
def called() -> Called:
    """Makes code part of a node call."""

    @contextmanager
    def called_with(context: NodeContext) -> Iterator[None]:
        token = current_context.set(context)
        try:
            yield
        finally:
            current_context.reset(token)

    return called_with
