from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packs.place import Place, forget_packs


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path)
    forget_packs()
