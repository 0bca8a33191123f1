#!/usr/bin/env python3
"""How soon a save reaches the node that it affects, and what a watch leaves behind.

    python benchmarks/watch_latency.py [--nodes 200] [--saves 30] [--cycles 1000] [--reloads 200]

Ten chains of additions (200 nodes in all, results on disk) are watched for real. A literal of the last node of one
chain is changed in a file that is moved into place, and the time from there until that node starts is taken; once
more for literals of first nodes, after which the whole chain runs. Then 100 saves within ten seconds, of which the
last counts, and many cycles of save and run with a look at threads, open files and memory before and after. At
last a pack of custom nodes is edited and taken in again and again: none of its old modules and classes may remain.
"""

import argparse
import gc
import json
import os
import random
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from graphengine.cache.disk import DiskStore
from graphengine.cache.store import MemoryStore
from graphengine.cache.tiers import tiers
from graphengine.engine import Engine
from graphengine.execution.events import Event, NodeFinished, NodeStarted
from graphengine.execution.executor import LocalExecutor
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.provenance.folder import RecordFolder
from graphengine.settings import load_settings
from graphengine.watch.changes import FolderChanges
from graphengine.watch.code import renewed
from graphengine.watch.loop import Watch, Wishes

_CHAINS = 10
_PATIENCE = 30.0  # seconds for one save to be run

# A pack of three modules, for reloads.
ADD = """
NUMBER = {number}
TABLE = [str(n) for n in range(1000)]  # so that what remains shows

class PackAdd:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"a": ("INT", {{}}), "b": ("INT", {{}})}}}}
    def run(self, a, b):
        return (a + b + NUMBER,)
"""
SHOW = """
class PackShow:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT", {"forceInput": True}), "b": ("INT", {})}}
    def run(self, a, b):
        return {"ui": {"text": [str(a + b)]}}
"""
COLLECTED = """
from .add import PackAdd
from .show import PackShow
NODE_CLASS_MAPPINGS = {"PackAdd": PackAdd, "PackShow": PackShow}
"""


class ChainAdd:
    """The sum of two numbers."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: D102
        return {"required": {"a": ("INT", {"max": 10**9}), "b": ("INT", {"max": 10**9})}}

    def run(self, a, b):  # noqa: D102
        return (a + b,)


class ChainShow(ChainAdd):
    """The sum, shown."""

    OUTPUT_NODE = True

    def run(self, a, b):  # noqa: D102
        return {"ui": {"text": [str(a + b)]}, "result": (a + b,)}


class Edited:
    """A workflow file that is saved again and again, and what was heard of its runs."""

    def __init__(self, file: Path, nodes: int, kinds: tuple[str, str] = ("ChainAdd", "ChainShow")) -> None:
        self.file, self.length = file, nodes // _CHAINS
        self.document = {}
        for chain in range(_CHAINS):
            for place in range(self.length):
                kind = kinds[place == self.length - 1]
                before = [f"{chain}.{place - 1}", 0] if place else chain
                self.document[f"{chain}.{place}"] = {"class_type": kind, "inputs": {"a": before, "b": 1}}
        self.idle = threading.Event()
        self.wanted = ""
        self.started = 0.0
        self.shown: dict[str, str] = {}
        self.troubles: list[str] = []
        self.over = False
        self.write()

    def write(self) -> None:
        """Move the new text into place."""
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.document))
        part.replace(self.file)

    def seconds_after(self, node_id: str, value: int) -> float:
        """Change a literal, and give the seconds until the node starts."""
        self.document[node_id]["inputs"]["b"] = value
        return self.seconds_until(node_id, self.write)

    def seconds_until(self, node_id: str, save: Callable[[], object]) -> float:
        """Save something, and give the seconds until the node starts; waits for the end of the run."""
        self.idle.clear()
        self.wanted = node_id
        save()
        saved = time.perf_counter()
        if not self.idle.wait(_PATIENCE):
            raise SystemExit("a save was lost")
        return self.started - saved

    # as an audience

    def happened(self, event: Event) -> None:
        """Note when the node starts that is waited for, and what is shown."""
        if isinstance(event, NodeStarted) and event.node_id == self.wanted:
            self.started, self.wanted = time.perf_counter(), ""
        if isinstance(event, NodeFinished) and event.ui:
            self.shown[event.node_id] = event.ui["text"][0]

    def finished(self, file: Path) -> None:
        """Let the next save come."""
        if not self.wanted:
            self.idle.set()

    def waits(self, file: Path, why: str) -> None:
        """Note a trouble."""
        self.troubles.append(why)

    def refused(self, file: Path, error: Exception) -> None:
        """Note a trouble."""
        self.troubles.append(str(error))

    def unchanged(self, file: Path) -> None:
        """Nothing ran."""

    def planned(self, file: Path, foresight: object) -> None:
        """Find the causes, as the command line does to tell them."""
        foresight.causes.of([node_id for node_id, each in foresight.of.items() if each.fate == "runs"])

    def overtaken(self, file: Path) -> None:
        """A newer save."""

    def reloaded(self, packs: object, problems: object) -> None:
        """Code was taken in; a trouble is noted."""
        self.troubles += [problem.message for problem in problems]


def engine_in(place: Path) -> Engine:
    """An engine that keeps results on disk and records runs."""
    for name in ("input", "output", "temp"):
        (place / name).mkdir()
    disk = DiskStore(place / "cache")
    return Engine(
        NodeRegistry(define(kind.__name__, kind, version="1") for kind in (ChainAdd, ChainShow)),
        tiers(MemoryStore(), disk, None),
        Folders((place / "input",), place / "output", place / "temp", {}),
        LocalExecutor(),
        device="cpu",
        memo=disk,
        records=RecordFolder(place / "cache" / "runs"),
    )


def edit(edited: Edited, saves: int, cycles: int) -> None:
    """Save as a user would, and print what was measured."""
    edited.idle.wait(_PATIENCE)
    last = edited.length - 1
    for title, place in (("last", last), ("first", 0)):
        times = [edited.seconds_after(f"{n % _CHAINS}.{place}", 1000 * (place + 2) + n) for n in range(saves)]
        middle, worst = median(times) * 1000, max(times) * 1000
        print(f"save to start, {title} node of a chain: median {middle:.0f} ms, most {worst:.0f}")
    rng = random.Random(8)
    begun = time.perf_counter()
    for n in range(100):
        edited.document["0.0"]["inputs"]["b"] = n
        edited.write()
        time.sleep(max(0.0, begun + (n + rng.random()) * 0.1 - time.perf_counter()))
    spent = time.perf_counter() - begun
    expected = str(sum(edited.document[f"0.{place}"]["inputs"]["b"] for place in range(edited.length)))
    until = time.perf_counter() + _PATIENCE
    while edited.shown[f"0.{last}"] != expected and time.perf_counter() < until:
        time.sleep(0.01)
    print(f"100 saves in {spent:.1f} s: last state {'shown' if edited.shown[f'0.{last}'] == expected else 'LOST'}")
    usage = [Usage.now()]
    for n in range(cycles):
        edited.seconds_after(f"{n % _CHAINS}.{last}", 100_000 + n)
        if n + 1 in (cycles // 2, cycles):
            usage.append(Usage.now())
    print(f"{cycles} cycles: {Usage.told(usage)}")
    print(f"troubles told: {edited.troubles or 'none'}")


@dataclass(frozen=True)
class Usage:
    """What the process holds: threads, open files, and memory in KiB."""

    threads: int
    files: int
    memory: int

    @classmethod
    def now(cls) -> "Usage":
        """What it holds after the garbage is gone."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            threading.active_count(), len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGESIZE") // 1024
        )

    @staticmethod
    def told(usage: list["Usage"]) -> str:
        """At first, after half of the cycles and after all."""
        threads, files = ([getattr(each, name) for each in usage] for name in ("threads", "files"))
        memory = [each.memory for each in usage]
        first, second = memory[1] - memory[0], memory[2] - memory[1]
        grown = f"memory grew by {first} KiB in the first half and {second} in the second"
        return f"threads {threads}, open files {files}, {grown}"


