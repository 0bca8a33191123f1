"""What a class declares of its results, and what the engine makes of it."""

import os
from pathlib import Path
from typing import Any

import pytest

from graphengine.cache.disk import DiskStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.api import Files
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.words import cause_text
from graphengine.workflow.models import Workflow
from tests.workflows import workflow

# Any throughout: nodes are written as authors write them.

CALLS: list[str] = []
DECLARED = {"CACHEABLE": True, "PURE": True, "READS_FILES": ()}


class _Node:
    FUNCTION = "run"
    RETURN_TYPES: tuple[str, ...] = ("INT",)
    REQUIRED: dict[str, Any] = {"value": ("INT", {})}  # noqa: RUF012 (as authors write it)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": cls.REQUIRED}

    def run(self, **inputs: Any) -> Any:
        CALLS.append(type(self).__name__)
        return (self.give(**inputs),)

    def give(self, **inputs: Any) -> Any:
        return next(iter(inputs.values()))


class Plain(_Node):
    """Gives what it is given."""


class Private(_Node):
    CACHEABLE = False


class Dice(_Node):
    PURE = False


class Show(_Node):
    OUTPUT_NODE = True
    REQUIRED = {"value": ("*", {})}  # noqa: RUF012


class Text(_Node):
    RETURN_TYPES = ("*",)
    REQUIRED = {"text": ("STRING", {})}  # noqa: RUF012


class Count(_Node):
    """The size of what is at a path: a file's, or the sum of a folder's."""

    REQUIRED = {"path": ("STRING", {})}  # noqa: RUF012

    def give(self, **inputs: Any) -> Any:
        path = Path(inputs["path"])
        return sum(len(each.read_bytes()) for each in (path.iterdir() if path.is_dir() else [path]))


class CountDeclared(Count):
    READS_FILES = ("path",)


class CountChosen(Count):
    FOLDER = Path()
    REQUIRED = {"path": (Files("input"), {})}  # noqa: RUF012

    def give(self, **inputs: Any) -> Any:
        return len((self.FOLDER / inputs["path"]).read_bytes())


class Clip(_Node):
    RETURN_TYPES = ("CLIP",)


class Encode(_Node):
    REQUIRED = {"clip": ("CLIP", {}), "text": ("STRING", {})}  # noqa: RUF012


SILENT = {"Count": Count}
TOLD = (Plain, Private, Dice, Show, Text, CountDeclared, CountChosen, Clip, Encode)


