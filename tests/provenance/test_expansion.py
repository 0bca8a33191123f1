"""Records and forecasts of nodes that others take the place of, and of blocked ones."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from graphengine.cli.plan import node_text
from graphengine.errors import NodeExecutionError
from graphengine.foresight import Foresight
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.record import RunRecord
from graphengine.workflow.models import NodeId
from tests.execution.flow import Flow, Nodes
from tests.provenance.bench import fates
from tests.workflows import workflow

EXPANDED: Nodes = {"7": ("FlowExpand", {"value": 5}), "8": ("FlowShow", {"value": ["7", 0]})}


class RecordedFlow(Flow):
    """Runs that are recorded."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.engine = replace(self.engine, records=RecordFolder(root))

    def last(self, nodes: Nodes) -> RunRecord:
        """The record of the last run of these nodes."""
        return self.foresee(nodes).past[0].record

    def foresee(self, nodes: Nodes) -> Foresight:
        """What a run would do."""
        return self.engine.foresee(workflow(nodes))


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[RecordedFlow]:
    made = RecordedFlow(tmp_path / "runs")
    yield made
    made.engine.close()


def test_the_record_counts_the_nodes_in_its_place(flow: RecordedFlow) -> None:
    flow.run(EXPANDED)
    record = flow.last(EXPANDED)
    assert record.expanded == {"7": 2}
    assert list(record.nodes) == ["7", "8"]
    assert fates(flow.foresee(EXPANDED)) == {"7": "not needed", "8": "cached"}


def test_the_plan_tells_that_it_put_nodes_in_its_place(flow: RecordedFlow) -> None:
    flow.run(EXPANDED)
    changed: Nodes = {**EXPANDED, "7": ("FlowExpand", {"value": 6})}
    assert node_text(NodeId("7"), flow.foresee(changed), {}).endswith(
        "; it put 2 nodes in its place the last time"
    )


def test_a_failure_inside_is_recorded(flow: RecordedFlow) -> None:
    failing: Nodes = {"7": ("FlowExpandFailing", {"message": "no"}), "8": ("FlowShow", {"value": ["7", 0]})}
    with pytest.raises(NodeExecutionError):
        flow.run(failing)
    record = flow.last(failing)
    assert record.status == "error"
    assert record.failure is not None
    assert {each: entry.state for each, entry in record.nodes.items()} == {"7": "failed", "8": "not reached"}


def test_what_is_behind_a_blocker_with_a_message_runs_again(flow: RecordedFlow) -> None:
    blocked: Nodes = {
        "1": ("FlowBlock", {"value": 1, "block": True, "message": "no"}),
        "2": ("FlowShow", {"value": ["1", 0]}),
    }
    executed = set(flow.run(blocked).executed)
    foreseen = {each for each, fate in fates(flow.foresee(blocked)).items() if fate in ("runs", "perhaps")}
    assert set(flow.run(blocked).executed) <= foreseen <= executed
