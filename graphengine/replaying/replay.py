"""Making an output again and telling whether it is the same.

What is compared with what: the recorded digest stands for the file as it was saved. A replay of these bytes is
identical, whatever became of the file since. If it has other bytes, it is compared with the file, when that is
as it was saved (or when no record knows it), by pixels. Where the file is gone or was changed, the digests of
the values that the node saved decide.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from graphengine.errors import GraphEngineError, ValidationFailed, node_label
from graphengine.execution.events import Listener
from graphengine.execution.hidden import RunExtra
from graphengine.execution.hooks import never, silent
from graphengine.provenance.history.past_run import PastRun
from graphengine.provenance.record import NodeState
from graphengine.replaying.departures import Departure, Here, changed_files, departures
from graphengine.replaying.digests import Earlier, with_known_digests
from graphengine.replaying.likeness import LEVELS, Level, Likeness, Tolerance, compare_files, digest_of
from graphengine.replaying.stage import Performance, Stage
from graphengine.replaying.subject import Original, Subject
from graphengine.replaying.tampering import Tampering, tampering
from graphengine.replaying.walk import Walk, walk
from graphengine.workflow.models import Link, NodeId, Workflow

#: How a file stands to its record.
FileState = Literal["as recorded", "changed", "absent", "not recorded"]

_GIVEN: tuple[NodeState, ...] = ("executed", "cached", "cut off", "equal")


class NotReplayable(GraphEngineError):
    """A run cannot be made again: a model, an input or its document is gone, or it holds a secret."""


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """One file: the original, what was made in its place (None: nothing), how alike they are.

    `state` is how the file stands to its record, `tampered` what was changed in it since.
    """

    original: Original
    replayed: Path | None
    state: FileState
    likeness: Likeness
    tampered: tuple[Tampering, ...] = ()


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay. `walk` is None where no record holds digests; `seconds` is how long it took."""

    subject: Subject
    files: tuple[FileOutcome, ...]
    walk: Walk | None
    departures: tuple[Departure, ...]
    seconds: float

    @property
    def level(self) -> Level:
        """How alike all is: as the file that is least alike."""
        if self.files:
            return max((each.likeness.level for each in self.files), key=LEVELS.index)
        return "different" if self.walk is not None and self.walk.first is not None else "pixels"

    @property
    def tampered(self) -> tuple[tuple[Path, Tampering], ...]:
        """What was changed in files after they were saved."""
        return tuple((each.original.path, change) for each in self.files for change in each.tampered)

    @property
    def holds(self) -> bool:
        """Whether the outputs are proved: made again near enough, and not changed since they were saved."""
        return self.level != "different" and not self.tampered

    @property
    def first(self) -> str | None:
        """The first node whose output differs, None when none does or it is not known."""
        return self.walk.first if self.walk is not None and self.level in ("different", "tolerance") else None


#: Told before anything runs what is another one than recorded.
Warned = Callable[[Subject, Sequence[Departure]], None]


#: Adds what is known of departures from a run.
Detailed = Callable[[PastRun, list[Departure]], list[Departure]]


def as_found(run: PastRun, found: list[Departure]) -> list[Departure]:
    """Nothing more is known."""
    return found


def unwarned(subject: Subject, found: Sequence[Departure]) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class Replayer:
    """Makes outputs again on a stage.

    `here` gives what is there now of what a run used, with the record of the replay once it is made. `earlier` are
    digests of nodes by key, where they are known from other runs. `detailed` adds to departures which files they
    lie in.
    """

    stage: Stage
    here: Callable[[PastRun, PastRun | None], Here]
    tolerance: Tolerance = field(default_factory=Tolerance)
    earlier: Earlier = lambda key: None
    detailed: Detailed = as_found
    warned: Warned = unwarned
    on_event: Listener = silent
    is_cancelled: Callable[[], bool] = never

    def replay(self, subject: Subject) -> Replay:
        """Make a subject again and compare. The files lie on the stage until the next run.

        Raises:
            NotReplayable: it cannot be run.
            RunCancelled: somebody asked to stop.
        """
        started = time.perf_counter()
        refuse_unreplayable(subject)
        nodes = upstream(subject.workflow, subject.targets)
        found = self._departures(subject, None, nodes)
        self.warned(subject, found)
        done = self._run(subject)
        if subject.run is not None and done.run is not None:  # the code in use and the device are known now
            found = self._departures(subject, done.run, nodes)
        walked = self._walk(subject, done, found)
        saved = _Saved(subject, done, walked, self.tolerance)
        files = tuple(saved.outcome(original) for original in subject.files)
        return Replay(subject, files, walked, tuple(found), time.perf_counter() - started)

    def _departures(self, subject: Subject, replayed: PastRun | None, nodes: frozenset[str]) -> list[Departure]:
        if subject.run is None:
            return []
        found = departures(subject.run, self.here(subject.run, replayed), nodes)
        return self.detailed(subject.run, found)

    def _run(self, subject: Subject) -> Performance:
        run_id, repeated = subject.carried_id, subject.run.id if subject.run is not None else None
        extra = RunExtra(
            run_id, subject.extra, run_id=run_id, replay_of=repeated, strip_metadata=subject.strip_metadata
        )
        stage = self.stage.like(subject.run) if subject.run is not None else self.stage
        done = stage.run(subject.workflow, subject.targets, extra, self.is_cancelled, self.on_event)
        if isinstance(done.failure, ValidationFailed):
            problem = next(each for each in done.failure.problems if each.severity == "error")
            raise NotReplayable(f"cannot be replayed: {problem}", hint=problem.hint) from done.failure
        if done.failure is not None:
            raise NotReplayable(
                f"cannot be replayed: {done.failure.message}", hint=done.failure.hint
            ) from done.failure
        return done

    def _walk(self, subject: Subject, done: Performance, found: Iterable[Departure]) -> Walk | None:
        if subject.run is None or done.run is None:
            return None
        then, registry = with_known_digests(subject.run.nodes, self.earlier), self.stage.engine.registry
        return walk(then, done.run.nodes, registry, changed_files(list(found)))


