"""What two runs have otherwise."""

import pytest

from graphengine.provenance.history.comparison import Agreement, compare_runs
from graphengine.provenance.history.past_run import GitState, Machine, PastNode, PastRun, UsedFile, UsedPack
from graphengine.provenance.history.words import counts, fact_text, short_id, when
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
from tests.provenance.history.past_runs import output, past_run

FLOW = Workflow(
    {
        NodeId("1"): WorkflowNode("Number", {"value": 5}),
        NodeId("2"): WorkflowNode("Save", {"value": Link(NodeId("1"), 0), "filename_prefix": "a"}),
    }
)


def saved(number: int, digest: str, text: str) -> PastRun:
    nodes = {
        "1": PastNode("Number", f"key {number}", "executed", 0.5, (digest,)),
        "2": PastNode("Save", "b", "cached"),
    }
    return past_run(number, nodes=nodes, outputs=(output(text),))


def test_equal_runs_differ_in_nothing() -> None:
    found = compare_runs(past_run(1), past_run(2))
    assert (found.facts, found.first, found.is_changed) == ((), None, False)


def test_what_differs_is_named_with_both_values() -> None:
    machine = Machine("0.1.0", "3.12.1", "linux-x86_64", "cpu", "2.13.0")
    old = past_run(1, seeds={"3.seed": 1}, parameters={"3.steps": 4, "3.seed": 1}, git=GitState("a" * 40, True))
    new = past_run(
        2,
        seeds={"3.seed": 2},
        parameters={"3.seed": 2},
        git=GitState("b" * 40, False, "main"),
        lock="c" * 64,
        machine=machine,
        packs=(UsedPack("image", "1.0", "d" * 16),),
        files=(UsedFile("1", "ckpt", "checkpoints", "tiny.safetensors", "/m/tiny.safetensors", "e" * 64),),
        environment={"fast": "yes", "device": "cpu"},
    )
    assert [fact_text(fact) for fact in compare_runs(old, new).facts] == [
        "3.seed 1 → 2",
        "3.steps 4 → none",
        "git commit aaaaaaaaaaaa → bbbbbbbbbbbb",
        "git clean true → false",
        "git branch none → main",
        "the lock file none → cccccccccccc",
        "version python 3.11.7 → 3.12.1",
        "environment fast none → yes",
        "pack image none → 1.0 dddddddddddddddd",
        "1.ckpt none → tiny.safetensors eeeeeeeeeeee",
    ]


def test_true_and_one_are_not_the_same_setting() -> None:
    found = compare_runs(past_run(1, parameters={"1.value": True}), past_run(2, parameters={"1.value": 1}))
    assert [(fact.old, fact.new) for fact in found.facts] == [(True, 1)]


def test_the_first_node_that_gave_another_result_is_named_in_the_order_of_the_run() -> None:
    nodes = {"7": PastNode("A", "k", "executed", 1.0, ("same",)), "3": PastNode("B", "k", "executed", 1.0, ("x",))}
    other = {**nodes, "3": PastNode("B", "k", "executed", 1.0, ("y",)), "1": PastNode("C", "k", "executed")}
    found = compare_runs(past_run(1, nodes=nodes), past_run(2, nodes=other))
    assert found.first == "3"
    assert [(pair.node_id, pair.is_same) for pair in found.nodes] == [("7", True), ("3", False), ("1", None)]


@pytest.mark.parametrize(
    ("old", "new", "agreement"),
    [
        (saved(1, "same", "a"), saved(2, "same", "a"), "identical"),
        (saved(1, "same", "a"), saved(2, "same", "b"), "same content"),
        (saved(1, "one", "a"), saved(2, "other", "b"), "different"),
        (past_run(1), saved(2, "same", "a"), "only one"),
    ],
)
def test_outputs_agree_in_bytes_in_content_or_not(old: PastRun, new: PastRun, agreement: Agreement) -> None:
    found = compare_runs(old, new, FLOW, FLOW)
    assert [pair.agreement for pair in found.outputs] == [agreement]
    assert found.is_changed is (agreement in ("different", "only one"))


def test_without_their_workflows_files_of_other_bytes_are_different() -> None:
    assert compare_runs(saved(1, "same", "a"), saved(2, "same", "b")).is_changed


def test_runs_are_told_in_few_words() -> None:
    run = past_run(10)
    assert (short_id(run), counts(run)) == ("00000a", "2 run")
    assert when(1e30) == "1e+30"
