"""A place where workflows run apart: with folders for output of its own, and nothing of the run is recorded."""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, get_args

from graphengine.engine import Engine
from graphengine.errors import FileRefused, GraphEngineError
from graphengine.execution.events import Event, Listener, NodeCached, NodeFinished
from graphengine.execution.hidden import RunExtra
from graphengine.execution.hooks import never, silent
from graphengine.execution.numerics import Numerics, Precision
from graphengine.execution.shown import shown_files
from graphengine.node.folders import Folders
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import PastRun
from graphengine.settings import Settings
from graphengine.workflow.models import NodeId, Workflow

_ELSEWHERE = ("output", "temp")

MakeEngine = Callable[[Settings], Engine]


@dataclass(frozen=True, slots=True)
class Performance:
    """What a run on a stage gave: what its record would be, and by node the files it saved and what it showed.

    `run` is None when it ended before it began. `failure` is the error that ended it.
    """

    run: PastRun | None
    files: Mapping[str, tuple[Path, ...]]
    # Any: what nodes show is theirs.
    shown: Mapping[str, Mapping[str, Any]]
    failure: GraphEngineError | None = None


class _LastRun(History):
    """Holds the entry of the last run in place of writing it."""

    last: PastRun | None = None

    def add(self, run: PastRun, documents: Mapping[str, bytes]) -> bool:
        """Take an entry."""
        self.last = run
        return True


@dataclass(slots=True)
class Stage:
    """Runs workflows with an engine whose output goes to `folders`; `actual` are the folders of the project.

    `history` is the folder of the project's history, which is left as it is.
    """

    engine: Engine
    actual: Folders
    history: Path

    @classmethod
    @contextmanager
    def opened(cls, settings: Settings, history: Path, make: MakeEngine = Engine.from_settings) -> Iterator[Self]:
        """A stage with an engine for these settings; its folders are gone afterwards.

        Settings without a cache share results in memory alone, from run to run.
        """
        with TemporaryDirectory(prefix="graphengine-replay-") as name:
            root = Path(name)
            folders = replace(settings.folders, output=root / "output", temp=root / "temp")
            with make(replace(settings, folders=folders, history=None)) as engine:
                actual = replace(engine.folders, output=settings.folders.output, temp=settings.folders.temp)
                yield cls(engine, actual, history)

    @property
    def folders(self) -> Folders:
        """Where runs read and write."""
        return self.engine.folders

    def like(self, run: PastRun) -> "Stage":
        """The stage with the kind of device that a run was computed on, and with torch set as it was then.

        Devices other than the CPU are left to choice: the same kind is the best one here, or there is none.
        """
        recorded = run.environment
        numerics = Numerics(
            recorded.get("deterministic") == "yes",
            next((each for each in get_args(Precision) if each == recorded.get("float32_precision")), "highest"),
            recorded.get("fast") == "yes",
        )
        device = self.engine.device or ("cpu" if run.machine.device == "cpu" else None)
        known = "deterministic" in recorded
        engine = replace(self.engine, device=device, numerics=numerics if known else self.engine.numerics)
        return replace(self, engine=engine)

    def run(
        self,
        workflow: Workflow,
        targets: Collection[NodeId] | None = None,
        extra: RunExtra | None = None,
        is_cancelled: Callable[[], bool] = never,
        on_event: Listener = silent,
    ) -> Performance:
        """Run a workflow; what the run before had saved is removed first.

        Raises:
            RunCancelled: `is_cancelled` answered True.
            FileRefused: an earlier output that the workflow reads cannot be brought here.
        """
        self._clear()
        self._bring(workflow)
        shown: dict[str, Mapping[str, Any]] = {}

        def hear(event: Event) -> None:
            if isinstance(event, NodeFinished | NodeCached) and event.ui:
                shown[event.expanded.display if event.expanded else event.node_id] = event.ui
            on_event(event)

        failure: GraphEngineError | None = None
        entry = _LastRun(self.history)
        strips = extra is not None and extra.strip_metadata
        engine = replace(self.engine, records=None, history=entry, strip_metadata=strips)
        try:
            engine.run(workflow, targets=targets, extra=extra, is_cancelled=is_cancelled, on_event=hear)
        except GraphEngineError as error:
            if is_cancelled():
                raise
            failure = error
        files = {node_id: tuple(shown_files(ui, self.folders)) for node_id, ui in shown.items()}
        there = {node_id: tuple(path for path in paths if path.is_file()) for node_id, paths in files.items()}
        return Performance(entry.last, {key: paths for key, paths in there.items() if paths}, shown, failure)

    def _clear(self) -> None:
        for folder in (self.folders.output, self.folders.temp):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)

    def _bring(self, workflow: Workflow) -> None:
        """Copy earlier outputs that the workflow reads, `picture.png [output]`, to where they are looked for."""
        for node in workflow.nodes.values():
            for value in node.inputs.values():
                for kind in _ELSEWHERE:
                    if isinstance(value, str) and value.endswith(f" [{kind}]"):
                        self._copy(value, kind)

    def _copy(self, value: str, kind: str) -> None:
        found = self.actual.find("input", value)
        if found is None:
            return
        place = self.folders.roots(kind)[0] / found.relative_to(self.actual.roots(kind)[0])
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, place)
        except OSError as error:
            raise FileRefused(f"cannot copy {found}: {error.strerror}", hint="make it readable") from error
