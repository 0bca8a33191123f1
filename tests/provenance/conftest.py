from pathlib import Path

import pytest

from graphengine.node.folders import Folders
from tests.provenance.bench import Bench


@pytest.fixture
def bench(folders: Folders, tmp_path: Path) -> Bench:
    (folders.models["checkpoints"][0] / "m.safetensors").write_text("3")
    return Bench(folders, tmp_path)
