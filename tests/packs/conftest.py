from collections.abc import Iterator
from pathlib import Path

import pytest

from graphengine.packs import index, stand_ins
from tests.packs.place import Place, forget_packs


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path)
    forget_packs()


@pytest.fixture(autouse=True)
def _forget_stand_ins() -> Iterator[None]:
    """What is remembered of stand-ins for the life of a process, some tests replace."""
    yield
    stand_ins.edited_stand_ins.cache_clear()
    index._form.cache_clear()
