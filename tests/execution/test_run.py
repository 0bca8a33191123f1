import os
from dataclasses import dataclass, field

import pytest

from graphengine.cache.hashing import FileStamp, fingerprint_file
from graphengine.cache.store import CacheStore, MemoryStore, Outputs
from graphengine.errors import NodeExecutionError, RunCancelled
from graphengine.execution.dynamic_prompt import DynamicPrompt
from graphengine.execution.events import Event, NodeFailed, NodeProgress, RunFinished, event_to_json
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.hooks import RunHooks
from graphengine.execution.keys import NodeKeys
from graphengine.execution.known import KnownNodes
from graphengine.execution.result import RunResult
from graphengine.execution.run import Run
from graphengine.execution.shown import SavedFiles
from graphengine.graph.graph import build_graph
from graphengine.graph.plan import make_plan
from graphengine.node.folders import Folders
from graphengine.workflow.models import NodeId, Workflow
from tests.sample_nodes import sample_registry
from tests.workflows import workflow

SUM = workflow(
    {
        "1": ("Number", {"value": 1}),
        "2": ("Number", {"value": 2}),
        "3": ("Add", {"a": ["1", 0], "b": ["2", 0]}),
        "4": ("Show", {"value": ["3", 0]}),
    }
)


class DictMemo:
    """Remembers fingerprints of files in a dict."""

    def __init__(self) -> None:
        self.known: dict[FileStamp, str] = {}

    def recall(self, stamp: FileStamp) -> str | None:
        return self.known.get(stamp)

    def remember(self, stamp: FileStamp, fingerprint: str) -> None:
        self.known[stamp] = fingerprint


@dataclass
class Bench:
    """A store and the events of the last run."""

    store: CacheStore = field(default_factory=MemoryStore)
    folders: Folders = field(default_factory=Folders)
    events: list[Event] = field(default_factory=list)
    cancel_at: type[Event] | None = None
    memo: DictMemo | None = None

    def run(self, given: Workflow) -> RunResult:
        self.events.clear()
        plan = make_plan(build_graph(given, sample_registry(), self.folders))
        known = KnownNodes(
            plan, NodeKeys(self.folders, fingerprint_file), DynamicPrompt(given), sample_registry().get
        )
        hooks = RunHooks(self.events.append, self.is_cancelled)
        return Run(known, self.store, LocalExecutor(), SavedFiles(self.folders, self.memo), hooks=hooks).execute()

    def is_cancelled(self) -> bool:
        return self.cancel_at is not None and any(isinstance(event, self.cancel_at) for event in self.events)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
def bench(folders: Folders) -> Bench:
    return Bench(folders=folders)


def test_a_run_gives_what_the_targets_show(bench: Bench) -> None:
    result = bench.run(SUM)
    assert result.ui == {"4": {"text": ["3"]}}
    assert list(result.executed) == ["1", "2", "3", "4"]


def test_events_tell_the_run_in_order(bench: Bench) -> None:
    bench.run(SUM)
    assert bench.kinds() == ["run_started", *["node_started", "node_finished"] * 4, "run_finished"]
    assert event_to_json(bench.events[1]) == {
        "kind": "node_started",
        "node_id": "1",
        "class_type": "Number",
        "title": None,
        "origin": None,
        "expanded": None,
    }


def test_a_second_run_takes_the_targets_from_the_cache_and_looks_no_further(bench: Bench) -> None:
    first = bench.run(SUM)
    second = bench.run(SUM)
    assert bench.kinds() == ["run_started", "node_cached", "run_finished"]
    assert (second.executed, second.cached, second.ui) == ({}, ("4",), first.ui)


def test_a_changed_literal_reruns_exactly_what_is_downstream(bench: Bench) -> None:
    bench.run(SUM)
    changed = workflow(
        {
            "1": ("Number", {"value": 1}),
            "2": ("Number", {"value": 5}),
            "3": ("Add", {"a": ["1", 0], "b": ["2", 0]}),
            "4": ("Show", {"value": ["3", 0]}),
        }
    )
    result = bench.run(changed)
    assert list(result.executed) == ["2", "3", "4"]
    assert result.cached == ("1",)
    assert result.ui == {"4": {"text": ["6"]}}


def test_ids_and_the_order_of_keys_do_not_matter_to_the_cache(bench: Bench) -> None:
    bench.run(SUM)
    renamed = workflow(
        {
            "z": ("Show", {"value": ["y", 0]}),
            "y": ("Add", {"b": ["x", 0], "a": ["w", 0]}),
            "x": ("Number", {"value": 2}),
            "w": ("Number", {"value": 1}),
        }
    )
    assert bench.run(renamed).executed == {}


def test_equal_nodes_run_once(bench: Bench) -> None:
    twins = workflow(
        {
            "1": ("Number", {"value": 4}),
            "2": ("Number", {"value": 4}),
            "3": ("Add", {"a": ["1", 0], "b": ["2", 0]}),
            "4": ("Show", {"value": ["3", 0]}),
        }
    )
    result = bench.run(twins)
    assert list(result.executed) == ["1", "3", "4"]
    assert result.ui == {"4": {"text": ["8"]}}


def test_a_node_that_is_always_changed_runs_again_and_what_is_after_it_only_for_another_value(
    bench: Bench,
) -> None:
    restless = workflow({"1": ("Restless", {}), "2": ("Show", {"value": ["1", 0]})})
    bench.run(restless)
    assert list(bench.run(restless).executed) == ["1"]


