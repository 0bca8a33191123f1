"""Runs small graphs with a store and records, as one process after the other would."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graphengine.cache.store import MemoryStore, Outputs
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.result import RunResult
from graphengine.foresight import Foresight
from graphengine.node.api import Files, NodeContext
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.provenance.causes import Cause
from graphengine.provenance.folder import RecordFolder
from graphengine.workflow.models import NodeId
from tests.workflows import workflow

Inputs = dict[str, dict[str, tuple[Any, ...]]]
Nodes = dict[str, tuple[str, dict[str, Any]]]


class _Node:
    FUNCTION = "run"
    RETURN_TYPES: tuple[str, ...] = ("INT",)
    REQUIRED: dict[str, tuple[Any, ...]] = {}  # noqa: RUF012 (as authors write it)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": cls.REQUIRED, "hidden": {"context": ("GRAPHENGINE_CONTEXT",)}}


class Half(_Node):
    """Half of a number, rounded down."""

    REQUIRED = {"value": ("INT", {})}  # noqa: RUF012

    def run(self, value: int, context: NodeContext) -> tuple[int]:
        return (value // 2,)


class Sum(_Node):
    """a + b."""

    REQUIRED = {"a": ("INT", {}), "b": ("INT", {})}  # noqa: RUF012

    def run(self, a: int, b: int, context: NodeContext) -> tuple[int]:
        return (a + b,)


class Model:
    """What a loader gives; no plain data."""

    def __init__(self, weight: int) -> None:
        self.weight = weight


class LoadModel(_Node):
    """A model from a file that holds a number."""

    REQUIRED = {"ckpt_name": (Files("checkpoints"),)}  # noqa: RUF012
    RETURN_TYPES = ("MODEL",)

    def run(self, ckpt_name: str, context: NodeContext) -> tuple[Model]:
        return (Model(int(context.folders.path("checkpoints", ckpt_name).read_text())),)


class Opaque(_Node):
    """An object that no cache on disk keeps, and that is no model."""

    RETURN_TYPES = ("THING",)

    def run(self, context: NodeContext) -> tuple[Model]:
        return (Model(1),)


class Sample(_Node):
    """The weight times a number."""

    REQUIRED = {"model": ("MODEL",), "value": ("INT", {})}  # noqa: RUF012

    def run(self, model: Model, value: int, context: NodeContext) -> tuple[int]:
        return (model.weight * value,)


class Say(_Node):
    """A text, which may be secret, and fails on demand."""

    REQUIRED = {"text": ("STRING", {}), "api_key": ("STRING", {"default": ""})}  # noqa: RUF012
    RETURN_TYPES = ("STRING",)

    def run(self, text: str, api_key: str, context: NodeContext) -> tuple[str]:
        if text == "fail":
            raise ValueError("as it was told")
        return (text,)


class Restless(_Node):
    """IS_CHANGED says what it is told."""

    REQUIRED = {"answer": ("FLOAT", {})}  # noqa: RUF012
    ASKED: list[float] = []  # noqa: RUF012 (counts for the test)

    @classmethod
    def IS_CHANGED(cls, answer: float) -> float:
        cls.ASKED.append(answer)
        return float("nan") if answer < 0 else answer

    def run(self, answer: float, context: NodeContext) -> tuple[int]:
        return (7,)


class Either(_Node):
    """One of two numbers; only that one is computed."""

    REQUIRED = {  # noqa: RUF012
        "first": ("INT", {"lazy": True}),
        "second": ("INT", {"lazy": True}),
        "take": ("INT", {}),
    }

    def check_lazy_status(self, take: int, first: int | None = None, second: int | None = None) -> list[str]:
        return ["first"] if take == 1 and first is None else ["second"] if take != 1 and second is None else []

    def run(self, take: int, context: NodeContext, first: int = 0, second: int = 0) -> tuple[int]:
        return (first if take == 1 else second,)


class Show(_Node):
    """Shows anything."""

    REQUIRED = {"value": ("*",)}  # noqa: RUF012
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, value: object, context: NodeContext) -> dict[str, Any]:
        return {"ui": {"text": [str(value)]}}


class Save(Show):
    """Writes a value to a file named after it."""

    def run(self, value: object, context: NodeContext) -> dict[str, Any]:
        name = f"{value}.txt"
        (context.folders.output / name).write_text(str(value))
        return {"ui": {"files": [{"filename": name, "subfolder": "", "type": "output"}]}}


KINDS = (Half, Sum, LoadModel, Sample, Say, Restless, Either, Opaque, Show, Save)


class PlainStore(MemoryStore):
    """What a disk keeps: no models."""

    def put(self, key: str, outputs: Outputs) -> bool:
        """Keep plain data."""
        if any(isinstance(item, Model) for items in outputs.slots for item in items):
            return False
        return super().put(key, outputs)


@dataclass
class Bench:
    """One cache and one workflow file; each call is a process of its own. `code` and `packages` are versions."""

    folders: Folders
    root: Path
    code: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=lambda: {"torch": "2.12"})
    device: str = "cpu"
    store: PlainStore = field(default_factory=PlainStore)

    @property
    def file(self) -> Path:
        """Where the workflow is."""
        return self.root / "flow.json"

    @property
    def records(self) -> RecordFolder:
        """The records of its runs."""
        return RecordFolder(self.root / "runs")

    def engine(self) -> Engine:
        """The engine of a new process."""
        registry = NodeRegistry(
            replace(
                define(kind.__name__, kind, module="custom_nodes.ComfyUI-Foo"),
                code={f"{kind.__name__.lower()}.py": self.code.get(kind.__name__, "1")},
                packages=self.packages,
            )
            for kind in KINDS
        )
        return Engine(registry, self.store, self.folders, LocalExecutor(), self.device, records=self.records)

    def run(self, nodes: Nodes, targets: list[str] | None = None) -> RunResult:
        """Run the nodes and record it."""
        goals = [NodeId(target) for target in targets] if targets else None
        return self.engine().run(workflow(nodes), targets=goals, record_as=self.file)

    def foresee(self, nodes: Nodes, *, ask: bool = False) -> Foresight:
        """What a run of the nodes would do."""
        return self.engine().foresee(workflow(nodes), record_as=self.file, ask=ask)

    def causes(self, nodes: Nodes) -> list[Cause]:
        """Why they would run."""
        foresight = self.foresee(nodes)
        return foresight.causes.of(running(foresight))


def running(foresight: Foresight) -> list[NodeId]:
    """The nodes that run, perhaps."""
    return [node_id for node_id, foreseen in foresight.of.items() if foreseen.fate in ("runs", "perhaps")]


def fates(foresight: Foresight) -> dict[str, str]:
    """What becomes of each node."""
    return {node_id: foreseen.fate for node_id, foreseen in foresight.of.items()}
