"""A picture of the shipped checkpoint is made again, byte for byte."""

from dataclasses import replace
from pathlib import Path

import pytest

from graphengine.cache.store import MemoryStore
from graphengine.cli.overrides import apply_changes, read_changes
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.provenance.history.history import History
from graphengine.replaying.subject import find_subject
from graphengine.replaying.workbench import opened_replayer
from graphengine.settings import Settings
from graphengine_nodes import core, diffusion, image

ROOT = Path(__file__).parents[2]
CHECKPOINTS = ROOT / "nodes" / "graphengine_nodes" / "models" / "checkpoints"


def engine(settings: Settings) -> Engine:
    packs = (core, image, diffusion)
    classes = {name: kind for pack in packs for name, kind in pack.NODE_CLASS_MAPPINGS.items()}
    registry = NodeRegistry(define(name, kind) for name, kind in classes.items())
    history = History(settings.history) if settings.history is not None else None
    # models that packs ship are found by the engine; the settings do not name them
    folders = replace(settings.folders, models={"checkpoints": (CHECKPOINTS,)})
    return Engine(registry, MemoryStore(), folders, LocalExecutor(), "cpu", history=history)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folders = Folders((), tmp_path / "output", tmp_path / "temp")
    return Settings(folders, history=tmp_path / ".graphengine", device="cpu")


def test_a_picture_of_the_shipped_checkpoint_is_made_again(settings: Settings, tmp_path: Path) -> None:
    with engine(settings) as first:
        flow = first.read(ROOT / "workflows" / "txt2img.json").workflow
        changes = read_changes(["KSampler.steps=2"], flow, first.registry)
        first.run(apply_changes(flow, changes))
    history = History(tmp_path / ".graphengine")
    picture = tmp_path / history.find("@1").outputs[0].path
    with opened_replayer(settings, history, make=engine) as replayer:
        replay = replayer.replay(find_subject(str(picture), history, replayer.stage.engine.registry))
    assert (replay.level, replay.departures) == ("bytes", ())
    assert replay.walk is not None
    assert replay.walk.differing == replay.walk.remade == ()
