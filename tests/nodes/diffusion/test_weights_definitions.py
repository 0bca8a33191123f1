import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphengine_nodes.diffusion.nodes import lora_nodes, merging_nodes, saving_nodes
from tests.nodes.core.described import described

MODULES = (lora_nodes, merging_nodes, saving_nodes)
EXPECTED: dict[str, Any] = json.loads(Path(__file__).with_name("weights_definitions.json").read_text())
RATIO = ["FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}]
DESCRIBED = {
    name: entry
    for module in MODULES
    for name, entry in described(module.NODE_CLASS_MAPPINGS, module.NODE_DISPLAY_NAME_MAPPINGS).items()
}


def expected(name: str) -> dict[str, Any]:
    entry = {**EXPECTED[name]}
    ratios = [[block, *RATIO] for block in entry.pop("ratios", ())]
    if ratios:
        entry["input"] = {"required": [*entry["input"]["required"], *ratios]}
    return entry


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_definition_is_that_which_saved_workflows_were_made_with(name: str) -> None:
    assert DESCRIBED[name] == expected(name)


def test_every_node_is_compared() -> None:
    assert DESCRIBED.keys() == EXPECTED.keys()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_listing_the_nodes_imports_no_torch(module: Any) -> None:
    roots = [str(Path(module.__file__).parents[2]), str(Path(__file__).parents[3])]
    code = f"import sys; sys.path[:0] = {roots}; import {module.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
