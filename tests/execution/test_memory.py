"""Outputs are held until their last reader has run, and no longer."""

import gc
from typing import Any, ClassVar
from weakref import WeakSet

import pytest

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.policy import RunOptions
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from tests.workflows import workflow


class Picture:
    """Something large."""

    alive: ClassVar[WeakSet["Picture"]] = WeakSet()
    most: ClassVar[int] = 0

    def __init__(self) -> None:
        self.nbytes = 2**30
        Picture.alive.add(self)
        Picture.most = max(Picture.most, len(Picture.alive))


class Load:
    """A new picture."""

    RETURN_TYPES: tuple[str, ...] = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"number": ("INT", {})}}

    def run(self, number: int) -> tuple[Picture]:
        return (Picture(),)


class Change(Load):
    """Another picture in place of one."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("IMAGE",)}}

    def run(self, image: Picture) -> tuple[Picture]:  # type: ignore[override]  # another node
        return (Picture(),)


class Save(Change):
    """Saves nothing."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, image: Picture) -> tuple[()]:  # type: ignore[override]  # another node
        return ()


@pytest.mark.parametrize("options", [RunOptions(), RunOptions(jobs=2)], ids=["one job", "two jobs"])
def test_a_chain_of_large_pictures_holds_few_at_a_time(options: RunOptions) -> None:
    Picture.most = 0
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"0": ("Load", {"number": 1})}
    nodes |= {str(n): ("Change", {"image": [str(n - 1), 0]}) for n in range(1, 20)}
    nodes["20"] = ("Save", {"image": ["19", 0]})
    registry = NodeRegistry(define(kind.__name__, kind) for kind in (Load, Change, Save))
    engine = Engine(registry, MemoryStore(limit_bytes=2**20), Folders(), LocalExecutor(), "cpu")
    assert len(engine.run(workflow(nodes), options=options).executed) == 21
    gc.collect()
    assert Picture.most <= 4  # one is made from another; a thread lets go of its own a little later
    assert len(Picture.alive) == 0
