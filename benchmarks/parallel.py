#!/usr/bin/env python3
"""What nodes that run side by side gain.

    python benchmarks/parallel.py

Two branches of a node that sorts a million random numbers twenty times with torch, which takes one core each, with
one job and with two; and five coroutines that each wait 0.4 s. Wall seconds, the best of three, in one process.
"""

import asyncio
import os
import time
from typing import Any

import torch

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.policy import RunOptions
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

Inputs = dict[str, dict[str, tuple[Any, ...]]]


class Sort:
    """Sorts random numbers, again and again."""

    RETURN_TYPES = ("FLOAT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """A seed."""
        return {"required": {"seed": ("INT", {})}}

    def run(self, seed: int) -> tuple[float]:
        """The middle one."""
        numbers = torch.rand(1_000_000, generator=torch.Generator().manual_seed(seed))
        for _ in range(20):
            ordered = torch.sort(numbers).values
        return (float(ordered[500_000]),)


class Wait(Sort):
    """Waits for 0.4 s."""

    async def run(self, seed: int) -> tuple[float]:  # type: ignore[override]  # another node
        """A number."""
        await asyncio.sleep(0.4)
        return (float(seed),)


class Show:
    """Takes what is given."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """A number."""
        return {"required": {"value": ("FLOAT", {"forceInput": True})}}

    def run(self, value: float) -> tuple[()]:
        """Nothing."""
        return ()


def branches(kind: str, count: int) -> Workflow:
    """So many nodes of a kind, each with an output node."""
    nodes = {}
    for n in range(count):
        nodes[NodeId(str(n))] = WorkflowNode(kind, {"seed": n})
        nodes[NodeId(f"{n}:0")] = WorkflowNode("Show", {"value": Link(NodeId(str(n)), 0)})
    return Workflow(nodes)


def seconds(workflow: Workflow, jobs: int) -> float:
    """Wall time of a run without a cache, the best of three."""
    registry = NodeRegistry(define(kind.__name__, kind) for kind in (Sort, Wait, Show))
    times = []
    for _ in range(3):
        with Engine(registry, MemoryStore(), Folders(), LocalExecutor(), "cpu") as engine:
            begun = time.perf_counter()
            engine.run(workflow, options=RunOptions(jobs=jobs))
            times.append(time.perf_counter() - begun)
    return min(times)


def main() -> None:
    """Print both figures."""
    print(f"{os.cpu_count()} cores")
    one, two = (seconds(branches("Sort", 2), jobs) for jobs in (1, 2))
    print(f"two branches: {one:.2f} s with one job, {two:.2f} s with two: {one / two:.2f} times faster")
    print(f"five coroutines of 0.4 s: {seconds(branches('Wait', 5), 1):.2f} s")


if __name__ == "__main__":
    main()