class Place:
    """An engine on a folder, opened anew for each run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.input = root / "input"
        self.input.mkdir()
        self.embeddings = root / "embeddings"
        self.embeddings.mkdir()
        CountChosen.FOLDER = self.input

    def engine(self) -> Engine:
        definitions = [define(c.__name__, c, version="1", defaults=DECLARED) for c in TOLD]
        definitions += [define(name, c, version="1") for name, c in SILENT.items()]
        models = {"embeddings": (self.embeddings,)}
        folders = Folders((self.input,), self.root / "output", self.root / "temp", models)
        store, records = DiskStore(self.root / "cache"), RecordFolder(self.root / "runs")
        return Engine(
            NodeRegistry(definitions), store, folders, LocalExecutor(), "cpu", memo=store, records=records
        )

    def run(self, flow: Workflow) -> list[str]:
        """The classes that are called by a run."""
        CALLS.clear()
        with self.engine() as engine:
            engine.run(flow)
        return list(CALLS)

    def told(self, flow: Workflow, node_id: str) -> tuple[str, list[str]]:
        """What is foreseen of a node, and why it runs."""
        with self.engine() as engine:
            seen = engine.foresee(flow)
            node = next(each for each in seen.of if each == node_id)
            return seen.of[node].fate, [cause_text(cause, seen.now, 0.0) for cause in seen.causes.of([node])]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def chain(class_type: str, **inputs: Any) -> Workflow:
    return workflow({"1": (class_type, inputs), "2": ("Show", {"value": ["1", 0]})})


def test_what_is_not_cacheable_is_never_kept_and_called_only_when_it_is_read(place: Place) -> None:
    flow = chain("Private", value=1)
    assert place.run(flow) == ["Private", "Show"]
    assert place.run(flow) == []
    alone = workflow(
        {"1": ("Private", {"value": 1}), "3": ("Show", {"value": ["1", 0]}), "2": ("Show", {"value": 9})}
    )
    assert place.run(alone) == ["Show"]  # what reads it is kept, and it is not needed
    other = workflow(
        {"1": ("Private", {"value": 1}), "2": ("Plain", {"value": ["1", 0]}), "3": ("Show", {"value": ["2", 0]})}
    )
    assert place.run(other) == ["Private", "Plain"]


def test_it_is_told_that_a_result_is_never_kept(place: Place) -> None:
    flow = chain("Private", value=1)
    place.run(flow)
    with place.engine() as engine:
        seen = engine.foresee(flow, [next(iter(flow.nodes))])
        causes = [cause_text(cause, seen.now, 0.0) for cause in seen.causes.of(list(seen.of))]
    assert causes == ["the result of node 1 (Private) is never kept, as its class says"]


def test_what_is_not_pure_runs_every_time_and_what_reads_it_only_for_another_value(place: Place) -> None:
    flow = chain("Dice", value=1)
    assert place.run(flow) == ["Dice", "Show"]
    assert place.run(flow) == ["Dice"]
    fate, causes = place.told(flow, "1")
    assert fate == "runs"
    assert causes == ["node 1 (Dice) always runs: its class says that its results do not follow from its inputs"]


@pytest.mark.parametrize("class_type", ["CountDeclared", "Count"])
def test_the_bytes_at_a_path_count(place: Place, class_type: str) -> None:
    file = place.root / "table.csv"
    file.write_text("a,b")
    flow = chain(class_type, path=str(file))
    assert place.run(flow) == [class_type, "Show"]
    assert place.run(flow) == []
    os.utime(file, (1, 1))
    assert place.run(flow) == []
    file.write_text("a,b,c")
    assert place.told(flow, "1")[1] == ["table.csv has other bytes"]
    assert place.run(flow) == [class_type, "Show"]


def test_the_files_of_a_declared_folder_count(place: Place) -> None:
    folder = place.root / "frames"
    folder.mkdir()
    (folder / "1.png").write_bytes(b"12")
    flow = chain("CountDeclared", path=str(folder))
    assert place.run(flow) == ["CountDeclared", "Show"]
    assert place.run(flow) == []
    (folder / "2.png").write_bytes(b"345")
    assert place.run(flow) == ["CountDeclared", "Show"]


@pytest.mark.parametrize("class_type", ["CountDeclared", "CountChosen"])
def test_a_file_that_a_link_names_is_read_every_time(place: Place, class_type: str) -> None:
    (place.input / "a.txt").write_text("abc")
    name = "a.txt" if class_type == "CountChosen" else str(place.input / "a.txt")
    flow = workflow(
        {"1": ("Text", {"text": name}), "2": (class_type, {"path": ["1", 0]}), "3": ("Show", {"value": ["2", 0]})}
    )
    assert place.run(flow) == ["Text", class_type, "Show"]
    assert place.run(flow) == [class_type]
    (place.input / "a.txt").write_text("abcd")
    assert place.run(flow) == [class_type, "Show"]
    assert "known only when the node before it has run" in place.told(flow, "2")[1][0]


def test_a_device_or_a_text_that_is_no_path_hurts_nothing(place: Place) -> None:
    assert place.run(chain("Text", text="a\0b.txt")) == ["Text", "Show"]
    assert place.told(chain("CountDeclared", path="/dev/null"), "1")[0] == "runs"


@pytest.mark.parametrize("text", ["a photo, embedding:fox", "(embedding:fox:1.2), tree", "embedding:fox.pt"])
def test_the_bytes_of_an_embedding_that_a_text_names_count(place: Place, text: str) -> None:
    fox = place.embeddings / "fox.pt"
    fox.write_bytes(b"red")
    flow = workflow(
        {
            "1": ("Clip", {"value": 1}),
            "2": ("Encode", {"clip": ["1", 0], "text": text}),
            "3": ("Show", {"value": ["2", 0]}),
        }
    )
    place.run(flow)
    (place.embeddings / "other.pt").write_bytes(b"x")
    assert place.run(flow) == []
    fox.write_bytes(b"blue")
    assert "has other bytes" in place.told(flow, "2")[1][0]
    assert "Encode" in place.run(flow)


def test_where_a_link_gives_the_text_all_embeddings_count(place: Place) -> None:
    (place.embeddings / "fox.pt").write_bytes(b"red")
    flow = workflow(
        {
            "0": ("Text", {"text": "embedding:fox"}),
            "1": ("Clip", {"value": 1}),
            "2": ("Encode", {"clip": ["1", 0], "text": ["0", 0]}),
            "3": ("Show", {"value": ["2", 0]}),
        }
    )
    place.run(flow)
    assert place.run(flow) == []
    (place.embeddings / "fox.pt").write_bytes(b"blue")
    assert place.told(flow, "2")[1] == ["an embedding that node 2 (Encode) may read has other bytes"]
    assert "Encode" in place.run(flow)
