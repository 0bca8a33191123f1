"""What there is to see of a watch at any time: its files, their nodes with states and times, runs and pictures.

A board is written by the thread of the watch and can be read from others. `Board.look` gives frozen values.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from graphengine.errors import GraphEngineError, Problem, ValidationFailed
from graphengine.execution.events import (
    Event,
    NodeBlocked,
    NodeCached,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeStarted,
    RunFinished,
)
from graphengine.execution.shown import shown_files
from graphengine.foresight import Foresight
from graphengine.graph.graph import Graph
from graphengine.node.folders import Folders
from graphengine.workflow.models import NodeId

#: `unneeded` is a node that only cached nodes read, `blocked` one that was not called.
State = Literal["waiting", "running", "cached", "done", "failed", "blocked", "unneeded"]
#: How a file stands: `waiting` for a save that mends it, `planned` and `running`, or how its last run ended.
Standing = Literal["waiting", "planned", "running", "done", "failed", "overtaken"]

#: Runs that are remembered of each file, and notes of all.
LOG = 50


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node. `seconds` is how long it took when it ran last, `begun` when it started (of the board's clock).

    `value` of `total` steps are done; `why` is why it runs, or what went wrong. `turn` grows with each change.
    """

    node_id: str
    title: str
    class_type: str
    state: State = "waiting"
    why: str = ""
    value: int = 0
    total: int = 0
    seconds: float | None = None
    begun: float = 0.0
    turn: int = 0


@dataclass(frozen=True, slots=True)
class RunView:
    """A run that is over; `at` is when it ended (Unix time), `changed` what had changed before it, in words."""

    at: float
    outcome: Standing
    seconds: float
    executed: int
    cached: int
    changed: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class FlowView:
    """A watched file. `runs` are newest first, `files` those that the last good run gave.

    `plan` is the number of its plan and `graph` what is planned; `trouble` says what it waits for.
    """

    file: Path
    standing: Standing = "waiting"
    trouble: str = ""
    nodes: Mapping[str, NodeView] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    runs: tuple[RunView, ...] = ()
    files: tuple[Path, ...] = ()
    graph: Graph | None = None
    plan: int = 0


@dataclass(frozen=True, slots=True)
class Sight:
    """All that there is to see. `version` grows with each change, `notes` are what else was told, newest last."""

    version: int
    flows: tuple[FlowView, ...]
    notes: tuple[tuple[float, str], ...]
    current: Path | None = None


@dataclass(frozen=True, slots=True)
class PlanWords:
    """A plan in words: `why` each node runs or does not, the nodes that changed `itself`, and lines of what
    `changed` in the first of those. `ran` is why a node that would perhaps run did so.
    """

    why: Mapping[NodeId, str]
    itself: tuple[NodeId, ...]
    changed: tuple[str, ...]
    ran: Mapping[NodeId, str] = field(default_factory=dict)


