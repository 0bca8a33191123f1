"""What the history of a project costs: a fully cached run with and without it, nodes, and ten thousand runs.

    python benchmarks/history_cost.py [--rounds 20] [--runs 10000]

Times of whole processes are CPU seconds, since other programs may run beside.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import median

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.provenance.history import HISTORY_FOLDER
from graphengine.provenance.history.documents import document_bytes
from graphengine.provenance.history.history import History, new_run_id
from graphengine.provenance.history.past_run import Machine, OutputFile, PastNode, PastRun, UsedFile
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "graphengine.cli")


class Next:
    """The number after another."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[str, dict[str, int]]]]:
        """One number."""
        return {"required": {"value": ("INT", {"default": 0})}}

    def run(self, value: int) -> tuple[int]:
        """The number after."""
        return (value + 1,)


def cpu_of(arguments: list[str], folder: Path) -> float:
    """CPU seconds of a command."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "nodes")])
    environment = {**os.environ, "GRAPHENGINE_CACHE": str(folder / "cache"), "PYTHONPATH": path}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*COMMAND, *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cached_runs(folder: Path, rounds: int) -> None:
    """A fully cached run of the first example in a git repository, with and without a record, in turns."""
    shutil.copy(ROOT / "workflows" / "img2img.json", folder)
    shutil.copytree(ROOT / "workflows" / "input", folder / "input")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "add", "img2img.json"], cwd=folder, check=True)
    subprocess.run(["git", *identity, "commit", "-q", "-m", "a workflow"], cwd=folder, check=True)
    run = ["run", "img2img.json", "--quiet", "--device", "cpu"]
    cpu_of(run, folder)
    without, recorded = [], []
    for _ in range(rounds):
        without.append(cpu_of([*run, "--no-record"], folder))
        recorded.append(cpu_of(run, folder))
    growth = median(recorded) / median(without) - 1
    print(f"fully cached run, {rounds} in turns: {median(without):.3f} s CPU, recorded {median(recorded):.3f} s")
    print(f"  growth {growth:+.1%} (of the quickest of each: {min(recorded) / min(without) - 1:+.1%})")


def chain(count: int) -> Workflow:
    """A chain of nodes."""
    nodes = {NodeId("0"): WorkflowNode("Next", {"value": 0})}
    for number in range(1, count):
        nodes[NodeId(str(number))] = WorkflowNode("Next", {"value": Link(NodeId(str(number - 1)), 0)})
    return Workflow(nodes)


def nodes(folder: Path) -> None:
    """What a run of many nodes, all cached, takes with and without a record, in this process."""
    registry = NodeRegistry([define("Next", Next, module="benchmarks")])
    folders = Folders((folder,), folder, folder, {})
    print("runs in one process, all nodes cached but the first time:")
    for count in (10, 100, 1_000, 10_000):
        engine = Engine(registry, MemoryStore(2**30), folders, LocalExecutor(), device="cpu")
        place = folder / str(count) / HISTORY_FOLDER
        kept = replace(engine, history=History(place))
        workflow = chain(count)
        engine.run(workflow)
        times = {name: best(partial(each.run, workflow)) for name, each in (("without", engine), ("with", kept))}
        lines = (place / "runs.jsonl").read_bytes().splitlines()
        cost = times["with"] - times["without"]
        print(
            f"  {count:6} nodes: {times['without'] * 1e3:7.1f} ms, recorded {times['with'] * 1e3:7.1f} ms: "
            f"{cost * 1e6 / count:5.1f} us and {len(lines[-1]) / count:4.0f} bytes per node"
        )


def best(call: Callable[[], object], times: int = 5) -> float:
    """The least CPU seconds of some calls."""
    spent = []
    for _ in range(times):
        begun = time.process_time()
        call()
        spent.append(time.process_time() - begun)
    return min(spent)


def many_runs(folder: Path, count: int) -> None:
    """Ten thousand runs of nine nodes: what one more takes, and what reading takes, as whole processes."""
    history = History(folder / HISTORY_FOLDER)
    document = document_bytes({"1": {"class_type": "KSampler", "inputs": {"seed": 1}}})
    kept = {sha256(document).hexdigest(): document}
    begun = time.process_time()
    for number in range(count):
        history.add(a_run(number, count, next(iter(kept))), kept)
    spent = time.process_time() - begun
    size = (history.root / "runs.jsonl").stat().st_size
    print(f"{count} runs of nine nodes: {spent / count * 1e6:.0f} us each, {size / 2**20:.0f} MiB in all")
    wanted = a_run(count // 2, count, next(iter(kept)))
    picture = folder / "moved.png"
    picture.write_bytes(str(count // 2).encode())
    for name, arguments in (
        ("log --help", ["log", "--help"]),
        ("log", ["log"]),
        ("log FILE, index made first", ["log", "flow_1.json"]),
        ("log FILE", ["log", "flow_1.json"]),
        ("log --output FILE", ["log", "--output", "moved.png"]),
        ("show PREFIX", ["show", wanted.id[:24]]),
        ("compare @2 @1", ["compare", "@2", "@1"]),
    ):
        print(f"  {name}: {cpu_of(arguments, folder):.2f} s CPU")


def a_run(number: int, count: int, workflow: str) -> PastRun:
    """A run like those of the first example; of each ten one is of another file."""
    started = 1_790_000_000.0 + number * 60
    digest = sha256(str(number).encode()).hexdigest()
    return PastRun(
        id=new_run_id(started)[:-6] + f"{number:06x}",
        started=started,
        seconds=3.5,
        status="success",
        workflow=workflow,
        machine=Machine("0.1.0", "3.11.7", "linux-x86_64", "cpu", "2.13.0", 8, 2**35),
        file=f"flow_{number % 10}.json",
        seeds={"6.seed": number},
        nodes={
            str(each): PastNode("KSampler", digest, "executed", 0.5, (digest, digest)) for each in range(1, 10)
        },
        outputs=(OutputFile("9", f"output/picture_{number:05}_.png", digest, 400_000),),
        files=(
            UsedFile("1", "ckpt_name", "checkpoints", "model.safetensors", "/models/model.safetensors", digest),
        ),
        environment={"device": "cpu", "deterministic": "no", "package:torch": "2.13.0"},
    )


def main() -> None:
    """Measure all of it in temporary folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=10_000)
    asked = parser.parse_args()
    for measure in (lambda at: cached_runs(at, asked.rounds), nodes, lambda at: many_runs(at, asked.runs)):
        with tempfile.TemporaryDirectory(prefix="graphengine_history_") as folder:
            measure(Path(folder))


if __name__ == "__main__":
    main()