def test_an_error_names_the_node_and_keeps_its_cause(bench: Bench) -> None:
    failing = workflow({"7": ("Fail", {"message": "no luck"}), "8": ("Show", {"value": ["7", 0]})})
    with pytest.raises(NodeExecutionError, match=r"node 7 \(Fail\): ValueError: no luck") as caught:
        bench.run(failing)
    assert isinstance(caught.value.__cause__, ValueError)
    assert isinstance(bench.events[-2], NodeFailed)
    assert bench.events[-1] == RunFinished("error", bench.events[-1].seconds, 0, 0)  # type: ignore[union-attr]


def test_what_finished_before_an_error_stays_in_the_cache(bench: Bench) -> None:
    half: dict[str, tuple[str, dict[str, object]]] = {
        "1": ("Number", {"value": 3}),
        "2": ("Show", {"value": ["1", 0]}),
    }
    broken = workflow({**half, "7": ("Fail", {"message": "x"}), "8": ("Show", {"value": ["7", 0]})})
    with pytest.raises(NodeExecutionError):
        bench.run(broken)
    assert bench.run(workflow(half)).executed == {}


def test_a_cancelled_run_stops_inside_a_node_at_its_next_step(bench: Bench) -> None:
    bench.cancel_at = NodeProgress
    with pytest.raises(RunCancelled):
        bench.run(workflow({"1": ("Count", {"steps": 5}), "2": ("Show", {"value": ["1", 0]})}))
    assert bench.kinds() == ["run_started", "node_started", "node_progress", "run_interrupted", "run_finished"]
    assert isinstance(bench.events[-1], RunFinished)
    assert bench.events[-1].status == "cancelled"


def test_progress_counts_the_steps_of_a_node(bench: Bench) -> None:
    bench.run(workflow({"1": ("Count", {"steps": 3}), "2": ("Show", {"value": ["1", 0]})}))
    assert [event for event in bench.events if isinstance(event, NodeProgress)] == [
        NodeProgress(NodeId("1"), step, 3) for step in (1, 2, 3)
    ]


def test_a_list_output_calls_the_next_node_once_per_item(bench: Bench) -> None:
    fan = workflow(
        {
            "1": ("Split", {"n": 4}),
            "2": ("Add", {"a": ["1", 0], "b": 10}),
            "3": ("Total", {"values": ["2", 0]}),
            "4": ("Show", {"value": ["2", 0]}),
            "5": ("Show", {"value": ["3", 0]}),
        }
    )
    assert bench.run(fan).ui == {"4": {"text": ["10", "11", "12", "13"]}, "5": {"text": ["46"]}}


def test_a_changed_model_file_reruns_its_loader(bench: Bench) -> None:
    model = bench.folders.models["checkpoints"][0] / "m.safetensors"
    model.write_bytes(b"first")
    inputs = {"mode": "fast", "strength": 1.0, "ckpt_name": "m.safetensors"}
    graph = workflow({"1": ("Choose", inputs), "2": ("Show", {"value": ["1", 0]})})
    bench.run(graph)
    assert bench.run(graph).executed == {}
    model.write_bytes(b"second")
    assert list(bench.run(graph).executed) == ["1"]


class ForgetfulStore(MemoryStore):
    """Promises every entry and has lost the values of some."""

    def __init__(self, lost: int) -> None:
        super().__init__()
        self.lost = lost

    def get(self, key: str) -> Outputs | None:
        if self.lost:
            self.lost -= 1
            return None
        return super().get(key)


def test_an_entry_that_turns_out_damaged_is_made_again(folders: Folders) -> None:
    bench = Bench(ForgetfulStore(lost=0), folders)
    bench.run(SUM)
    assert isinstance(bench.store, ForgetfulStore)
    bench.store.lost = 1
    other = workflow(
        {"1": ("Number", {"value": 1}), "5": ("Add", {"a": ["1", 0], "b": 1}), "6": ("Show", {"value": ["5", 0]})}
    )
    assert bench.run(other).ui == {"6": {"text": ["2"]}}


def test_an_output_whose_file_is_gone_is_written_again(bench: Bench) -> None:
    saving = workflow({"1": ("Number", {"value": 6}), "2": ("Save", {"value": ["1", 0]})})
    bench.run(saving)
    assert bench.run(saving).executed == {}
    (bench.folders.output / "6.txt").unlink()
    assert list(bench.run(saving).executed) == ["2"]
    assert (bench.folders.output / "6.txt").read_text() == "6"


def test_an_output_whose_file_was_changed_is_written_again_but_not_when_it_was_touched(
    bench: Bench,
) -> None:
    bench.memo = DictMemo()
    saving = workflow({"1": ("Number", {"value": 6}), "2": ("Save", {"value": ["1", 0]})})
    bench.run(saving)
    saved = bench.folders.output / "6.txt"
    os.utime(saved, (1, 1))
    assert bench.run(saving).executed == {}
    saved.write_text("spoilt")
    assert list(bench.run(saving).executed) == ["2"]
    assert saved.read_text() == "6"


def test_a_value_without_a_hash_makes_its_node_run_every_time(bench: Bench) -> None:
    odd = workflow({"1": ("Show", {"value": {"x": float("nan")}})})
    bench.run(odd)
    assert list(bench.run(odd).executed) == ["1"]
