#!/usr/bin/env python3
"""Whether a watch takes in edited node code exactly: random edits, and an oracle that knows what each one means.

    python benchmarks/hot_reload.py [--edits 200] [--seed 1]

A pack of 50 modules (nodes, helpers of helpers, imports of all forms, a package that collects the classes) and two
packs of one file are watched for real, with a workflow over all of their nodes that also loads the checkpoint
that ships. Edits: a constant in a node or a helper, a comment, other inputs or another range, a node that comes or
goes, a helper with another name, and text that is no Python or fails when it is imported, which is mended later.

Needless: a node that ran although it was called before with this code and these values. Not run: one that was not
called so, and did not run. Stale: another value is shown than the edited sources give. All must be 0, and the
checkpoint is loaded once.
"""

import argparse
import copy
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from hot_reload_world import EDITS, SINGLES, World, mend, new_world

from graphengine.engine import Engine
from graphengine.errors import GraphEngineError, Problem
from graphengine.execution.events import Event, NodeCached, NodeFinished, NodeStarted
from graphengine.foresight import Foresight
from graphengine.packs.discover import Pack
from graphengine.settings import load_settings
from graphengine.watch.changes import FolderChanges
from graphengine.watch.code import renewed
from graphengine.watch.loop import Watch, Wishes
from graphengine_nodes.diffusion.nodes.loader_nodes import CheckpointLoaderSimple

_PATIENCE = 60.0  # seconds for one edit to be taken in


@dataclass
class Heard:
    """What the watch tells of one edit."""

    done: threading.Event = field(default_factory=threading.Event)
    awaited: str = "finished"
    executed: set[str] = field(default_factory=set)
    shown: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    started: float = 0.0

    def expect(self, what: str) -> None:
        """Forget the edit before, and wait for this."""
        self.executed, self.problems, self.awaited, self.started = set(), [], what, 0.0
        self.done.clear()

    def _told(self, what: str) -> None:
        if what == self.awaited:
            self.done.set()

    def happened(self, event: Event) -> None:
        """Note what runs and what is shown."""
        if isinstance(event, NodeStarted) and not self.started:
            self.started = time.perf_counter()
        if isinstance(event, NodeFinished):
            self.executed.add(event.node_id)
        if isinstance(event, NodeFinished | NodeCached) and event.ui:  # the cache holds what was shown, too
            self.shown[event.node_id] = event.ui["value"][0]

    def finished(self, file: Path) -> None:
        """A run is over."""
        self._told("finished")

    def refused(self, file: Path, error: GraphEngineError) -> None:
        """The workflow has errors."""
        self.problems.append(str(error))
        self._told("refused")

    def reloaded(self, packs: Collection[str], problems: Sequence[Problem]) -> None:
        """Code was taken in, or could not be."""
        self.problems += [problem.message for problem in problems]
        if problems:
            self._told("broken")

    def waits(self, file: Path, why: str) -> None:
        """The workflow cannot be read."""
        self.problems.append(why)

    def unchanged(self, file: Path) -> None:
        """Nothing ran."""
        self._told("finished")

    def planned(self, file: Path, foresight: Foresight) -> None:
        """Plans are not looked at."""

    def overtaken(self, file: Path) -> None:
        """The next run tells."""


@dataclass
class Trial:
    """The folder, the oracle, and what was found."""

    place: Path
    world: World
    rng: random.Random
    heard: Heard = field(default_factory=Heard)
    live: World | None = None  # as the code in use has it
    seen: set[Any] = field(default_factory=set)
    on_disk: dict[str, str] = field(default_factory=dict)
    over: bool = False
    wrong: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    made: Counter[str] = field(default_factory=Counter)
    reruns: Counter[str] = field(default_factory=Counter)
    to_start: list[float] = field(default_factory=list)

    def save(self) -> None:
        """Write what differs, moved into place or in place."""
        texts = {f"custom_nodes/{path}": text for path, text in self.world.texts().items()}
        texts["flow.json"] = json.dumps(self.world.workflow())
        for path in self.on_disk.keys() - texts.keys():
            (self.place / path).unlink()
        for path, text in texts.items():
            if self.on_disk.get(path) == text:
                continue
            file = self.place / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if self.rng.random() < 0.5:
                file.write_text(text)
            else:
                part = file.with_name(f".{file.name}.part")
                part.write_text(text)
                part.replace(file)
        self.on_disk = texts

    def after(self, what: str) -> None:
        """Save, wait for the watch, and compare with the oracle."""
        broken = bool(self.world.broken)
        self.heard.expect("broken" if broken else "refused" if self.world.is_refused() else "finished")
        self.save()
        saved = time.perf_counter()
        if not self.heard.done.wait(_PATIENCE):
            raise SystemExit(f"{what}: waited in vain for {self.heard.awaited}; told: {self.heard.problems}")
        self.made[what] += 1
        if broken:
            told = " ".join(self.heard.problems)
            if not all(Path(path).name in told and "line" in told for path in self.world.broken):
                self.untold.append(f"{what}: {told}")
        elif not self.world.is_refused():
            self.live = copy.deepcopy(self.world)
            if self.heard.started:
                self.to_start.append(self.heard.started - saved)
            self.compare(what)

    def compare(self, what: str) -> None:
        """What ran and what is shown, against what should have."""
        assert self.live is not None
        calls = self.live.calls()
        expected = {name for name, call in calls.items() if call not in self.seen}
        self.seen.update(calls.values())
        executed = self.heard.executed - {"loader"}
        self.reruns[what] += len(executed)
        self.wrong += [f"{what}: {name} did not run" for name in expected - executed]
        self.needless += [f"{what}: {name} ran" for name in executed - expected]
        for last in self.live.lasts():
            shown, right = self.heard.shown[f"show {last}"], self.live.value(last)
            if shown != right:
                self.stale.append(f"{what}: {last} shows {shown} and not {right}")

    def with_old_code(self) -> None:
        """Change a literal of the workflow while the sources are unusable: the code of before runs."""
        assert self.live is not None
        node = self.rng.choice([node for node in self.world.nodes.values() if node.reads is None])
        node.literal = self.live.nodes[node.name].literal = self.rng.randrange(2, 10**5)
        self.heard.expect("finished")
        self.save()
        if not self.heard.done.wait(_PATIENCE):
            raise SystemExit(f"the old code did not run; told: {self.heard.problems}")
        self.made["literal, with the old code"] += 1
        self.compare("literal, with the old code")

    def go(self, edits: int) -> None:
        """Edit at random."""
        try:
            self.heard.done.wait(_PATIENCE)
            self.live = copy.deepcopy(self.world)
            self.compare("start")
            while self.made.total() < edits:
                what = self.rng.choice(list(EDITS))
                EDITS[what](self.world, self.rng)
                if all(self.on_disk.get(f"custom_nodes/{path}") == t for path, t in self.world.texts().items()):
                    continue
                self.after(what)
                if self.world.broken or self.world.is_refused():
                    if self.world.broken and self.rng.random() < 0.5:
                        self.with_old_code()
                    mend(self.world, self.rng)
                    self.after("mended")
        finally:
            self.over = True


