"""Secrets are planted in a workflow in every way that there is; afterwards none is in any file of the run."""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphengine.cache.disk import DiskStore
from graphengine.engine import Engine
from graphengine.errors import NodeExecutionError
from graphengine.execution.events import Event
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.hidden import RunExtra
from graphengine.node.api import NodeContext
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.node.secrets import HIDDEN
from graphengine.packs.discover import Pack
from graphengine.packs.installing.ledger import InstalledPack, Ledger
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import UsedPack
from graphengine.recording.past_run import used_pack
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

# Put together from parts, so that nobody who searches this repository for keys finds some.
NAMED, DECLARED, TYPED, GIVEN = ("planted-by-name", "planted-by-option", "planted-by-type", "planted-over-a-link")
MUTED, DRAWN, TOKEN = "planted-in-a-muted-node", "planted-in-a-primitive", "hf_" + "Planted0123456789abc"
PLANTED = (NAMED, DECLARED, TYPED, GIVEN, MUTED, DRAWN, TOKEN)


class Ask:
    """Asks a service; tells whether it was given the real secrets."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    given: ClassVar[list[tuple[str, ...]]] = []

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "api_key": ("STRING", {}),
                "phrase": ("STRING", {"password": True}),
                "login": ("SECRET", {}),
                "hf_token": ("STRING", {}),
                "text": ("STRING", {"multiline": True}),
                "fails": ("BOOLEAN", {"default": False}),
            }
        }

    def run(self, api_key: str, phrase: str, login: str, hf_token: str, text: str, fails: bool) -> tuple[int]:
        Ask.given.append((api_key, phrase, login, hf_token, text))
        if fails:
            raise ValueError(f"the service refuses {api_key} and {text}")
        return (len(text),)


class Text:
    """Gives a text."""

    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"value": ("STRING", {})}}

    def run(self, value: str) -> tuple[str]:
        return (value,)


class Paint:
    """Saves a picture as the built-in nodes do, and the same texts compressed."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        hidden = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "context": "GRAPHENGINE_CONTEXT"}
        return {"required": {"value": ("INT", {})}, "hidden": hidden}

    def run(
        self, value: int, context: NodeContext, prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        texts = PngInfo()
        for name, document in {"prompt": prompt, **extra_pnginfo}.items():
            if document is not None:
                texts.add_text(name, json.dumps(document))
        name = f"{value}_{len(list(context.folders.output.iterdir()))}.png"
        Image.new("L", (2, 2), value % 256).save(context.folders.output / name, pnginfo=texts)
        return {"ui": {"images": [{"filename": name, "subfolder": "", "type": "output"}]}}


def flow(*, fails: bool = False) -> Workflow:
    asked: dict[str, Any] = {
        "api_key": NAMED,
        "phrase": DECLARED,
        "login": TYPED,
        "hf_token": Link(NodeId("1"), 0),
    }
    asked |= {"text": f"my key is {TOKEN}, draw a fox", "fails": fails}
    nodes = {
        NodeId("1"): WorkflowNode("Text", {"value": GIVEN}),
        NodeId("2"): WorkflowNode("Ask", asked),
        NodeId("3"): WorkflowNode("Paint", {"value": Link(NodeId("2"), 0)}),
    }
    values = [NAMED, DECLARED, TYPED, GIVEN, f"my key is {TOKEN}, draw a fox", fails]
    drawn = {
        "nodes": [
            {"id": 1, "type": "Text", "widgets_values": [GIVEN]},
            {"id": 2, "type": "Ask", "widgets_values": values, "title": f"with {NAMED}"},
            {"id": 4, "type": "Ask", "mode": 2, "widgets_values": ["", MUTED, "", MUTED, "a fox", False]},
            {
                "id": 5,
                "type": "PrimitiveNode",
                "outputs": [{"name": "STRING", "widget": {"name": "api_key"}}],
                "widgets_values": [DRAWN, "fixed"],
            },
            {"id": 6, "type": "Note", "widgets_values": [f"use {TOKEN}"]},
        ],
        "links": [],
        "extra": {"remember": {"key": NAMED}},
    }
    return Workflow(nodes, drawn, changed={"2.api_key": NAMED, "2.text": f"my key is {TOKEN}, draw a fox"})


@dataclass(frozen=True, slots=True)
class Project:
    engine: Engine
    folder: Path

    @property
    def history(self) -> History:
        assert self.engine.history is not None
        return self.engine.history


@pytest.fixture
def project(tmp_path: Path, folders: Folders) -> Iterator[Project]:
    Ask.given.clear()
    definitions = [
        define(name, kind, module="tests") for name, kind in (("Ask", Ask), ("Text", Text), ("Paint", Paint))
    ]
    store = DiskStore(tmp_path / "cache")
    with Engine(
        registry=NodeRegistry(definitions),
        store=store,
        folders=folders,
        executor=LocalExecutor(),
        device="cpu",
        memo=store,
        records=RecordFolder(tmp_path / "cache" / "runs"),
        history=History(tmp_path / ".graphengine"),
    ) as engine:
        yield Project(engine, tmp_path)


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """The bytes of all files, compressed ones and the texts of pictures opened."""
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        data = path.read_bytes()
        yield path, data
        with suppress(OSError, EOFError, zlib.error):
            yield path, gzip.decompress(data)
        if path.suffix == ".png":
            with Image.open(path) as picture:
                yield path, repr(picture.info).encode()


def planted(folder: Path) -> set[tuple[str, str]]:
    return {
        (path.name, secret) for path, data in contents(folder) for secret in PLANTED if secret.encode() in data
    }


def test_nodes_are_given_the_real_values(project: Project) -> None:
    project.engine.run(flow())
    assert Ask.given == [(NAMED, DECLARED, TYPED, GIVEN, f"my key is {TOKEN}, draw a fox")]


def test_no_file_of_a_run_holds_a_planted_secret(project: Project) -> None:
    events: list[Event] = []
    project.engine.run(flow(), on_event=events.append, record_as=project.folder / "flow.json")
    project.engine.run(flow(), on_event=events.append)
    project.engine.close()
    assert len(list(contents(project.folder))) > 8
    assert planted(project.folder) == set()
    assert not [secret for secret in PLANTED if secret in repr(events)]


def test_no_file_of_a_failed_run_and_no_message_holds_one(project: Project) -> None:
    events: list[Event] = []
    with pytest.raises(NodeExecutionError) as failed:
        project.engine.run(flow(fails=True), on_event=events.append)
    assert (
        failed.value.message
        == f"node 2 (Ask): ValueError: the service refuses {HIDDEN} and my key is {HIDDEN}, draw a fox"
    )
    project.engine.close()
    assert planted(project.folder) == set()
    assert not [secret for secret in PLANTED if secret in repr(events)]
    assert [run.failure is not None and run.failure.node_id for run in project.history.runs()] == ["2"]


def test_what_is_no_secret_stays(project: Project) -> None:
    project.engine.run(flow())
    (run,) = project.history.runs()
    document = project.history.document(run.workflow)
    assert document["2"]["inputs"] == {
        "api_key": HIDDEN,
        "phrase": HIDDEN,
        "login": HIDDEN,
        "hf_token": ["1", 0],
        "text": f"my key is {HIDDEN}, draw a fox",
        "fails": False,
    }
    assert run.parameters == {"2.api_key": HIDDEN, "2.text": f"my key is {HIDDEN}, draw a fox"}
    assert run.drawn is not None
    nodes = {node["id"]: node for node in project.history.document(run.drawn)["nodes"]}
    assert nodes[2]["widgets_values"] == [HIDDEN] * 4 + [f"my key is {HIDDEN}, draw a fox", False]
    assert nodes[4]["widgets_values"] == ["", HIDDEN, "", HIDDEN, "a fox", False]
    assert nodes[5]["widgets_values"][0] == HIDDEN


def test_a_document_of_a_client_is_cleaned_too(project: Project) -> None:
    extra = RunExtra(extra_pnginfo={"workflow": flow().ui, "note": "a text", "list": [1]})
    project.engine.run(Workflow(flow().nodes), extra=extra)
    project.engine.close()
    assert planted(project.folder) == set()
    (picture,) = (project.folder / "output").glob("*.png")
    with Image.open(picture) as opened:
        assert json.loads(opened.info["note"]) == "a text"


def test_a_text_that_is_given_as_a_secret_is_not_kept_and_what_reads_it_is(project: Project) -> None:
    first = project.engine.run(flow())
    second = project.engine.run(flow())
    assert set(first.executed) == {"1", "2", "3"}
    assert set(second.executed) == set()


def test_a_text_with_a_token_is_not_told_to_have_changed(project: Project) -> None:
    file = project.folder / "flow.json"
    project.engine.run(flow(), record_as=file)
    found = project.engine.foresee(flow(fails=True), record_as=file)
    causes = found.causes.of([NodeId("2")])
    assert [(cause.part, cause.old, cause.new) for cause in causes] == [("input:fails", False, True)]


def test_a_short_secret_takes_nothing_else_away(project: Project) -> None:
    nodes = {
        NodeId("1"): WorkflowNode("Text", {"value": "a fox"}),
        NodeId("3"): WorkflowNode("Paint", {"value": 5}),
        NodeId("9"): WorkflowNode("Ask", {"api_key": "x"}),
    }
    project.engine.run(Workflow(nodes), targets=[NodeId("3")])
    (run,) = project.history.runs()
    document = project.history.document(run.workflow)
    assert [document["1"]["inputs"], document["9"]["inputs"]] == [{"value": "a fox"}, {"api_key": HIDDEN}]


def test_the_address_of_a_pack_is_recorded_without_the_login_in_it(tmp_path: Path) -> None:
    (tmp_path / ".graphengine").mkdir()
    address, when = "https://me:hunter2@host.example/p.git", datetime(2026, 1, 1, tzinfo=UTC)
    Ledger(tmp_path).write(
        InstalledPack(name="small", source=address, kind="git", asked="", content="", commit="ab", installed=when)
    )
    used = used_pack(Pack("small", "small", tmp_path / "small"), "cd")
    assert used == UsedPack("small", None, "cd", "https://host.example/p.git", "ab")
