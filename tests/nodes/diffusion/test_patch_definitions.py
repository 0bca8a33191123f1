import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphengine_nodes.diffusion.nodes import (
    attention_guidance_nodes,
    attention_nodes,
    guidance_formula_nodes,
    model_patch_nodes,
    unet_patch_nodes,
)
from tests.nodes.core.described import described

MODULES = (
    unet_patch_nodes,
    attention_guidance_nodes,
    guidance_formula_nodes,
    attention_nodes,
    model_patch_nodes,
)
EXPECTED: dict[str, Any] = json.loads(Path(__file__).with_name("patch_definitions.json").read_text())
DESCRIBED = {
    name: entry
    for module in MODULES
    for name, entry in described(module.NODE_CLASS_MAPPINGS, module.NODE_DISPLAY_NAME_MAPPINGS).items()
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_definition_is_that_which_saved_workflows_were_made_with(name: str) -> None:
    assert DESCRIBED[name] == EXPECTED[name]


def test_every_node_is_compared() -> None:
    assert DESCRIBED.keys() == EXPECTED.keys()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_listing_the_nodes_imports_no_torch(module: Any) -> None:
    roots = [str(Path(module.__file__).parents[2]), str(Path(__file__).parents[3])]
    code = f"import sys; sys.path[:0] = {roots}; import {module.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
