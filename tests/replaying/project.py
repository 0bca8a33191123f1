"""A project with nodes of its own: runs are recorded in its history, and made again from there."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.api import Files, NodeContext
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import PastRun
from graphengine.replaying.likeness import Tolerance
from graphengine.replaying.replay import Replay, Replayer
from graphengine.replaying.subject import find_subject
from graphengine.replaying.workbench import opened_replayer
from graphengine.settings import Settings
from graphengine.workflow.models import NodeId
from tests.workflows import workflow

Inputs = dict[str, dict[str, Any]]
Nodes = dict[str, tuple[str, dict[str, Any]]]


class _Node:
    FUNCTION = "run"
    RETURN_TYPES: tuple[str, ...] = ("INT",)
    REQUIRED: Mapping[str, tuple[Any, ...]] = {}

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": dict(cls.REQUIRED), "hidden": {"context": ("GRAPHENGINE_CONTEXT",)}}


class Number(_Node):
    """A number."""

    REQUIRED = {"value": ("INT", {})}  # noqa: RUF012 (as authors write it)

    def run(self, value: int, context: NodeContext) -> tuple[int]:
        return (value,)


class Sum(_Node):
    """a + b."""

    REQUIRED = {"a": ("INT", {}), "b": ("INT", {})}  # noqa: RUF012

    def run(self, a: int, b: int, context: NodeContext) -> tuple[int]:
        return (a + b,)


class Weight:
    """What a loader gives; no plain data."""

    def __init__(self, value: int) -> None:
        self.value = value


class LoadWeight(_Node):
    """A model from a file that holds a number."""

    REQUIRED = {"name": (Files("checkpoints"),)}  # noqa: RUF012
    RETURN_TYPES = ("MODEL",)

    def run(self, name: str, context: NodeContext) -> tuple[Weight]:
        return (Weight(int(context.folders.path("checkpoints", name).read_bytes()[0])),)


class Weigh(_Node):
    """The weight times a number."""

    REQUIRED = {"model": ("MODEL",), "value": ("INT", {})}  # noqa: RUF012

    def run(self, model: Weight, value: int, context: NodeContext) -> tuple[int]:
        return (model.value * value,)


class Login(_Node):
    """A number that needs a secret."""

    REQUIRED = {"value": ("INT", {}), "api_key": ("STRING", {})}  # noqa: RUF012

    def run(self, value: int, api_key: str, context: NodeContext) -> tuple[int]:
        return (value + len(api_key),)


class Dice(_Node):
    """Another number each time, although nothing says so."""

    THROWN: list[int] = []  # noqa: RUF012 (counts for the test)

    def run(self, context: NodeContext) -> tuple[int]:
        self.THROWN.append(len(self.THROWN))
        return (self.THROWN[-1],)


class Paint(_Node):
    """Saves a picture, 8 by 6, all pixels of one level, as savers do: with the documents, numbered."""

    REQUIRED = {"level": ("INT", {})}  # noqa: RUF012
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        given = super().INPUT_TYPES()
        return {**given, "hidden": {**given["hidden"], "prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}}

    def run(
        self, level: int, context: NodeContext, prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, dict[str, list[dict[str, str]]]]:
        info = PngInfo()
        for name, value in {"prompt": prompt, **(extra_pnginfo or {})}.items():
            if value is not None:
                info.add_text(name, json.dumps(value))
        folder = context.folders.output
        folder.mkdir(exist_ok=True)
        name = f"paint_{len(list(folder.iterdir())) + 1:05}_.png"
        Image.fromarray(np.full((6, 8, 3), level % 256, "uint8")).save(folder / name, pnginfo=info)
        return {"ui": {"images": [{"filename": name, "subfolder": "", "type": "output"}]}}


class Look(_Node):
    """The level of a picture's first pixel."""

    REQUIRED = {"image": (Files("input"),)}  # noqa: RUF012

    def run(self, image: str, context: NodeContext) -> tuple[int]:
        with Image.open(context.folders.path("input", image)) as opened:
            return (int(np.asarray(opened)[0, 0, 0]),)