def watched(place: Path, edited: Edited, engine: Engine, edit: Callable[[], None], **more: object) -> None:
    """Watch in this thread, edit in another."""
    changes = FolderChanges()

    def editing() -> None:
        try:
            edit()
        finally:
            edited.over = True

    def read(of: Engine, file: Path) -> tuple[object, None]:
        workflow = of.read(file).workflow
        of.load_packs({node.class_type for node in workflow.nodes.values()})
        return workflow, None

    editor = threading.Thread(target=editing)
    editor.start()
    watch = Watch(engine, [edited.file], read, changes, edited, Wishes(stop=lambda: edited.over), **more)
    del engine  # or the code of its time remains
    watch.go()
    watch.engine.close()
    editor.join()
    changes.close()


def reload_code(place: Path, reloads: int) -> None:
    """Edit a module of a pack again and again, and print what remains of its old code."""
    pack = place / "custom_nodes" / "chains"
    pack.mkdir(parents=True)
    (pack / "show.py").write_text(SHOW)
    (pack / "__init__.py").write_text(COLLECTED)
    _write_module(pack, 0)
    edited = Edited(place / "flow.json", 2 * _CHAINS, ("PackAdd", "PackShow"))
    settings = load_settings(base_dir=place, cache=place / "cache", device="cpu", environ={}).trusting(["chains"])
    gone: list[weakref.ref[object]] = []

    def edit() -> None:
        edited.idle.wait(_PATIENCE)
        usage, times = [Usage.now()], []
        for n in range(reloads):
            module = sys.modules["graphengine_pack_chains.add"]
            gone.extend([weakref.ref(module), weakref.ref(module.PackAdd)])
            del module
            times.append(edited.seconds_until("0.0", lambda n=n: _write_module(pack, n + 1)))
            if n + 1 in (reloads // 2, reloads):
                usage.append(Usage.now())
        print(f"save of a module to the start of its node: median {median(times) * 1000:.0f} ms")
        print(f"{reloads} reloads of code: {Usage.told(usage)}")
        alive = sum(each() is not None for each in gone)
        print(f"of {len(gone)} old modules and classes {alive} remain; troubles told: {edited.troubles or 'none'}")

    watched(
        place, edited, Engine.from_settings(settings), edit,
        renew=lambda engine, packs: renewed(engine, settings, packs),
    )  # fmt: skip


def _write_module(pack: Path, number: int) -> None:
    part = pack / ".add.part"
    part.write_text(ADD.format(number=number))
    part.replace(pack / "add.py")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--saves", type=int, default=30)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--reloads", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        edited = Edited(place / "flow.json", arguments.nodes)
        watched(place, edited, engine_in(place), lambda: edit(edited, arguments.saves, arguments.cycles))
    with tempfile.TemporaryDirectory() as folder:
        reload_code(Path(folder), arguments.reloads)


if __name__ == "__main__":
    main()
