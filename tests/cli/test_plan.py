"""`graphengine plan`: what a run would do."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from graphengine.cli.plan import duration, size_text
from graphengine.cli.plan_models import PlanReport
from tests.cli.conftest import CommandLine, trust_packs_in

FLOW: dict[str, Any] = {
    "1": {"class_type": "PrimitiveInt", "inputs": {"value": 5}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}


@pytest.fixture
def flow(place: Path) -> Path:
    file = place / "flow.json"
    file.write_text(json.dumps(FLOW))
    return file


def plan(graphengine: CommandLine, *argv: str) -> dict[str, Any]:
    done = graphengine("plan", "flow.json", "--device", "cpu", "--json", *argv)
    assert done.code == 0
    return dict(TypeAdapter(PlanReport).validate_json(done.out))


def fates(report: dict[str, Any]) -> dict[str, str]:
    return {node["node_id"]: node["fate"] for node in report["nodes"]}


def test_before_a_first_run_all_runs_and_no_time_is_known(graphengine: CommandLine, flow: Path) -> None:
    done = graphengine("plan", "flow.json", "--device", "cpu")
    assert (done.code, done.err) == (0, "")
    assert "1     PrimitiveInt  runs         no earlier run of this workflow is recorded" in done.out
    assert "2 run, 0 cached\n2 nodes never ran, and no time is known for them\n" in done.out


def test_after_a_run_nothing_runs(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    done = graphengine("plan", "flow.json", "--device", "cpu")
    assert done.out == "0 run, 1 cached, 1 not needed\n"


def test_a_change_is_planned_with_the_times_of_the_last_run(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    report = plan(graphengine, "--set", "1.value=6")
    assert fates(report) == {"1": "runs", "2": "perhaps"}
    assert report["nodes"][0]["text"] == "value of node 1 (PrimitiveInt) changed 5 → 6"
    assert report["nodes"][1]["text"] == "cut off if node 1 gives the same"
    assert report["nodes"][1]["runs"] == 1
    assert report["totals"]["unknown"] == 0
    assert report["totals"]["seconds"] == report["nodes"][0]["seconds"]
    done = graphengine("plan", "flow.json", "--device", "cpu", "--set", "1.value=6")
    assert "1 past run of each node say so" in done.out


def test_only_what_the_target_needs_is_planned(graphengine: CommandLine, flow: Path) -> None:
    assert fates(plan(graphengine, "--target", "1")) == {"1": "runs"}


def test_nothing_is_run(graphengine: CommandLine, flow: Path) -> None:
    plan(graphengine)
    assert fates(plan(graphengine)) == {"1": "runs", "2": "runs"}


def test_planning_imports_neither_torch_nor_the_packs_it_knows(graphengine: CommandLine, flow: Path) -> None:
    nodes = {**FLOW, "3": {"class_type": "TrialSteps", "inputs": {"steps": 2}}}
    flow.write_text(json.dumps(nodes))
    code = (
        "import sys; from graphengine.cli import main; code = main(sys.argv[1:]);"
        "print(code, [name for name in sys.modules if name in ('torch', 'aiohttp', 'asyncio') or 'trial' in name])"
    )

    def elsewhere(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", code, *arguments, "flow.json", "--device", "cpu"]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment)

    elsewhere("run")
    done = elsewhere("plan", "--set", "3.steps=3")
    assert "3     TrialSteps  runs" in done.stdout
    assert done.stdout.endswith("0 []\n")


def test_a_pack_that_was_never_imported_is_told_and_imported_when_asked(
    graphengine: CommandLine, flow: Path
) -> None:
    flow.write_text('{"1": {"class_type": "TrialSteps", "inputs": {"steps": 2}}}')
    done = graphengine("plan", "flow.json", "--device", "cpu")
    assert done.code == 1
    assert "--load-packs" in done.err
    assert fates(plan(graphengine, "--load-packs")) == {"1": "runs"}


def test_the_picture_has_a_colour_for_what_runs(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    done = graphengine("plan", "flow.json", "--device", "cpu", "--set", "1.value=6", "--graph", "plan.svg")
    assert done.err == "wrote plan.svg\n"
    picture = flow.with_name("plan.svg").read_text()
    assert "flow.json: 1 run, 1 perhaps, 0 cached" in picture
    assert picture.count("#e07b00") == 2  # the box and its mark in the legend
    assert picture.count("#7d8590") == 2


def test_a_picture_of_no_known_kind_is_wrong_usage(graphengine: CommandLine, flow: Path) -> None:
    done = graphengine("plan", "flow.json", "--device", "cpu", "--graph", "plan.png")
    assert done.code == 2
    assert "end it with .svg, .mmd or .dot" in done.err


def test_a_workflow_with_errors_cannot_be_planned(graphengine: CommandLine, flow: Path) -> None:
    flow.write_text('{"1": {"class_type": "PreviewAny", "inputs": {}}}')
    done = graphengine("plan", "flow.json", "--device", "cpu")
    assert done.code == 1
    assert "[missing_input]" in done.err


def test_a_node_that_is_not_there_is_wrong_usage(graphengine: CommandLine, flow: Path) -> None:
    assert graphengine("plan", "flow.json", "--device", "cpu", "--target", "7").code == 2


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.034, "0.03 s"), (12.44, "12.4 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_are_told_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 B"), (4200, "4.2 kB"), (310_000, "310 kB"), (2_500_000_000, "2.5 GB")]
)
def test_sizes_are_told_with_a_unit(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")
def test_the_memory_that_a_node_took_is_told(graphengine: CommandLine, flow: Path) -> None:
    packs = flow.parent / "packs"
    packs.mkdir()
    (packs / "hungry.py").write_text(
        """
class Hungry:
    RETURN_TYPES, FUNCTION, OUTPUT_NODE = ("INT",), "run", True
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {})}}
    def run(self, value):
        return (len(b"x" * 96_000_000) + value,)
NODE_CLASS_MAPPINGS = {"Hungry": Hungry}
"""
    )
    trust_packs_in(packs)
    flow.write_text('{"1": {"class_type": "Hungry", "inputs": {"value": 1}}}')
    graphengine("run", "flow.json", "--custom-nodes", "packs")
    report = plan(graphengine, "--custom-nodes", "packs", "--set", "1.value=2")
    assert 90_000_000 < report["nodes"][0]["peak_bytes"] < 140_000_000
    assert report["totals"]["peak_bytes"] == report["nodes"][0]["peak_bytes"]
    assert report["nodes"][0]["device_peak_bytes"] is None
    asked = ("flow.json", "--custom-nodes", "packs", "--device", "cpu", "--set", "1.value=2")
    done = graphengine("plan", *asked, "--graph", "plan.svg")
    assert f"up to {size_text(report['totals']['peak_bytes'])} more than before, in node 1 (Hungry)" in done.out
    assert f"{size_text(report['totals']['peak_bytes'])}" in flow.with_name("plan.svg").read_text()
