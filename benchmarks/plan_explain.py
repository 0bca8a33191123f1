#!/usr/bin/env python3
"""What `plan`, `explain` and the records of runs cost, with nodes that only add two integers.

    python benchmarks/plan_explain.py [--nodes 10000] [--repeat 3] [--mutations 20]

A chain of nodes is run from the command line, then one literal in it is changed. Shown are the CPU times of `plan`
and `explain`, each in a new process, whether `explain` names exactly the change, and what a record adds to a run,
measured in this process with a store on disk, by turns with and without. With `--mutations`, `explain` is asked
after as many random changes (literal, link, code, package, device), each from the same recorded run.
"""

import argparse
import gc
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from graphengine.cache.disk import DiskStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.packs.discover import custom_packs
from graphengine.packs.project import TrustPolicy, read_project
from graphengine.packs.trust import Trust, trust_packs
from graphengine.provenance.folder import RecordFolder
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

PACK = """
class ChainAdd:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT", {}), "b": ("INT", {})}}

    def run(self, a, b):
        return (a + b,)


class ChainShow(ChainAdd):
    OUTPUT_NODE = True

    def run(self, a, b):
        return {"ui": {"text": [str(a + b)]}, "result": (a + b,)}


NODE_CLASS_MAPPINGS = {"ChainAdd": ChainAdd, "ChainShow": ChainShow}
"""


def chain(nodes: int) -> Workflow:
    """Each node adds its number to what the one before it gives; the last shows it."""
    made = {NodeId("0"): WorkflowNode("ChainAdd", {"a": 1, "b": 2})}
    for n in range(1, nodes):
        kind = "ChainShow" if n == nodes - 1 else "ChainAdd"
        made[NodeId(str(n))] = WorkflowNode(kind, {"a": Link(NodeId(str(n - 1)), 0), "b": n})
    return Workflow(made)


def command(place: Path, *argv: str) -> tuple[float, str]:
    """CPU seconds of a command in a process of its own, and what it wrote."""
    code = "import sys; from graphengine.cli import main; sys.exit(main())"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GRAPHENGINE_CACHE": str(place / "cache")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, *argv, "--device", "cpu"],
        cwd=place, env=environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def write(place: Path, workflow: Workflow) -> None:
    """The workflow as the file that the commands read, and the pack beside it."""
    (place / "custom_nodes").mkdir()
    (place / "custom_nodes" / "chain.py").write_text(PACK)
    trust_packs(read_project(place), Trust(TrustPolicy()), custom_packs([place / "custom_nodes"]))
    document = {
        node_id: {
            "class_type": node.class_type,
            "inputs": {k: [v.source, v.output] if isinstance(v, Link) else v for k, v in node.inputs.items()},
        }
        for node_id, node in workflow.nodes.items()
    }
    (place / "flow.json").write_text(json.dumps(document))


def commands(nodes: int, repeat: int) -> None:
    """CPU times of the commands, before and after a change."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write(place, chain(nodes))
        print(f"run, first:           {command(place, 'run', 'flow.json', '-q')[0]:6.2f} s CPU")
        change = ("--set", f"{nodes // 2}.b=-1")
        for title, argv in (
            ("plan, all cached", ("plan", "flow.json")),
            ("plan, one change", ("plan", "flow.json", *change)),
            ("explain, one change", ("explain", "flow.json", *change)),
            ("explain of one node", ("explain", "flow.json", str(nodes - 1), *change)),
        ):
            print(f"{title + ':':<21} {min(command(place, *argv)[0] for _ in range(repeat)):6.2f} s CPU")
        said = json.loads(command(place, "explain", "flow.json", *change, "--json")[1])
        causes = [(cause["nodes"], cause["part"], cause["old"], cause["new"]) for cause in said["next"]["causes"]]
        print(f"named:                {causes}")
        assert causes == [([str(nodes // 2)], "input:b", nodes // 2, -1)]


class ChainAdd:
    """The sum of two whole numbers."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[object, ...]]]:
        """Two numbers."""
        return {"required": {"a": ("INT", {}), "b": ("INT", {})}}

    def run(self, a: int, b: int) -> tuple[int]:
        """Add."""
        return (a + b,)


class ChainShow(ChainAdd):
    """The same, and what it gives is shown."""

    OUTPUT_NODE = True


def engine(place: Path, records: RecordFolder | None, code: str = "1", torch: str = "2.12") -> Engine:
    """An engine over a cache folder; `code` and `torch` are versions."""
    registry = NodeRegistry(
        replace(define(kind.__name__, kind), code={"chain.py": code}, packages={"torch": torch})
        for kind in (ChainAdd, ChainShow)
    )
    return Engine(registry, DiskStore(place), Folders(), LocalExecutor(), "cpu", records=records)


def overhead(nodes: int, repeat: int) -> None:
    """What a record adds to a first run and to a cached one."""
    workflow = chain(nodes)
    costs: dict[tuple[str, bool], list[float]] = {}
    for turn in range(2 * repeat):
        is_recorded = bool(turn % 2)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            with engine(place, RecordFolder(place / "runs") if is_recorded else None) as made:
                for kind in ("first", "cached"):
                    gc.collect()
                    before = time.process_time()
                    made.run(workflow, record_as=place / "flow.json")
                    costs.setdefault((kind, is_recorded), []).append(time.process_time() - before)
    for kind in ("first", "cached"):
        without, with_ = (median(costs[kind, is_recorded]) for is_recorded in (False, True))
        each = (with_ - without) / nodes * 1e6
        print(f"{kind} run: {without:.2f} s CPU without a record, {with_:.2f} s with one: {each:+.1f} µs per node")


def mutations(nodes: int, count: int) -> None:
    """How many random changes are named exactly, each from the same recorded run."""
    rng = random.Random(5)
    workflow = chain(nodes)
    exact = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        records = RecordFolder(place / "runs")
        with engine(place, records) as made:
            made.run(workflow, record_as=place / "flow.json")
        for _ in range(count):
            what = rng.choice(["literal", "link", "code", "package"])
            node_id = NodeId(str(rng.randrange(2, nodes)))
            node = workflow.nodes[node_id]
            changed, part = workflow, f"{what}:torch" if what == "package" else "code:chain.py"
            if what in ("literal", "link"):
                name, value = ("b", -1) if what == "literal" else ("a", Link(NodeId("0"), 0))
                changed = Workflow({**workflow.nodes, node_id: replace(node, inputs={**node.inputs, name: value})})
                part = f"{'input' if what == 'literal' else 'link'}:{name}"
            versions = ("2" if what == "code" else "1", "2.13" if what == "package" else "2.12")
            with engine(place, records, *versions) as made:
                foresight = made.foresee(changed, record_as=place / "flow.json")
                starts = [each for each, found in foresight.of.items() if found.fate in ("runs", "perhaps")]
                causes = foresight.causes.of(starts)
            exact += [cause.part for cause in causes] == [part] and (":" in part and node_id in causes[0].nodes)
    print(f"{exact} of {count} random changes named exactly")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--mutations", type=int, default=20)
    args = parser.parse_args()
    print(f"{args.nodes} nodes")
    commands(args.nodes, args.repeat)
    overhead(args.nodes, args.repeat)
    mutations(args.nodes, args.mutations)


if __name__ == "__main__":
    main()
