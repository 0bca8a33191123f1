"""Packs to check, in a folder of their own."""

import shutil
from pathlib import Path

import pytest

PACKS = Path(__file__).parent / "packs"


@pytest.fixture
def broken_pack(tmp_path: Path) -> Path:
    """The pack of thirty broken nodes and a good one."""
    return Path(shutil.copy(PACKS / "broken_nodes.py", tmp_path))
