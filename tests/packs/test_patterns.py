"""Packs written in all the ways that packs are: each loads, and its node gives what it should."""

from pathlib import Path
from typing import Any

import pytest

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.packs.definitions import PackDefinitions
from graphengine.packs.discover import custom_packs
from graphengine.packs.stand_ins import put_in_place
from graphengine.workflow.models import NodeId
from tests.packs.pattern_packs import PATTERNS, PatternPack
from tests.packs.place import forget_packs
from tests.sample_nodes import sample_registry
from tests.workflows import workflow


@pytest.fixture(autouse=True)
def _own_paths(monkeypatch: pytest.MonkeyPatch) -> Any:
    import sys

    put_in_place(["graphengine_comfy"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    forget_packs()


def write(folder: Path, pack: PatternPack) -> None:
    for file, text in pack.files.items():
        path = folder / pack.name / file if file else folder / pack.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1" if "latin-1" in text else "utf-8"))


def engine(folder: Path) -> Engine:
    custom = tuple(custom_packs([folder]))
    packs = PackDefinitions(custom)
    registry = NodeRegistry(sample_registry().values(), packs)
    folders = Folders(output=folder / "output", temp=folder / "temp")
    return Engine(registry, MemoryStore(), folders, LocalExecutor(), "cpu", custom, packs=packs)


@pytest.mark.parametrize("pack", PATTERNS, ids=lambda pack: pack.name)
def test_a_pack_of_this_pattern_loads_and_computes(pack: PatternPack, tmp_path: Path) -> None:
    write(tmp_path / "custom_nodes", pack)
    with engine(tmp_path / "custom_nodes") as running:
        assert [p.message for p in running.load_all_packs() if p.code != "pack_changed_process"] == []
        result = running.run(workflow({"1": (pack.class_type, dict(pack.inputs))}), targets=[NodeId("1")])
        outputs = result.outputs(NodeId("1"))
    assert outputs is not None
    expected = tuple(pack.gives) if isinstance(pack.gives, list) else (pack.gives,)
    assert outputs.slots[0] == expected


def test_there_is_a_pack_for_each_pattern() -> None:
    assert len({pack.name for pack in PATTERNS}) == len(PATTERNS) >= 25
