"""Small real parts for every test: integer nodes, a registry of them, folders below a temporary one."""

from pathlib import Path

import pytest
from hypothesis import settings

from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from tests.sample_nodes import sample_registry

# On a busy machine one example may take as long as it likes; how long something takes is measured in benchmarks/.
settings.register_profile("graphengine", deadline=None)
settings.load_profile("graphengine")


@pytest.fixture
def registry() -> NodeRegistry:
    """The sample nodes."""
    return sample_registry()


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Empty input, output, temp and checkpoint folders."""
    for name in ("input", "output", "temp", "checkpoints"):
        (tmp_path / name).mkdir()
    return Folders(
        input=(tmp_path / "input",),
        output=tmp_path / "output",
        temp=tmp_path / "temp",
        models={"checkpoints": (tmp_path / "checkpoints",)},
    )