class Board:
    """An audience that remembers. `describe` puts a plan in words."""

    def __init__(
        self,
        files: Iterable[Path],
        folders: Folders,
        describe: Callable[[Foresight], PlanWords],
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self._folders, self._describe, self._now = folders, describe, now
        self._lock = threading.Lock()
        self._flows = {file: FlowView(file) for file in (Path(file).absolute() for file in files)}
        self._nodes: dict[Path, dict[str, NodeView]] = {file: {} for file in self._flows}
        self._notes: list[tuple[float, str]] = []
        self._current: Path | None = None
        self._shown: dict[str, tuple[Path, ...]] = {}
        self._ran: Mapping[NodeId, str] = {}
        self._version = 0

    def look(self) -> Sight:
        """All that there is to see now."""
        with self._lock:
            flows = tuple(replace(flow, nodes=dict(self._nodes[file])) for file, flow in self._flows.items())
            return Sight(self._version, flows, tuple(self._notes), self._current)

    @property
    def version(self) -> int:
        """A number that grows with each change."""
        return self._version

    def note(self, text: str) -> None:
        """Remember something that was told."""
        with self._lock:
            self._notes = [*self._notes[-LOG + 1 :], (self._now(), text)]
            self._version += 1

    # As an audience

    def waits(self, file: Path, why: str) -> None:
        """The file cannot be run as it is; the next save is waited for."""
        self._put(replace(self._flows[file], standing="waiting", trouble=why))

    def refused(self, file: Path, error: GraphEngineError) -> None:
        """The workflow has errors, or a run of it failed; the next save is waited for."""
        problems = error.problems if isinstance(error, ValidationFailed) else ()
        texts = [str(problem) for problem in problems if problem.severity == "error"] or [error.message]
        trouble = "\n".join([*texts, *([error.hint] if error.hint else [])])
        flow = replace(self._flows[file], trouble=trouble)
        if flow.standing == "failed":  # the end of the run was told before
            runs = (replace(flow.runs[0], message=error.message), *flow.runs[1:])
            self._put(replace(flow, runs=runs))
        else:
            self._put(replace(flow, standing="waiting"))

    def unchanged(self, file: Path) -> None:
        """The file was saved, and runs as before."""
        self._put(replace(self._flows[file], standing="done", trouble=""))

    def planned(self, file: Path, foresight: Foresight) -> None:
        """What changed since the last run, and what will run now."""
        words = self._describe(foresight)
        flow, before = self._flows[file], self._nodes[file]
        nodes = {str(node_id): self._planned(node_id, foresight, words) for node_id in foresight.of}
        for key, node in nodes.items():
            past = before.get(key)
            if past is not None and past.class_type == node.class_type:
                nodes[key] = replace(node, seconds=past.seconds)
        self._shown, self._ran = {}, words.ran
        with self._lock:
            self._nodes[file] = nodes
        self._put(
            replace(
                flow, standing="planned", trouble="", changed=words.changed,
                graph=foresight.plan.graph, plan=flow.plan + 1,
            )
        )  # fmt: skip

    def happened(self, event: Event) -> None:
        """The run goes on."""
        if self._current is None:
            return
        flow = self._flows[self._current]
        match event:
            case NodeStarted():
                node = replace(self._node(event), state="running", begun=self.clock(), value=0, total=0)
            case NodeProgress() if (steps := self._nodes[flow.file].get(event.node_id)) is not None:
                node = replace(steps, value=event.value, total=event.total)
            case NodeCached():
                self._shown[event.node_id] = tuple(shown_files(event.ui, self._folders))
                node = replace(self._node(event), state="cached")
            case NodeFinished():
                self._shown[event.node_id] = tuple(shown_files(event.ui, self._folders))
                known = self._node(event)
                why = self._ran.get(event.node_id, known.why)
                node = replace(known, state="done", seconds=event.seconds, why=why)
            case NodeFailed():
                node = replace(self._node(event), state="failed", why=event.message)
            case NodeBlocked():
                node = replace(self._node(event), state="blocked", why=event.message)
            case RunFinished():
                self._end(flow, event)
                return
            case _:
                self._put(replace(flow, standing="running"))
                return
        self._put(flow, node)

    def overtaken(self, file: Path) -> None:
        """A newer save ended the run."""
        self._put(replace(self._flows[file], standing="overtaken"))

    def finished(self, file: Path) -> None:
        """The run is over, and all is well."""
        files = tuple(dict.fromkeys(path for paths in self._shown.values() for path in paths))
        self._put(replace(self._flows[file], standing="done", files=files))

    def reloaded(self, packs: Collection[str], problems: Sequence[Problem]) -> None:
        """The code of these packs changed and is in use; with problems, the old code stays."""
        names = ", ".join(packs)
        if not problems:
            self.note(f"code of {names} is loaded anew")
        for problem in problems:
            self.note(f"the old code of {names} stays in use: {problem.message}")

    def _planned(self, node_id: NodeId, foresight: Foresight, words: PlanWords) -> NodeView:
        graph = foresight.plan.graph
        node, fate = graph.nodes[node_id], foresight.of[node_id].fate
        title = node.title or graph.definitions[node_id].display_name or node.class_type
        state: State = "cached" if fate == "cached" else "unneeded" if fate == "not needed" else "waiting"
        return NodeView(node_id, title, node.class_type, state, words.why.get(node_id, ""))

    def _node(self, event: NodeStarted | NodeCached | NodeFinished | NodeFailed | NodeBlocked) -> NodeView:
        """The node of an event, which another node may have made while it ran."""
        known = self._nodes[self._current].get(event.node_id) if self._current is not None else None
        node = known or NodeView(event.node_id, event.class_type, event.class_type)
        return replace(node, turn=self._version)

    def _end(self, flow: FlowView, event: RunFinished) -> None:
        outcomes: dict[str, Standing] = {"success": "done", "error": "failed"}
        outcome = outcomes.get(event.status, "overtaken")
        run = RunView(self._now(), outcome, event.seconds, event.executed, event.cached, flow.changed)
        left: State = "cached" if outcome == "done" else "waiting"  # cut off, or not come to
        nodes = self._nodes[flow.file]
        with self._lock:
            for key, node in nodes.items():
                if node.state in ("waiting", "running"):
                    nodes[key] = replace(node, state=left)
        self._put(replace(flow, standing=outcome, runs=(run, *flow.runs[: LOG - 1])))

    def _put(self, flow: FlowView, node: NodeView | None = None) -> None:
        with self._lock:
            self._flows[flow.file] = flow
            if node is not None:
                self._nodes[flow.file][node.node_id] = node
            self._current = flow.file
            self._version += 1


def what_counts(nodes: Collection[NodeView], room: int) -> tuple[list[NodeView], Mapping[State, int]]:
    """The nodes to show where there is room for so many, in their order, and how many others are in each state.

    First come those that failed, then those that run, then those that ran lately; cached ones come last.
    """
    if len(nodes) <= room:
        return list(nodes), {}
    ranks: dict[State, int] = {"failed": 0, "running": 1, "done": 2, "blocked": 3, "waiting": 4}
    ranked = sorted(nodes, key=lambda node: (ranks.get(node.state, 5), -node.turn))
    chosen = {node.node_id for node in ranked[: max(room, 0)]}
    rest = Counter(node.state for node in nodes if node.node_id not in chosen)
    return [node for node in nodes if node.node_id in chosen], rest
