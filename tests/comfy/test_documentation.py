import re
from pathlib import Path
from typing import Any

import torch

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.packs.discover import Pack
from graphengine.packs.load import load_pack
from graphengine.workflow.models import NodeId
from tests.workflows import workflow

GUIDE = Path(__file__).parents[2] / "docs" / "node-api.md"
PICTURES = """
class Grey:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"level": ("FLOAT", {})}}
    def run(self, level):
        import torch
        return (torch.full((1, 2, 2, 3), level),)

NODE_CLASS_MAPPINGS = {"Grey": Grey}
"""


def test_the_pack_of_the_guide_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (blend,) = [code for code in blocks if "comfy_entrypoint" in code]
    registry = NodeRegistry()
    for name, code in {"guide_blend": blend, "guide_grey": PICTURES}.items():
        (tmp_path / f"{name}.py").write_text(code)
        for definition in load_pack(Pack(name, f"graphengine_pack_{name}", tmp_path / f"{name}.py")).definitions:
            registry.add(definition)
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "1": ("Grey", {"level": 0.2}),
        "2": ("Grey", {"level": 0.6}),
        "3": ("Blend", {"images.image0": ["1", 0], "images.image1": ["2", 0], "strength": 0.5}),
    }
    with Engine(registry, MemoryStore(), Folders(), LocalExecutor(), "cpu") as engine:
        outputs = engine.run(workflow(nodes), targets=[NodeId("3")]).outputs(NodeId("3"))
    assert outputs is not None
    (blended,) = outputs.slots[0]
    assert isinstance(blended, torch.Tensor)
    assert torch.allclose(blended, torch.full((1, 2, 2, 3), 0.2))