class Fail(_Node):
    """Raises, after what it waits for."""

    REQUIRED = {"value": ("INT", {})}  # noqa: RUF012
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, value: int, context: NodeContext) -> tuple[()]:
        raise ValueError("as it was told")


class Show(_Node):
    """Shows a number."""

    REQUIRED = {"value": ("INT", {})}  # noqa: RUF012
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, value: int, context: NodeContext) -> dict[str, dict[str, list[str]]]:
        return {"ui": {"text": [str(value)]}}


KINDS = (Number, Sum, LoadWeight, Weigh, Login, Dice, Paint, Look, Fail, Show)

PAINTED: Nodes = {
    "1": ("LoadWeight", {"name": "m.safetensors"}),
    "2": ("Number", {"value": 5}),
    "3": ("Weigh", {"model": ["1", 0], "value": ["2", 0]}),
    "4": ("Sum", {"a": ["3", 0], "b": 1}),
    "5": ("Paint", {"level": ["4", 0]}),
}


@dataclass
class Project:
    """A folder with outputs, a model and a history; `code` are versions of the code of node types."""

    root: Path
    code: dict[str, str] = field(default_factory=dict)
    tolerance: Tolerance = field(default_factory=Tolerance)

    def __post_init__(self) -> None:
        for name in ("input", "output", "temp", "checkpoints"):
            (self.root / name).mkdir(exist_ok=True)
        self.model.write_bytes(b"\x07 and more")

    @property
    def model(self) -> Path:
        """The model's file."""
        return self.root / "checkpoints" / "m.safetensors"

    @property
    def settings(self) -> Settings:
        """The settings of its runs."""
        models = {"checkpoints": (self.root / "checkpoints",)}
        folders = Folders((self.root / "input",), self.root / "output", self.root / "temp", models)
        return Settings(folders, history=self.history.root, device="cpu")

    @property
    def history(self) -> History:
        """The runs so far."""
        return History(self.root / ".graphengine")

    def engine(self, settings: Settings) -> Engine:
        """The engine of a new process."""
        registry = NodeRegistry(
            replace(
                define(kind.__name__, kind, module="custom_nodes.painting"),
                code={f"{kind.__name__.lower()}.py": self.code.get(kind.__name__, "1")},
            )
            for kind in KINDS
        )
        history = History(settings.history) if settings.history is not None else None
        return Engine(registry, MemoryStore(), settings.folders, LocalExecutor(), "cpu", history=history)

    def run(self, nodes: Nodes, targets: list[str] | None = None) -> PastRun:
        """Run nodes; gives what the history has of it."""
        goals = None if targets is None else [NodeId(target) for target in targets]
        with self.engine(self.settings) as engine:
            engine.run(workflow(nodes), targets=goals)
        return self.history.find("@1")

    def picture(self, run: PastRun | None = None) -> Path:
        """The picture that a run saved, by default the last one."""
        return self.root / (run or self.history.find("@1")).outputs[0].path

    @contextmanager
    def replayer(self) -> Iterator[Replayer]:
        """A replayer in a new process."""
        with opened_replayer(self.settings, self.history, tolerance=self.tolerance, make=self.engine) as replayer:
            yield replayer

    def replay(self, what: str | Path) -> Replay:
        """Make something again."""
        with self.replayer() as replayer:
            return replayer.replay(find_subject(str(what), self.history, replayer.stage.engine.registry))


def changed_text(picture: Path, name: str, text: str | None) -> None:
    """Change a text of a PNG, or remove it, as an editor of metadata does."""
    with Image.open(picture) as opened:
        opened.load()
        texts = {**getattr(opened, "text", {}), name: text}
        info = PngInfo()
        for each, value in texts.items():
            if value is not None:
                info.add_text(each, value)
        opened.save(picture, pnginfo=info)


def changed_pixel(picture: Path, at: tuple[int, int]) -> None:
    """Change one pixel of a PNG by one level; its texts stay."""
    with Image.open(picture) as opened:
        opened.load()
        info = PngInfo()
        for name, value in getattr(opened, "text", {}).items():
            info.add_text(name, value)
        levels = np.array(opened)
        levels[at[1], at[0], 0] += 1
        Image.fromarray(levels).save(picture, pnginfo=info)
