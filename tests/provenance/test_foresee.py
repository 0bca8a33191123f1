"""What a run will do, told before it."""

from pathlib import Path

import pytest

from graphengine.errors import NodeExecutionError
from graphengine.execution.forecast import Foreseen
from graphengine.node.folders import Folders
from graphengine.workflow.models import NodeId
from tests.provenance.bench import Bench, Nodes, Restless, fates

CHAIN: Nodes = {
    "1": ("Half", {"value": 6}),
    "2": ("Sum", {"a": ["1", 0], "b": 1}),
    "3": ("Show", {"value": ["2", 0]}),
}
SAMPLED: Nodes = {
    "1": ("LoadModel", {"ckpt_name": "m.safetensors"}),
    "2": ("Half", {"value": 6}),
    "3": ("Sample", {"model": ["1", 0], "value": ["2", 0]}),
    "4": ("Show", {"value": ["3", 0]}),
}
ASKED: Nodes = {"1": ("Restless", {"answer": 1.0}), "2": ("Show", {"value": ["1", 0]})}
EITHER: Nodes = {
    "1": ("Half", {"value": 6}),
    "2": ("Half", {"value": 8}),
    "3": ("Either", {"first": ["1", 0], "second": ["2", 0], "take": 1}),
    "4": ("Show", {"value": ["3", 0]}),
}


def test_all_runs_where_nothing_ran_before(bench: Bench) -> None:
    assert set(fates(bench.foresee(CHAIN)).values()) == {"runs"}


def test_after_a_run_its_output_is_cached_and_nothing_else_is_needed(bench: Bench) -> None:
    bench.run(CHAIN)
    assert fates(bench.foresee(CHAIN)) == {"1": "not needed", "2": "not needed", "3": "cached"}


def test_what_is_behind_a_changed_node_is_perhaps_cut_off(bench: Bench) -> None:
    bench.run(CHAIN)
    foresight = bench.foresee({**CHAIN, "1": ("Half", {"value": 7})})
    assert dict(foresight.of) == {
        "1": Foreseen("runs", "no result"),
        "2": Foreseen("perhaps", "cut off", NodeId("1")),
        "3": Foreseen("perhaps", "cut off", NodeId("2")),
    }


def test_a_changed_node_behind_a_changed_node_runs(bench: Bench) -> None:
    bench.run(CHAIN)
    changed: Nodes = {**CHAIN, "1": ("Half", {"value": 7}), "2": ("Sum", {"a": ["1", 0], "b": 2})}
    assert fates(bench.foresee(changed)) == {"1": "runs", "2": "runs", "3": "perhaps"}


def test_a_loader_runs_for_the_node_that_must_be_called(bench: Bench) -> None:
    bench.run(SAMPLED)
    assert bench.foresee({**SAMPLED, "3": ("Sample", {"model": ["1", 0], "value": 5})}).of[
        NodeId("1")
    ] == Foreseen("runs", "read", NodeId("3"))


def test_a_loader_runs_perhaps_for_a_node_that_is_perhaps_cut_off(bench: Bench) -> None:
    bench.run(SAMPLED)
    foresight = bench.foresee({**SAMPLED, "2": ("Half", {"value": 7})})
    assert fates(foresight) == {"1": "perhaps", "2": "runs", "3": "perhaps", "4": "perhaps"}


def test_a_file_of_another_name_and_the_same_bytes_leaves_all_cached(bench: Bench) -> None:
    bench.run(SAMPLED)
    folder = bench.folders.models["checkpoints"][0]
    (folder / "m.safetensors").rename(folder / "n.safetensors")
    foresight = bench.foresee({**SAMPLED, "1": ("LoadModel", {"ckpt_name": "n.safetensors"})})
    assert foresight.of[NodeId("3")] == Foreseen("cached", "same content")
    assert foresight.of[NodeId("4")] == Foreseen("cached", "same content")
    assert foresight.of[NodeId("1")].fate == "not needed"


def test_lazy_inputs_are_asked_for_perhaps(bench: Bench) -> None:
    assert bench.foresee(EITHER).of[NodeId("2")] == Foreseen("perhaps", "lazy", NodeId("3"))
    assert set(bench.run(EITHER).executed) == {"1", "3", "4"}


def test_is_changed_is_not_asked_unless_it_may_be(bench: Bench) -> None:
    bench.run(ASKED)
    Restless.ASKED.clear()
    foresight = bench.foresee(ASKED)
    assert Restless.ASKED == []
    assert foresight.of[NodeId("1")] == Foreseen("perhaps", "asks", NodeId("1"))
    assert foresight.of[NodeId("2")] == Foreseen("perhaps", "asks", NodeId("1"))
    assert fates(bench.foresee(ASKED, ask=True)) == {"1": "not needed", "2": "cached"}
    assert Restless.ASKED == [1.0]


def test_a_node_that_says_it_always_changes_runs(bench: Bench) -> None:
    nodes: Nodes = {"1": ("Restless", {"answer": -1.0}), "2": ("Show", {"value": ["1", 0]})}
    bench.run(nodes)
    foresight = bench.foresee(nodes, ask=True)
    assert foresight.of[NodeId("1")] == Foreseen("runs", "always")
    assert foresight.of[NodeId("2")] == Foreseen("perhaps", "cut off", NodeId("1"))


def test_a_node_that_was_never_asked_whether_it_changed_runs(bench: Bench) -> None:
    assert bench.foresee(ASKED).of[NodeId("1")] == Foreseen("runs", "no result")
    always: Nodes = {**ASKED, "1": ("Restless", {"answer": -1.0})}
    bench.run(always)
    Restless.ASKED.clear()
    assert bench.foresee(always).of[NodeId("1")] == Foreseen("runs", "always")
    assert Restless.ASKED == []


def test_of_equal_nodes_one_runs(bench: Bench) -> None:
    twins: Nodes = {**CHAIN, "4": ("Half", {"value": 6}), "5": ("Show", {"value": ["4", 0]})}
    foreseen = bench.foresee(twins).of
    assert {foreseen[NodeId(each)].why for each in ("1", "4")} == {"no result", "equal"}
    assert len({"1", "4"} & set(bench.run(twins).executed)) == 1


def test_foreseeing_changes_nothing_in_the_store(bench: Bench) -> None:
    bench.run(CHAIN)
    before = bench.store.stats()
    bench.foresee({**CHAIN, "1": ("Half", {"value": 7})})
    assert bench.store.stats() == before


def test_after_a_failure_the_rest_is_foreseen_from_the_run_before(bench: Bench) -> None:
    says: Nodes = {"1": ("Say", {"text": "a", "api_key": ""}), "2": ("Show", {"value": ["1", 0]})}
    bench.run(says)
    failing: Nodes = {**says, "1": ("Say", {"text": "fail", "api_key": ""})}
    with pytest.raises(NodeExecutionError):
        bench.run(failing)
    assert fates(bench.foresee(failing)) == {"1": "runs", "2": "perhaps"}
    assert fates(bench.foresee(says)) == {"1": "not needed", "2": "cached"}


def test_workflows_without_a_file_are_known_by_their_shape(folders: Folders, tmp_path: Path) -> None:
    from tests.workflows import workflow

    bench = Bench(folders, tmp_path)
    bench.engine().run(workflow(CHAIN))
    changed = workflow({**CHAIN, "1": ("Half", {"value": 7})})
    assert len(bench.engine().foresee(changed).past) == 1
    assert bench.engine().foresee(workflow(SAMPLED), [NodeId("2")]).past == ()
