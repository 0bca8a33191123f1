"""What a run leaves in the history of a project, and what it saves."""

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from graphengine.cache.hashing import MemoryMemo
from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.errors import NodeExecutionError, RunCancelled
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.hidden import RunExtra
from graphengine.node.api import Files, NodeContext
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import PastRun
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
from tests.sample_nodes import sample_registry


class Write:
    """Saves a number with the documents that it is given."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        hidden = {"prompt": "PROMPT", "extra": "EXTRA_PNGINFO", "context": "GRAPHENGINE_CONTEXT"}
        return {"required": {"value": ("INT", {})}, "hidden": hidden}

    def run(self, value: int, context: NodeContext, prompt: Any = None, extra: Any = None) -> Mapping[str, Any]:
        name = f"{value}_{len(list(context.folders.output.iterdir()))}.json"
        (context.folders.output / name).write_text(json.dumps({"prompt": prompt, **extra}))
        return {"ui": {"files": [{"filename": name, "subfolder": "", "type": "output"}]}}


class Read:
    """The length of a file in the input folder, and a seed."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": (Files("input"),), "seed": ("INT", {"default": 0, "max": 2**64 - 1})}}

    def run(self, image: str, seed: int) -> tuple[int]:
        return (len(image),)


FLOW = Workflow(
    {
        NodeId("1"): WorkflowNode("Number", {"value": 5}, title="five"),
        NodeId("2"): WorkflowNode("Write", {"value": Link(NodeId("1"), 0)}),
    }
)


@pytest.fixture
def engine(tmp_path: Path, folders: Folders) -> Engine:
    registry = sample_registry()
    definitions = [registry[name] for name in registry]
    for name, kind in (("Write", Write), ("Read", Read)):
        definitions.append(define(name, kind, module="custom_nodes.pack"))
    return Engine(
        registry=NodeRegistry(definitions),
        store=MemoryStore(2**20),
        folders=folders,
        executor=LocalExecutor(),
        device="cpu",
        memo=MemoryMemo(),
        history=History(tmp_path / ".graphengine"),
    )


def runs(engine: Engine) -> list[PastRun]:
    assert engine.history is not None
    return list(engine.history.runs())


def saved(engine: Engine) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(engine.folders.output.iterdir())]


def test_a_saved_file_carries_the_id_of_the_run_and_the_run_its_hash(engine: Engine) -> None:
    engine.run(FLOW, record_as=engine.folders.output.parent / "flow.json")
    (run,) = runs(engine)
    (document,) = saved(engine)
    assert document["graphengine"] == {"run": run.id}
    assert document["prompt"]["1"]["inputs"] == {"value": 5}
    (output,) = run.outputs
    assert (output.path, output.is_new, run.file) == ("output/5_0.json", True, "flow.json")
    assert output.sha256 == sha256((engine.folders.output / "5_0.json").read_bytes()).hexdigest()


def test_a_cached_node_keeps_its_file_and_the_record_says_whose_it_is(engine: Engine) -> None:
    engine.run(FLOW)
    engine.run(FLOW)
    last, first = runs(engine)
    assert [document["graphengine"]["run"] for document in saved(engine)] == [first.id]
    assert last.outputs == (replace(first.outputs[0], is_new=False),)
    assert last.nodes["2"].state == "cached"
    assert last.nodes["1"].digests == first.nodes["1"].digests != ()


def test_keys_are_the_same_with_a_history_without_one_and_whatever_the_id(engine: Engine) -> None:
    engine.run(FLOW)
    engine.run(FLOW, extra=RunExtra(run_id="given"))
    plain = replace(engine, history=None).run(FLOW)
    assert (set(plain.executed), plain.cached) == (set(), ("2",))
    last, first = runs(engine)
    assert last.id == "given"
    assert {key: node.key for key, node in last.nodes.items()} == {
        key: node.key for key, node in first.nodes.items()
    }


def test_without_metadata_neither_is_taken_for_the_other(engine: Engine) -> None:
    stripped = replace(engine, strip_metadata=True)
    assert set(stripped.run(FLOW).executed) == {"1", "2"}
    assert set(engine.run(FLOW).executed) == {"2"}
    assert set(stripped.run(FLOW).executed) == set()
    bare, whole = saved(engine)
    assert bare == {"prompt": None}
    assert set(whole) == {"prompt", "graphengine"}


def test_without_a_history_outputs_carry_the_workflow_alone(engine: Engine) -> None:
    replace(engine, history=None).run(FLOW)
    assert [set(document) for document in saved(engine)] == [{"prompt"}]
    assert runs(engine) == []


