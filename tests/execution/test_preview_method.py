"""How samplers show their steps is told to every node."""

from typing import Any

import pytest

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.policy import RunOptions
from graphengine.node.api import CONTEXT, Folders, NodeContext, PreviewMethod
from graphengine.node.comfy_classes import define
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.models import NodeId
from tests.workflows import workflow


class Asked:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "hidden": {"context": CONTEXT}}

    def run(self, context: NodeContext) -> tuple[str]:
        return (context.previews,)


@pytest.mark.parametrize("method", ["auto", "none", "taesd", "latent2rgb"])
def test_the_method_reaches_the_context(method: PreviewMethod) -> None:
    engine = Engine(NodeRegistry([define("Asked", Asked)]), MemoryStore(), Folders(), LocalExecutor(), "cpu")
    result = engine.run(workflow({"1": ("Asked", {})}), targets=[NodeId("1")], options=RunOptions(previews=method))
    outputs = result.outputs(NodeId("1"))
    assert outputs is not None
    assert outputs.slots[0] == (method,)
