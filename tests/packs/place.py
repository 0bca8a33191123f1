"""Packs and a cache in a folder, for tests that play new processes."""

import os
import sys
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.packs.definitions import PackDefinitions
from graphengine.packs.discover import custom_packs
from graphengine.packs.records import Records
from graphengine.workflow.models import NodeId
from tests.sample_nodes import sample_registry
from tests.workflows import workflow

DOUBLE = """
import pathlib
pathlib.Path(__file__).with_name("imported").touch()

class Double:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"value": ({choices!r}, {{}})}}}}
    def run(self, value):
        return ({factor} * int(value),)

NODE_CLASS_MAPPINGS = {{"Double": Double}}
"""


def double(factor: int = 2, choices: object = "INT") -> str:
    return DOUBLE.format(factor=factor, choices=choices)


TWICE = workflow({"1": ("Double", {"value": 21}), "2": ("Show", {"value": ["1", 0]})})


class Place:
    """Packs and a cache in a folder; each engine of it is as in a new process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"
        self.store = MemoryStore()
        # Files that were just written are read again each time; Python takes two of one second for the same.
        self._seconds = count(int(time.time()) - 10_000)

    def write(self, pack: str, files: Mapping[str, str]) -> None:
        for file, text in files.items():
            path = self.root / "custom_nodes" / pack / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            os.utime(path, (seconds := next(self._seconds), seconds))

    def engine(self) -> Engine:
        forget_packs()
        for mark in self.root.glob("custom_nodes/*/imported"):
            mark.unlink()
        custom = tuple(custom_packs([self.root / "custom_nodes"]))
        packs = PackDefinitions(custom, Records(self.cache))
        registry = NodeRegistry(sample_registry().values(), packs)
        return Engine(registry, self.store, Folders(), LocalExecutor(), "cpu", custom, packs=packs)

    def imported(self) -> list[str]:
        """The packs that were imported since the last engine was made."""
        return sorted(mark.parent.name for mark in self.root.glob("custom_nodes/*/imported"))

    def records(self, kind: str) -> list[Path]:
        return sorted(self.cache.glob(f"*.{kind}"))


def forget_packs() -> None:
    for name in [name for name in sys.modules if name.startswith("graphengine_pack_")]:
        del sys.modules[name]


def shown(engine: Engine) -> Any:
    return engine.run(TWICE).ui[NodeId("2")]["text"]