def test_a_run_that_fails_or_is_stopped_is_recorded_as_far_as_it_came(engine: Engine) -> None:
    failing = Workflow(
        {
            NodeId("1"): WorkflowNode("Number", {"value": 5}),
            NodeId("2"): WorkflowNode("Fail", {"message": "no"}),
        }
    )
    shown = {NodeId("3"): WorkflowNode("Show", {"value": Link(NodeId("2"), 0)})}
    with pytest.raises(NodeExecutionError):
        engine.run(Workflow({**failing.nodes, **shown}))
    with pytest.raises(RunCancelled):
        engine.run(FLOW, is_cancelled=lambda: True)
    stopped, failed = runs(engine)
    assert (failed.status, failed.failure and failed.failure.node_id) == ("error", "2")
    assert (failed.nodes["2"].state, failed.nodes["3"].state) == ("failed", "not reached")
    assert (stopped.status, stopped.failure, stopped.outputs) == ("cancelled", None, ())


def test_files_seeds_packs_and_settings_are_named(engine: Engine) -> None:
    picture = engine.folders.input[0] / "a.png"
    picture.write_bytes(b"a picture")
    nodes = {
        NodeId("1"): WorkflowNode("Read", {"image": "a.png", "seed": 2**64 - 1}),
        NodeId("2"): WorkflowNode("Show", {"value": Link(NodeId("1"), 0)}),
    }
    engine.run(Workflow(nodes, changed={"1.seed": 2**64 - 1}), extra=RunExtra(parameters={"2.note": "x"}))
    (run,) = runs(engine)
    (file,) = run.files
    assert (file.node_id, file.input, file.kind, file.name, file.path) == (
        "1",
        "image",
        "input",
        "a.png",
        str(picture),
    )
    assert file.sha256 == sha256(b"a picture").hexdigest()
    assert (run.seeds, run.parameters) == ({"1.seed": 2**64 - 1}, {"1.seed": 2**64 - 1, "2.note": "x"})
    assert "custom_nodes.pack" in [pack.name for pack in run.packs]
    assert (run.machine.device, run.environment["float32_precision"]) == ("cpu", "highest")


def test_the_digest_of_the_lock_is_that_of_the_project(engine: Engine, tmp_path: Path) -> None:
    engine.run(FLOW)
    (tmp_path / "graphengine.lock").write_bytes(b"format = 1\n")
    engine.run(FLOW)
    assert [run.lock for run in runs(engine)] == [sha256(b"format = 1\n").hexdigest(), None]


def test_the_document_is_the_whole_workflow_and_the_same_for_every_run(engine: Engine) -> None:
    engine.run(FLOW, targets=[NodeId("2")])
    engine.run(Workflow(dict(reversed(list(FLOW.nodes.items())))))
    last, first = runs(engine)
    assert last.workflow == first.workflow
    assert engine.history is not None
    assert engine.history.document(first.workflow)["1"] == {
        "class_type": "Number",
        "inputs": {"value": 5},
        "_meta": {"title": "five"},
    }


class Meddle:
    """Changes the documents that it is given."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        hidden = {"prompt": "PROMPT", "extra": "EXTRA_PNGINFO"}
        return {"required": {"value": ("INT", {})}, "hidden": hidden}

    def run(self, value: int, prompt: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        prompt["1"]["inputs"]["value"] = 77
        extra["workflow"]["nodes"].clear()
        return {}


def test_what_nodes_do_to_the_documents_is_not_recorded(engine: Engine) -> None:
    engine.registry.add(define("Meddle", Meddle, module="custom_nodes.pack"))
    meddle = {NodeId("2"): WorkflowNode("Meddle", {"value": Link(NodeId("1"), 0)})}
    engine.run(Workflow({**FLOW.nodes, **meddle}, {"nodes": [{"id": 1}]}))
    (run,) = runs(engine)
    assert engine.history is not None
    assert run.drawn is not None
    assert engine.history.document(run.workflow)["1"]["inputs"] == {"value": 5}
    assert engine.history.document(run.drawn) == {"nodes": [{"id": 1}]}


def test_a_value_that_is_no_json_does_not_keep_a_run_from_being_recorded(engine: Engine) -> None:
    odd = Workflow({NodeId("1"): WorkflowNode("Show", {"value": 5, "extra": object()})})  # type: ignore[dict-item]
    engine.run(odd)
    (run,) = runs(engine)
    assert run.status == "success"


def test_a_history_that_cannot_be_written_disturbs_no_run(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    broken = replace(engine, history=History(tmp_path / "file" / ".graphengine"))
    for _ in range(2):
        assert broken.run(FLOW) is not None
    assert len(caplog.records) == 1
    assert "is not in the history" in caplog.records[0].getMessage()
