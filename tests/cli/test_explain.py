"""`graphengine explain`: why nodes run."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from graphengine.cache.disk import DiskStore
from graphengine.cli.plan_models import Explanation
from tests.cli.conftest import CommandLine
from tests.cli.test_plan import FLOW


@pytest.fixture
def flow(place: Path) -> Path:
    file = place / "flow.json"
    file.write_text(json.dumps(FLOW))
    return file


def explain(graphengine: CommandLine, *argv: str) -> str:
    done = graphengine("explain", "flow.json", *argv, "--device", "cpu")
    assert (done.code, done.err) == (0, "")
    return done.out


def test_before_a_first_run_there_is_nothing_to_compare_with(graphengine: CommandLine, flow: Path) -> None:
    assert explain(graphengine) == ("next run: 2 nodes will run\n  no earlier run of this workflow is recorded\n")


def test_without_a_change_it_says_so(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    said = explain(graphengine)
    assert said.startswith("nothing changed: a run would take all from the cache (1 node)\nlast run, today at ")
    graphengine("run", "flow.json")
    assert explain(graphengine).endswith(": all came from the cache\n")


def test_a_change_is_told_before_and_after_the_run(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    changed = ("--set", "1.value=6")
    expected = "  value of node 1 (PrimitiveInt) changed 5 → 6\n"
    assert explain(graphengine, *changed).startswith(f"next run: 1 node will run, 1 node perhaps\n{expected}")
    graphengine("run", "flow.json", *changed)
    assert explain(graphengine, *changed).endswith(f"2 nodes ran\n{expected}")


def test_a_node_is_told_what_changed_before_it(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    said = explain(graphengine, "PreviewAny", "--set", "1.value=6")
    assert said.startswith(
        "node 2 (PreviewAny) will perhaps run: cut off if node 1 gives the same\n"
        "  node 1 before it will run: value of node 1 (PrimitiveInt) changed 5 → 6\n"
        "it ran in the last run, today at "
    )


def test_a_cached_node_is_told_to_be(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    graphengine("run", "flow.json")
    said = explain(graphengine, "2")
    assert said.startswith("node 2 (PreviewAny) is cached: its result is kept\nit did not run in the last run")


def test_json_holds_the_parts_and_both_runs(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    done = graphengine("explain", "flow.json", "1", "--set", "1.value=6", "--json", "--device", "cpu")
    said: dict[str, Any] = dict(TypeAdapter(Explanation).validate_json(done.out))
    assert (said["node"], said["parts"]["input:value"]) == ("1", "6")
    assert said["next"]["causes"] == [
        {
            "kind": "changed",
            "text": "value of node 1 (PrimitiveInt) changed 5 → 6",
            "nodes": ["1"],
            "part": "input:value",
            "old": 5,
            "new": 6,
            "at": None,
        }
    ]
    assert said["last"]["status"] == "success"


def test_a_failed_run_is_told(graphengine: CommandLine, flow: Path) -> None:
    flow.write_text('{"1": {"class_type": "TrialFailure", "inputs": {"message": "no such luck"}}}')
    assert graphengine("run", "flow.json").code == 1
    said = explain(graphengine)
    assert "  node 1 (TrialFailure) failed in the run today at " in said
    assert "no such luck" in said
    assert ", which failed: 1 node ran\n" in said


def test_the_picture_has_the_causes(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    graphengine("explain", "flow.json", "--set", "1.value=6", "--graph", "why.svg", "--device", "cpu")
    assert "changed 5 → 6" in flow.with_name("why.svg").read_text()


def test_a_node_that_is_not_there_is_wrong_usage(graphengine: CommandLine, flow: Path) -> None:
    assert graphengine("explain", "flow.json", "7", "--device", "cpu").code == 2


def test_a_result_that_was_evicted_is_told_with_the_day(
    graphengine: CommandLine, flow: Path, tmp_path: Path
) -> None:
    graphengine("run", "flow.json")
    with DiskStore(tmp_path / "cache") as store:
        assert store.evict(0)
    assert "  the result of node 2 (PreviewAny) was evicted today at " in explain(graphengine)
