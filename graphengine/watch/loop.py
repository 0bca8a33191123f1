"""The watch: runs workflows, and runs them again when what they are made of changes.

Policy. A change is an event in an observed folder, after which nothing happens for `QUIET` seconds; whether
anything changed, the contents of the files tell. What cannot be read, a half-written document for instance, waits
for the next event. While a run goes on, a newer save ends it at the next step, but only one that can be read. All
happens in one thread but the observing of folders.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphengine.engine import Engine
from graphengine.errors import GraphEngineError, Problem, RunCancelled, WorkflowFormatError
from graphengine.execution.hooks import never
from graphengine.execution.policy import RunOptions
from graphengine.packs.discover import Pack
from graphengine.watch.audience import Audience
from graphengine.watch.changes import Changes, Place
from graphengine.watch.code import PackSources
from graphengine.watch.flow import WatchedFlow
from graphengine.workflow.models import NodeId, Workflow

#: Seconds without a further change after which changes are looked at; an editor may write a file in several steps.
QUIET = 0.1
#: Seconds after which they are looked at although more come.
LONGEST = 2.0
#: Seconds between two looks at whether the user wants anything.
IDLE = 0.25

#: Reads a workflow, and which nodes of it are wanted, None for all outputs.
Reader = Callable[[Engine, Path], tuple[Workflow, Collection[NodeId] | None]]
#: Takes in the changed packs; see `code.renewed`.
Renew = Callable[[Engine, Collection[Pack]], tuple[Engine, Sequence[Problem]]]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants: `restart` ends a run that a newer save overtakes. `stop` and `again` are asked often,
    the second answers True once for each wish to run all once more.
    """

    restart: bool = True
    stop: Callable[[], bool] = never
    again: Callable[[], bool] = never