def refuse_unreplayable(subject: Subject) -> None:
    """Refuse what cannot be run, before anything is.

    Raises:
        NotReplayable: the run had failed, or holds secrets.
    """
    if subject.run is not None and subject.run.status != "success" and not _has_given(subject, subject.run):
        ended = "was cancelled" if subject.run.status == "cancelled" else "failed"
        raise NotReplayable(
            f"cannot be replayed: run {subject.run.id} {ended}", hint="replay a run that succeeded"
        )
    for node_id, name in subject.secrets():
        label = node_label(node_id, subject.workflow.nodes[node_id].class_type)
        raise NotReplayable(
            f"cannot be replayed: {label}: input {name!r} holds a secret, which no record keeps",
            hint=f"give it with --set {node_id}.{name}=…",
        )


def _has_given(subject: Subject, run: PastRun) -> bool:
    """Whether a run that ended early had given what is asked for by then."""
    nodes = [run.nodes.get(target) for target in subject.targets or ()]
    return bool(nodes) and all(node is not None and node.state in _GIVEN for node in nodes)


def upstream(workflow: Workflow, targets: Iterable[NodeId] | None) -> frozenset[str]:
    """The targets and all that they read; all nodes when there are no targets."""
    if targets is None:
        return frozenset(workflow.nodes)
    found: set[str] = set()
    waiting = [node_id for node_id in targets if node_id in workflow.nodes]
    while waiting:
        node_id = waiting.pop()
        if node_id in found or node_id not in workflow.nodes:
            continue
        found.add(node_id)
        waiting += [value.source for value in workflow.nodes[node_id].inputs.values() if isinstance(value, Link)]
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Saved:
    """Compares originals with what a run saved."""

    subject: Subject
    done: Performance
    walked: Walk | None
    tolerance: Tolerance

    def outcome(self, original: Original) -> FileOutcome:
        """How one file came out."""
        state = _state(original)
        replayed = self._replayed(original)
        if replayed is None:
            return FileOutcome(original, None, state, Likeness("different", told="no such file was saved"))
        likeness = self._likeness(original, replayed, state)
        changes: list[Tampering] = []
        if state == "changed" and likeness.level != "different":  # so the replay is as the file was
            changes = tampering(original.path, replayed, compare_files(original.path, replayed))
        elif state == "changed":
            changes = [Tampering("bytes", "it is not as it was recorded, and what it was cannot be made again")]
        return FileOutcome(original, replayed, state, likeness, tuple(changes))

    def _replayed(self, original: Original) -> Path | None:
        if original.node_id is not None:
            files = self.done.files.get(original.node_id, ())
            return files[original.number] if original.number < len(files) else None
        everything = [path for paths in self.done.files.values() for path in paths]
        return min(everything, key=lambda path: self._distance(original.path, path), default=None)

    def _distance(self, one: Path, other: Path) -> tuple[int, float]:
        """How far a candidate is from a file of which no record tells who saved it."""
        likeness = compare_files(one, other, self.tolerance)
        return LEVELS.index(likeness.level), -(likeness.psnr if likeness.psnr is not None else -1.0)

    def _likeness(self, original: Original, replayed: Path, state: FileState) -> Likeness:
        if original.sha256 is not None and digest_of(replayed) == original.sha256:
            return Likeness("bytes", float("inf"), 0.0)
        if state in ("as recorded", "not recorded"):
            return compare_files(original.path, replayed, self.tolerance)
        if self._gave_the_same(original.node_id):
            return Likeness("pixels", float("inf"), 0.0, "the values that were saved are the same")
        why = "is gone" if state == "absent" else "was changed"
        return Likeness("different", told=f"the bytes are others, and the file {why}, so how far off is not known")

    def _gave_the_same(self, node_id: str | None) -> bool:
        """Whether all values that the node saved are those of the recorded run."""
        node = self.subject.workflow.nodes.get(NodeId(node_id or ""))
        if node is None or self.walked is None:
            return False
        sources = [value.source for value in node.inputs.values() if isinstance(value, Link)]
        return bool(sources) and set(sources) <= {*self.walked.same}


def _state(original: Original) -> FileState:
    if original.is_replaced:
        return "absent"
    try:
        digest = digest_of(original.path)
    except OSError:
        return "absent"
    if original.sha256 is None:
        return "not recorded"
    return "as recorded" if digest == original.sha256 else "changed"