def main() -> None:
    """Watch in this thread, edit in another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    loads, opened, reloads = _counted_loads(), _counted_opens(), _Times()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        trial = Trial(place, new_world(rng), rng)
        trial.save()
        settings = load_settings(base_dir=place, cache=place / "cache", device="cpu", environ={})
        settings = settings.trusting(["many", *SINGLES])
        changes = FolderChanges()
        editor = threading.Thread(target=trial.go, args=(arguments.edits,))

        def read(engine: Engine, file: Path) -> tuple[Any, None]:
            workflow = engine.read(file).workflow
            engine.load_packs({node.class_type for node in workflow.nodes.values()})
            return workflow, None

        def renew(engine: Engine, packs: Collection[Pack]) -> tuple[Engine, Sequence[Problem]]:
            with reloads:
                return renewed(engine, settings, packs)

        watch = Watch(
            Engine.from_settings(settings), [place / "flow.json"], read, changes, trial.heard,
            Wishes(stop=lambda: trial.over), renew=renew, project=place / "graphengine.toml",
        )  # fmt: skip
        editor.start()
        watch.go()
        editor.join()
        changes.close()
        watch.engine.close()
    _report(trial, loads, opened, reloads)


class _Times:
    """Wall and CPU seconds of a block that runs again and again, and how many modules of packs it imports anew."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.modules: list[int] = []

    def __enter__(self) -> None:
        self._before = _pack_modules()
        self._begun = time.perf_counter(), time.thread_time()

    def __exit__(self, *error: object) -> None:
        self.wall.append(time.perf_counter() - self._begun[0])
        self.cpu.append(time.thread_time() - self._begun[1])
        if anew := len(_pack_modules() - self._before):
            self.modules.append(anew)

    def told(self, seconds: list[float]) -> str:
        return f"median {statistics.median(seconds) * 1000:.0f} ms, most {max(seconds) * 1000:.0f} ms"


def _pack_modules() -> set[ModuleType]:
    return {module for name, module in sys.modules.items() if name.startswith("graphengine_pack_")}


def _counted_loads() -> list[str]:
    """The names that the loader of checkpoints is called with from here on."""
    names: list[str] = []
    load = CheckpointLoaderSimple.load

    def counted(self: Any, ckpt_name: str, **more: Any) -> Any:
        names.append(ckpt_name)
        return load(self, ckpt_name=ckpt_name, **more)

    CheckpointLoaderSimple.load = counted
    return names


def _counted_opens() -> list[str]:
    """The checkpoints that Python opens from here on."""
    names: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            name = os.fspath(arguments[0])
            if str(name).endswith(".safetensors") and "graphengine_tiny" in str(name):
                names.append(str(name))

    sys.addaudithook(note)
    return names


def _report(trial: Trial, loads: list[str], opened: list[str], reloads: _Times) -> None:
    print(f"{'edit':<40}{'made':>6}{'nodes run':>11}")
    for what, count in trial.made.items():
        print(f"{what:<40}{count:>6}{trial.reruns[what]:>11}")
    nodes = len(trial.world.workflow())
    print(f"{trial.made.total()} edits of 50 modules and 2 single files, a workflow of {nodes} nodes")
    print(f"not run though affected: {len(trial.wrong)} {trial.wrong[:3] or ''}")
    print(f"run needlessly: {len(trial.needless)} {trial.needless[:3] or ''}")
    print(f"stale values shown: {len(trial.stale)} {trial.stale[:3] or ''}")
    print(f"errors told without file and line: {len(trial.untold)} {trial.untold[:3] or ''}")
    print(f"checkpoint: loaded {len(loads)} time(s), opened by Python {len(opened)} time(s)")
    print(f"reload, CPU: {reloads.told(reloads.cpu)}; wall: {reloads.told(reloads.wall)}")
    anew = f"median {statistics.median(reloads.modules):.0f}, most {max(reloads.modules)}"
    print(f"modules imported anew by an edit that can be: {anew}")
    print(f"save to the start of the first node, wall: median {statistics.median(trial.to_start) * 1000:.0f} ms")
    print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    sys.exit(bool(trial.wrong or trial.needless or trial.stale or trial.untold or len(loads) != 1))


if __name__ == "__main__":
    main()
