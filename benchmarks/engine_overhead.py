#!/usr/bin/env python3
"""What the engine costs per node, with nodes that only add two integers.

    python benchmarks/engine_overhead.py [--store memory|disk] [--repeat 3]

For chains, trees, fans and grids of 1,000, 10,000 and 100,000 nodes: CPU time per node of reading the document,
of a first run (cold: validate, plan, hash, call, store), of a second run (cached: the same, and no call) and of a
third after the literal of the node before the last was edited. Each graph is measured in a process of its own, the
best of the repeats counts; peak memory is the growth of that process's resident set. The last columns compare with
1,000 nodes. With `--store disk` each run is made with a new store on the same cache folder.
"""

import argparse
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from graphengine.cache.disk import DiskStore
from graphengine.cache.store import CacheStore, MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.formats import read_document, to_workflow
from graphengine.workflow.models import NodeId, Workflow

SHAPES = ("chain", "tree", "fan", "grid")
RUNS = ("cold", "cached", "edited")
SIZES = (1_000, 10_000, 100_000)


class IntegerAdd:
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


class Show(IntegerAdd):
    """The same, and what it gives is shown."""

    OUTPUT_NODE = True


def document(shape: str, size: int) -> bytes:
    """An API document of `size` nodes; literals differ, so that no two nodes share a cache key."""
    nodes = {str(n): _node("IntegerAdd", *_inputs(shape, n, size)) for n in range(size - 1)}
    sinks = [["0", 0], n - 1] if (n := size - 1) == 0 else [[str(n - 1), 0], n]
    nodes[str(size - 1)] = _node("Show", *sinks)
    return json.dumps(nodes).encode()


def _inputs(shape: str, n: int, size: int) -> tuple[object, object]:
    if n == 0:
        return 0, 1
    match shape:
        case "chain":
            return [str(n - 1), 0], n
        case "tree":  # each node reads its parent in a binary heap
            return [str((n - 1) // 2), 0], n
        case "fan":  # all read the first node, the last reads them in a second chain
            return ["0", 0], [str(n - 1), 0] if n % 10 == 0 and n != size - 2 else n
        case _:  # grid: each node reads its left and upper neighbour
            width = max(1, int(size**0.5))
            upper = [str(n - width), 0] if n >= width and n != size - 2 else n
            return [str(n - 1), 0], upper


def _node(class_type: str, a: object, b: object) -> dict[str, object]:
    return {"class_type": class_type, "inputs": {"a": a, "b": b}}


def measure(shape: str, size: int, kind: str) -> dict[str, float]:
    """CPU seconds of reading, of three runs, and the growth of the resident set in MiB."""
    data = document(shape, size)
    registry = NodeRegistry(define(c.__name__, c, version="1") for c in (IntegerAdd, Show))
    targets = [str(n) for n in range(size)]  # every node counts, also those that no other reads
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        workflow = to_workflow(read_document(data), registry).workflow
        read = time.process_time() - begun
        memory = MemoryStore()

        def run(workflow: Workflow) -> tuple[float, int]:
            begun = time.process_time()
            store: CacheStore = memory if kind == "memory" else DiskStore(Path(folder))
            engine = Engine(registry, store, Folders(), LocalExecutor(), "cpu")
            result = engine.run(workflow, targets=targets)  # type: ignore[arg-type]  # ids are strings
            store.flush()
            return time.process_time() - begun, len(result.executed)

        cold, executed = run(workflow)
        cached, again = run(workflow)
        edited, few = run(_edited(workflow, str(size - 2)))
    assert (executed, again) == (size, 0), (executed, again)
    assert 1 <= few <= 2, few
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"read": read, "cold": cold, "cached": cached, "edited": edited, "peak": peak}


def _edited(workflow: Workflow, node_id: str) -> Workflow:
    """The workflow with one literal of a node made larger."""
    node = workflow.nodes[NodeId(node_id)]
    name, value = next((name, value) for name, value in node.inputs.items() if isinstance(value, int))
    changed = replace(node, inputs={**node.inputs, name: value + 1_000_000})
    return replace(workflow, nodes={**workflow.nodes, NodeId(node_id): changed})


def main() -> None:
    """Print a table; with `--one SHAPE SIZE` the raw figures of one graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("memory", "disk"), default="memory")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("SHAPE", "SIZE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], int(args.one[1]), args.store)))
        return
    print(f"store: {args.store}; best of {args.repeat}; µs of CPU time per node")
    print(
        f"{'graph':<8}{'nodes':>8}{'read':>8}{'cold':>8}{'cached':>8}{'edited':>8}{'peak MiB':>10}"
        f"{'cold ÷':>8}{'cached ÷':>10}{'edited ÷':>10}"
    )
    for shape in SHAPES:
        smaller: dict[str, float] = {}
        for size in SIZES:
            command = [sys.executable, __file__, "--store", args.store, "--one", shape, str(size)]
            runs = [json.loads(subprocess.check_output(command)) for _ in range(args.repeat)]
            best = {name: min(run[name] for run in runs) / size * 1e6 for name in ("read", *RUNS)}
            ratios = [f"{best[name] / smaller[name]:.2f}" if smaller else "" for name in RUNS]
            peak = min(run["peak"] for run in runs)
            times = "".join(f"{best[name]:>8.1f}" for name in ("read", *RUNS))
            row = f"{shape:<8}{size:>8,}{times}{peak:>10.1f}"
            print(f"{row}{ratios[0]:>8}{ratios[1]:>10}{ratios[2]:>10}", flush=True)
            smaller = smaller or best


if __name__ == "__main__":
    main()
