"""One document from its file to its end, or to the error that stops it."""

from __future__ import annotations

import gc
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from graphengine.engine import Engine
from graphengine.errors import GraphEngineError, NodeExecutionError, ValidationFailed
from graphengine.settings import load_settings
from graphengine.workflow.models import Workflow

from . import shrinking
from .documents import Document, named_files, read
from .placing import NoMaker, Shelf

REFUSED = "refused"
"""How the error of a workflow begins that does not fit the definitions."""


@dataclass(frozen=True)
class Outcome:
    """What became of a document.

    missing: classes that there are not. error: why it stopped, with node and class; "" when it ran to its end.
    refused: what the API document lacks, when the editor's document ran in its place. seconds: how long it took.
    core: whether all its classes are core classes. memory: bytes that the process holds afterwards.
    """

    name: str
    core: bool = True
    missing: tuple[str, ...] = ()
    error: str = ""
    refused: str = ""
    seconds: float = 0.0
    memory: int = 0

    @property
    def ran(self) -> bool:
        """Whether it ran to its end."""
        return not self.missing and not self.error

    def __str__(self) -> str:
        if self.missing:
            return f"{self.name}: missing {', '.join(self.missing)}"
        if self.error:
            return f"{self.name}: {self.error}"
        way = f" from the editor's document (the API document is {self.refused})" if self.refused else ""
        return f"{self.name}: ran to its end{way}, {self.seconds:.1f} s, {self.memory >> 20} MiB"


def attempt(document: Document, shelf: Shelf, core: Collection[str] | None, steps: int) -> Outcome | None:
    """Run a document in a folder of its own; None when it is no workflow. core: the core classes, None for all.

    An API document says the values that nodes had when it was saved, and nothing of inputs that came later. The
    editor gives those their defaults; so where an API document is refused, the editor's runs.
    """
    found = _attempt(document.name, document.file, shelf, core, steps)
    if found is None or document.editor is None or not found.error.startswith(REFUSED):
        return found
    again = _attempt(document.name, document.editor, shelf, None, steps)
    return replace(again, refused=found.error) if again is not None and again.ran else found


def _attempt(name: str, file: Path, shelf: Shelf, core: Collection[str] | None, steps: int) -> Outcome | None:
    with TemporaryDirectory(prefix="corpus-") as place:
        engine = engine_in(Path(place), shelf.folder / "packs")
        workflow = read(engine, file)
        if workflow is None:
            return None
        classes = {node.class_type for node in workflow.nodes.values()}
        if core is not None and not classes <= set(core):
            return Outcome(name, core=False)
        missing = tuple(sorted(each for each in classes if each not in engine.registry))
        if missing:
            return Outcome(name, missing=missing)
        started = time.perf_counter()
        error = run(engine, workflow, shelf, Path(place), steps)
        seconds = time.perf_counter() - started
        del engine
    gc.collect()
    return Outcome(name, error=error, seconds=seconds, memory=resident_bytes())


def engine_in(folder: Path, packs: Path) -> Engine:
    """An engine whose folders lie in one, on the CPU, without a store on disk. packs: where packs are indexed."""
    for name in ("input", "output", "models"):
        (folder / name).mkdir(exist_ok=True)
    cache = folder / "cache"
    settings = load_settings(base_dir=folder, cache=cache, no_cache=True, device="cpu", environ={})
    return Engine.from_settings(replace(settings, packs=packs))


def run(engine: Engine, workflow: Workflow, shelf: Shelf, folder: Path, steps: int) -> str:
    """Run a workflow of known classes, made small, on tiny models; what stops it, or ""."""
    try:
        names = shelf.place(named_files(workflow, engine.registry), folder / "models", folder / "input")
    except NoMaker as lacking:
        return f"no tiny model: {lacking}"
    ready = shrinking.small(shrinking.renamed(workflow, names), engine.registry, steps)
    try:
        engine.run(ready)
    except ValidationFailed as failed:
        first, *others = [str(problem) for problem in failed.problems if problem.severity == "error"]
        return f"{REFUSED}: {first}" + (f" and {len(others)} more" if others else "")
    except NodeExecutionError as failed:
        return f"failed: {failed} ({failed.hint})" if failed.hint else f"failed: {failed}"
    except GraphEngineError as failed:
        return f"failed: {failed}"
    return ""


def resident_bytes() -> int:
    """What the process holds in memory now, in bytes; 0 where /proc does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * 4096
