"""The board of a watch, filled by real runs, and which nodes there is room for."""

import json
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.engine import Engine
from graphengine.errors import Problem
from graphengine.execution.events import Event, NodeProgress, NodeStarted
from graphengine.foresight import Foresight
from graphengine.watch.audience import Everyone, Unconcerned
from graphengine.watch.board import LOG, Board, FlowView, NodeView, PlanWords, State, what_counts
from graphengine.watch.loop import Watch, Wishes
from graphengine.workflow.models import NodeId
from tests.watch.test_loop import Hand, read, save
from tests.watch.test_loop import engine as engine
from tests.watch.test_loop import file as file


def words(foresight: Foresight) -> PlanWords:
    running = [node_id for node_id, each in foresight.of.items() if each.fate in ("runs", "perhaps")]
    why = {node_id: f"why {node_id}" for node_id in foresight.of}
    return PlanWords(why, tuple(running), tuple(f"changed {node_id}" for node_id in running))


class Glances(Unconcerned):
    """Looks at a board at each event."""

    def __init__(self, board: Board, file: Path) -> None:
        self.board, self.file = board, file
        self.seen: list[tuple[str, ...]] = []

    def happened(self, event: Event) -> None:
        self.seen.append(tuple(node.state for node in flow_of(self.board).nodes.values()))


def flow_of(board: Board) -> FlowView:
    (flow,) = board.look().flows
    return flow


def watched(engine: Engine, file: Path, *actions: Callable[[], Collection[Path]]) -> tuple[Board, Glances]:
    """The board after the actions, each done when the watch has come to rest."""
    hand = Hand(list(actions))
    board = Board([file], engine.folders, words, clock=hand.clock, now=lambda: 5.0)
    glances = Glances(board, file)
    wishes = Wishes(stop=lambda: not hand.actions and not hand.ready and hand.now > 50)
    Watch(engine, [file], read, hand, Everyone(board, glances), wishes, clock=hand.clock).go()
    return board, glances


def test_nodes_go_through_their_states(engine: Engine, file: Path) -> None:
    board, glances = watched(engine, file)
    assert list(dict.fromkeys(glances.seen)) == [
        ("waiting", "waiting", "waiting", "waiting"),
        ("running", "waiting", "waiting", "waiting"),
        ("done", "waiting", "waiting", "waiting"),
        ("done", "running", "waiting", "waiting"),
        ("done", "done", "waiting", "waiting"),
        ("done", "done", "running", "waiting"),
        ("done", "done", "done", "waiting"),
        ("done", "done", "done", "running"),
        ("done", "done", "done", "done"),
    ]
    flow = flow_of(board)
    assert (flow.standing, flow.trouble, flow.plan) == ("done", "", 1)
    assert flow.changed == ("changed 1", "changed 2", "changed 3", "changed 4")
    (run,) = flow.runs
    assert (run.at, run.outcome, run.executed, run.cached, run.changed) == (5.0, "done", 4, 0, flow.changed)


def test_a_cached_node_keeps_the_seconds_of_when_it_ran(engine: Engine, file: Path) -> None:
    board, _ = watched(engine, file, lambda: [save(file, 4)])
    nodes = flow_of(board).nodes
    assert [node.state for node in nodes.values()] == ["done", "cached", "done", "done"]
    assert nodes["2"].seconds is not None
    assert [run.executed for run in flow_of(board).runs] == [3, 4]


def test_a_failure_and_what_it_waits_for_are_seen(engine: Engine, file: Path) -> None:
    broken = {"class_type": "Fail", "inputs": {"message": "no"}}
    board, _ = watched(engine, file, lambda: [save(file, 2, **{"2": broken})])
    flow = flow_of(board)
    assert (flow.standing, flow.nodes["2"].state, flow.nodes["2"].why) == (
        "failed", "failed", "node 2 (Fail): ValueError: no",
    )  # fmt: skip
    assert flow.trouble.startswith("node 2 (Fail): ValueError: no")
    assert flow.runs[0].message == "node 2 (Fail): ValueError: no"
    assert flow.nodes["4"].state == "waiting"