class Watch:
    """Watches workflow files. `project` is a file that says which packs may run, read again when it changes."""

    def __init__(
        self,
        engine: Engine,
        files: Iterable[Path],
        read: Reader,
        changes: Changes,
        audience: Audience,
        wishes: Wishes | None = None,
        *,
        renew: Renew | None = None,
        project: Path | None = None,
        options: RunOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self.flows = [WatchedFlow(Path(file).absolute()) for file in dict.fromkeys(files)]
        self._read, self._changes, self._audience = read, changes, audience
        self._wishes = wishes or Wishes()
        self._renew, self._project, self._clock = renew, project, clock
        self._options = options
        self._sources = PackSources()
        self._due: dict[Path, WatchedFlow] = {}
        self._code_due = False
        self._refused: frozenset[Pack] = frozenset()
        self._last = clock()
        self._thread = threading.get_ident()
        self._running: WatchedFlow | None = None
        self._overtaken = False

    def go(self) -> None:
        """Run all files, then keep them true until `stop` answers True."""
        self._observe()
        self._due = {flow.file: flow for flow in self.flows}
        while not self._wishes.stop():
            due, self._due = self._due, {}
            for file, flow in due.items():
                if self._wishes.stop():
                    return
                self._due.pop(file, None)
                self._turn(flow)
            self._next()

    # What comes

    def _next(self) -> None:
        """Wait for changes, and for the end of them."""
        while not (self._due or self._code_due or self._wishes.stop()):
            self._note(self._changes.wait(IDLE))
            if self._wishes.again():
                for flow in self.flows:
                    flow.seen = None
                    flow.ran = None
                    self._due[flow.file] = flow
        first = self._clock()
        while self._is_fresh() and 0 <= self._clock() - first < LONGEST:
            self._note(self._changes.wait(QUIET - (self._clock() - self._last)))
        if self._code_due:
            self._take_code()

    def _note(self, paths: Collection[Path]) -> None:
        """Note what changes of paths may concern."""
        for path in paths:
            for flow in self.flows:
                if flow.concerns(path):
                    self._due[flow.file] = flow
                    self._last = self._clock()
            if path == self._project or self._sources.concerns(path):
                self._code_due = True
                self._last = self._clock()

    def _is_fresh(self) -> bool:
        """Whether the last change is so new that others may follow; after a clock went back it is not."""
        return 0 <= self._clock() - self._last < QUIET

    def _is_over(self) -> bool:
        """Whether the run that goes on is to end."""
        if self._wishes.stop() or self._overtaken:
            return True
        # coroutines ask from a thread of their own, in which files cannot be looked up
        if not self._wishes.restart or threading.get_ident() != self._thread:
            return False
        self._note(self._changes.wait(0))
        flow = self._running
        if flow is None or flow.file not in self._due or self._is_fresh():
            return False
        if not self._is_newer(flow):
            del self._due[flow.file]
            return False
        self._overtaken = True
        return True

    def _is_newer(self, flow: WatchedFlow) -> bool:
        """Whether the files of a flow hold something else by now that can be read."""
        contents = flow.look(self.engine.memo)
        if contents == flow.seen or any(content.trouble for content in contents.values()):
            return False
        if contents[flow.file] == (flow.seen or {}).get(flow.file):
            return True
        try:
            self.engine.read(flow.file)
        except WorkflowFormatError:
            return False
        return True

    def _observe(self) -> None:
        """Observe the folders of all that counts."""
        places = {place for flow in self.flows for place in flow.places()}
        if any(flow.is_stuck for flow in self.flows):
            folders = self.engine.folders
            models = (root for roots in folders.models.values() for root in roots)
            places |= {Place(root) for root in (*folders.input, *models)}
        places.update(self._sources.places())
        if self._project is not None:
            places.add(Place(self._project.parent))
        self._changes.watch(places)

    # What is done

    def _turn(self, flow: WatchedFlow) -> None:
        """Look at a flow, and run it if it changed."""
        contents = flow.look(self.engine.memo)
        if contents == flow.seen and not flow.is_stuck:
            return
        flow.seen = contents
        if contents[flow.file].trouble:
            self._tell_wait(flow, contents[flow.file].trouble)
            return
        try:
            workflow, targets = self._read(self.engine, flow.file)
            self._follow_packs(flow, workflow)
            if flow.ran is not None and flow.ran == (workflow, flow.without_file()):
                flow.is_stuck, flow.told = False, ""
                self._audience.unchanged(flow.file)
                return
            foresight = self.engine.foresee(workflow, targets, record_as=flow.file, ask=True)
        except WorkflowFormatError as error:
            self._tell_wait(flow, error.message.removeprefix(f"{flow.file}: "))
        except GraphEngineError as error:
            self._tell_refusal(flow, error)
        except OSError as error:
            self._tell_wait(flow, str(error))
        else:
            flow.is_stuck, flow.told = False, ""
            flow.take(foresight, self.engine.memo)
            self._observe()
            self._audience.planned(flow.file, foresight)
            self._run(flow, workflow, targets)

    def _follow_packs(self, flow: WatchedFlow, workflow: Workflow) -> None:
        """Look after the custom packs whose source names, or once named, node types of the workflow."""
        types = {node.class_type for node in workflow.nodes.values()}
        flow.packs |= frozenset(self.engine.packs.mentioning(self.engine.custom, types))
        self._sources.follow(flow.packs)

    def _run(self, flow: WatchedFlow, workflow: Workflow, targets: Collection[NodeId] | None) -> None:
        self._running, self._overtaken = flow, False
        flow.ran = None
        try:
            self.engine.run(
                workflow,
                targets=targets,
                on_event=self._audience.happened,
                is_cancelled=self._is_over,
                options=self._options,
                record_as=flow.file,
            )
        except RunCancelled:
            if self._overtaken:
                self._audience.overtaken(flow.file)
        except GraphEngineError as error:
            self._audience.refused(flow.file, error)
        except SystemExit as ended:  # by a node, which must not end the watch
            hint = "take sys.exit() out of the node; it should raise an exception that says what is wrong"
            told = f"a node ends the program: sys.exit({ended.code!r})"
            self._audience.refused(flow.file, GraphEngineError(told, hint=hint))
        else:
            flow.ran = (workflow, flow.without_file())
            self._audience.finished(flow.file)
        finally:
            self._running = None

    def _tell_wait(self, flow: WatchedFlow, why: str) -> None:
        flow.is_stuck = False
        if flow.told != why:
            flow.told = why
            self._audience.waits(flow.file, why)

    def _tell_refusal(self, flow: WatchedFlow, error: GraphEngineError) -> None:
        flow.is_stuck = True
        self._observe()
        problems = getattr(error, "problems", ())
        told = "\n".join([error.message, *map(str, problems)])
        if flow.told != told:
            flow.told = told
            self._audience.refused(flow.file, error)

    def _take_code(self) -> None:
        """Take in what changed of packs, and have the flows looked at that use them."""
        self._code_due = False
        changed = {*self._sources.changed(), *self._refused}
        if self._renew is None or not (changed or any(flow.is_stuck for flow in self.flows)):
            return
        flows = [flow for flow in self.flows if flow.is_stuck or not flow.packs.isdisjoint(changed)]
        self.engine, problems = self._renew(self.engine, changed)
        self._refused = frozenset(changed if problems else ())
        if changed:
            self._audience.reloaded(sorted(pack.name for pack in changed), problems)
        if not problems:
            for flow in flows:
                flow.seen, flow.ran = None, None
                self._due[flow.file] = flow
