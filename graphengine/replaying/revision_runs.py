"""Running a workflow as a commit has it.

Where all commits have the same node packs, runs share one engine, with the packs as they are now. Else each commit
is run by a process of its own, in a folder that holds its packs, its lock and its `graphengine.toml`, which says
which of them may run; results are shared through the cache on disk. The user's files are not touched.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import graphengine
from graphengine.engine import Engine
from graphengine.errors import GraphEngineError, RunCancelled
from graphengine.execution.hooks import never
from graphengine.graph.validate import output_nodes
from graphengine.provenance.lock_digest import LOCK_FILE
from graphengine.replaying.judging import Observation, observe
from graphengine.replaying.likeness import content_digest
from graphengine.replaying.repository import Commit, Repository
from graphengine.replaying.stage import Stage
from graphengine.settings import EXTRA_MODEL_PATHS
from graphengine.workflow.formats import read_document, to_workflow
from graphengine.workflow.models import NodeId, Workflow

_TICK = 0.2  # seconds between two looks at whether the user wants to stop
_PROJECT_FILE = "graphengine.toml"


class RevisionRuns(Protocol):
    """Runs a workflow as commits have it; the files of a run are there until the next one."""

    def __call__(self, commit: Commit) -> Observation | None:
        """What its outputs give, None when it cannot be run."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Runs the commits with one engine. `find` gives the node to look at; without it all outputs count."""

    repository: Repository
    name: str
    stage: Stage
    find: Callable[[Workflow], NodeId] | None = None
    is_cancelled: Callable[[], bool] = never

    def __call__(self, commit: Commit) -> Observation | None:
        """Run the workflow of a commit.

        Raises:
            RunCancelled: somebody asked to stop.
        """
        content = self.repository.content(commit, self.name)
        if content is None:
            return None
        try:
            workflow = _converted(content, self.stage.engine)
            targets = self._targets(workflow)
        except GraphEngineError:  # no workflow, or without that node
            return None
        return observe(self.stage.run(workflow, targets, None, self.is_cancelled), targets)

    def _targets(self, workflow: Workflow) -> list[NodeId]:
        if self.find is not None:
            return [self.find(workflow)]
        return output_nodes(workflow, self.stage.engine.registry)


def _converted(content: bytes, engine: Engine) -> Workflow:
    """The workflow in a document, with the packs imported that a document of the editor needs."""
    document = read_document(content)
    conversion = to_workflow(document, engine.registry)
    engine.load_packs({node.class_type for node in conversion.workflow.nodes.values()})
    conversion = to_workflow(document, engine.registry)
    problem = next((each for each in conversion.problems if each.severity == "error"), None)
    if problem is not None:
        raise GraphEngineError(str(problem), hint=problem.hint)
    return conversion.workflow


@dataclass(frozen=True, slots=True)
class Apart:
    """Runs each commit in a process of its own, with the packs that it has.

    `base` is the project's folder and `packs` that of its packs, as commits name them. `options` go to
    `graphengine run`; `node` is the one to look at, as a command line names it.
    """

    repository: Repository
    name: str
    base: str
    packs: str
    folder: Path
    options: Sequence[str] = ()
    node: str | None = None
    is_cancelled: Callable[[], bool] = never

    def __call__(self, commit: Commit) -> Observation | None:
        """Run the workflow of a commit.

        Raises:
            RunCancelled: somebody asked to stop.
            GraphEngineError: the commit cannot be read.
        """
        output = self.folder / "output" / commit.id
        with TemporaryDirectory(prefix="graphengine-revision-") as name:
            project = Path(name)
            files = [f"{self.base}{each}" for each in (_PROJECT_FILE, LOCK_FILE, EXTRA_MODEL_PATHS)]
            self.repository.export(commit, [self.name, self.packs, *files], project)
            flow = project / self.name
            if not flow.is_file():
                return None
            _bring(self.repository.top / self.packs, project / self.packs)
            _bring_one(self.repository.top / self.name, "input", flow)
            told = self._run(flow, project / self.base, output)
        return None if told is None else _observed(told)

    # Any: what `run --json` writes.
    def _run(self, flow: Path, base: Path, output: Path) -> Mapping[str, Any] | None:
        words = [sys.executable, "-m", "graphengine.cli", "run", str(flow), "--base-dir", str(base)]
        words += ["--output", str(output), "--json", "--quiet", *self.options]
        words += ["--target", self.node] if self.node is not None else []
        ours = str(Path(graphengine.__file__).absolute().parents[1])  # the same graphengine as this one
        path = os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "GRAPHENGINE_NO_RECORD": "1"},
        )
        try:
            while True:
                try:
                    text, _ = process.communicate(timeout=_TICK)
                    break
                except subprocess.TimeoutExpired:
                    if self.is_cancelled():
                        raise RunCancelled from None
        finally:
            process.kill()
            process.wait()
        try:
            told = json.loads(text) if process.returncode == 0 else None
        except ValueError:
            return None
        return told if isinstance(told, dict) else None


def _bring(actual: Path, packs: Path) -> None:
    """Link what no commit holds, packs that the user has installed, beside those of the commit."""
    packs.mkdir(parents=True, exist_ok=True)
    for path in sorted(actual.iterdir()) if actual.is_dir() else ():
        target = packs / path.name
        if not path.name.startswith((".", "__")) and not target.exists() and path.is_dir():
            target.symlink_to(path.absolute(), target_is_directory=True)


def _bring_one(actual: Path, name: str, flow: Path) -> None:
    """Link a folder that lies beside the workflow, where the commit does not have it."""
    there, target = actual.parent / name, flow.parent / name
    if there.is_dir() and not target.exists():
        target.symlink_to(there.absolute(), target_is_directory=True)


def _observed(told: Mapping[str, Any]) -> Observation:
    files = tuple(Path(str(file)) for file in told.get("files", ()))
    texts = json.dumps(told.get("texts", []), sort_keys=True)
    return Observation(files, tuple(content_digest(file) for file in files), texts)


def same_packs(repository: Repository, commits: Sequence[Commit], packs: str) -> bool:
    """Whether all these commits have the same node packs."""
    return len({repository.tree(commit, packs) for commit in commits}) <= 1
