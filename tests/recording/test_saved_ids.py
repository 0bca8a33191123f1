"""All that our own nodes save carries the id of its run, and nothing of it without metadata."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.packs.discover import Pack
from graphengine.packs.load import load_pack
from graphengine.provenance.history.history import History
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

PACKS = ("audio", "core", "diffusion", "image", "latent", "video")
SIZE = {"width": 16, "height": 16, "batch_size": 1}
SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "images": ("EmptyImage", {**SIZE, "color": 0}),
    "samples": ("EmptyLatentImage", SIZE),
    "audio": ("Silence", {}),
}
SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SaveImage": ("images", {}),
    "SaveAnimatedPNG": ("images", {"fps": 6.0, "compress_level": 4}),
    "SaveAnimatedWEBP": ("images", {"fps": 6.0, "lossless": True, "quality": 80, "method": "default"}),
    "SaveWEBM": ("images", {"codec": "vp9", "fps": 24.0, "crf": 32.0}),
    "SaveLatent": ("samples", {}),
    "SaveAudio": ("audio", {}),
    "SaveAudioMP3": ("audio", {"quality": "V0"}),
    "SaveAudioOpus": ("audio", {"quality": "128k"}),
}


class Silence:
    """A tenth of a second."""

    RETURN_TYPES = ("AUDIO",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}}

    def run(self) -> tuple[dict[str, Any]]:
        return ({"waveform": torch.zeros(1, 2, 4410), "sample_rate": 44100},)


@pytest.fixture(scope="module")
def registry() -> NodeRegistry:
    packs = [load_pack(Pack(name, f"graphengine_nodes.{name}")) for name in PACKS]
    own = define("Silence", Silence, module="tests")
    return NodeRegistry([own, *(definition for pack in packs for definition in pack.definitions)])


def flow(saver: str) -> Workflow:
    name, values = SAVERS[saver]
    source, given = SOURCES[name]
    return Workflow(
        {
            NodeId("1"): WorkflowNode(source, given),
            NodeId("2"): WorkflowNode(saver, {name: Link(NodeId("1"), 0), "filename_prefix": "a", **values}),
        },
        {"nodes": [], "links": [], "title": "the drawn workflow"},
    )


@pytest.mark.parametrize("saver", SAVERS)
def test_what_is_saved_names_its_run(saver: str, registry: NodeRegistry, folders: Folders, tmp_path: Path) -> None:
    history = History(tmp_path / ".graphengine")
    engine = Engine(registry, MemoryStore(2**26), folders, LocalExecutor(), device="cpu", history=history)
    engine.run(flow(saver))
    replace(engine, strip_metadata=True).run(flow(saver))
    stripped, whole = history.runs()
    contents = {run.id: (history.project / run.outputs[0].path).read_bytes() for run in (whole, stripped)}
    assert whole.id.encode() in contents[whole.id]
    assert b"the drawn workflow" in contents[whole.id]
    for text in (whole.id, stripped.id, "the drawn workflow", "class_type"):
        assert text.encode() not in contents[stripped.id]