def test_a_file_that_is_half_written_or_wrong_waits(engine: Engine, file: Path) -> None:
    def half() -> list[Path]:
        file.write_text("{")
        return [file]

    board, _ = watched(engine, file, half)
    assert flow_of(board).standing == "waiting"
    assert "not valid JSON" in flow_of(board).trouble
    board, _ = watched(engine, save(file, 2, **{"3": {"class_type": "Nowhere", "inputs": {}}}))
    assert "Nowhere" in flow_of(board).trouble


def test_the_files_of_the_last_good_run_are_kept(engine: Engine, file: Path) -> None:
    saved = {"class_type": "Save", "inputs": {"value": ["3", 0]}}
    board, _ = watched(engine, save(file, 2, **{"4": saved}), lambda: [save(file, 4, **{"4": saved})])
    assert flow_of(board).files == (engine.folders.output / "7.txt",)


def test_runs_and_notes_are_remembered_up_to_a_number(engine: Engine, file: Path) -> None:
    board = Board([file], engine.folders, words)
    for number in range(LOG + 5):
        board.note(str(number))
    board.reloaded(["pack"], [Problem("broken_pack", "no Python")])
    notes = [text for _, text in board.look().notes]
    assert (len(notes), notes[0]) == (LOG, "6")
    assert notes[-1] == "the old code of pack stays in use: no Python"


def test_steps_of_a_node_are_seen(engine: Engine, file: Path) -> None:
    board, _ = watched(engine, file)
    board.happened(NodeStarted(NodeId("3"), "Add"))
    board.happened(NodeProgress(NodeId("3"), 2, 5))
    board.happened(NodeProgress(NodeId("of no node"), 2, 5))
    node = flow_of(board).nodes["3"]
    assert (node.state, node.value, node.total) == ("running", 2, 5)


def test_a_look_does_not_change_afterwards(engine: Engine, file: Path) -> None:
    board, _ = watched(engine, file)
    before = board.look()
    text = json.dumps([node.state for node in before.flows[0].nodes.values()])
    board.happened(NodeStarted(NodeId("3"), "Add"))
    assert json.dumps([node.state for node in before.flows[0].nodes.values()]) == text
    assert board.version > before.version


STATES: list[State] = ["waiting", "running", "cached", "done", "failed", "blocked", "unneeded"]


@given(st.lists(st.tuples(st.sampled_from(STATES), st.integers(0, 9)), max_size=30), st.integers(0, 30))
def test_what_does_not_fit_is_counted(drawn: list[tuple[State, int]], room: int) -> None:
    nodes = [NodeView(str(number), "", "", state, turn=turn) for number, (state, turn) in enumerate(drawn)]
    chosen, rest = what_counts(nodes, room)
    assert len(chosen) == min(room, len(nodes))
    assert chosen == [node for node in nodes if node in chosen]
    assert len(chosen) + sum(rest.values()) == len(nodes)
    if "failed" in rest or "running" in rest:
        assert {node.state for node in chosen} <= {"failed", "running"}


@pytest.mark.parametrize(
    ("room", "shown", "counted"),
    [
        (1, ["b"], {"done": 2, "running": 1}),
        (2, ["b", "d"], {"done": 2}),
        (3, ["b", "c", "d"], {"done": 1}),
        (4, ["a", "b", "c", "d"], {}),
    ],
)
def test_what_failed_comes_first_then_what_runs_then_what_ran_last(
    room: int, shown: list[str], counted: dict[str, int]
) -> None:
    nodes = [
        NodeView("a", "", "", "done", turn=1), NodeView("b", "", "", "failed"),
        NodeView("c", "", "", "done", turn=2), NodeView("d", "", "", "running"),
    ]  # fmt: skip
    chosen, rest = what_counts(nodes, room)
    assert [node.node_id for node in chosen] == shown
    assert rest == counted
