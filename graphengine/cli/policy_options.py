"""Options of how a run is carried out, shared by the commands that run workflows."""

from dataclasses import dataclass
from typing import Annotated

import typer

from graphengine.cli.option_groups import OptionGroup
from graphengine.execution.policy import RunOptions

JobsOption = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        max=256,
        help="Run up to N nodes at once. Nodes that use the same device take turns all the same. Default: 1.",
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--node-timeout", metavar="SECONDS", min=0.001, help="Fail when one node takes longer than this."
    ),
]
RetriesOption = Annotated[
    int, typer.Option("--retries", metavar="N", min=0, max=100, help="Call a node that fails up to N times more.")
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory-budget",
        metavar="SIZE",
        help="Memory for results that are kept in case they are needed again: 500MB, 4GiB, 0. Default: 2GiB.",
    ),
]


@dataclass(frozen=True, slots=True)
class PolicyOptions(OptionGroup):
    """How much at once, how long a node may take, how often it is tried, and what is kept in memory."""

    jobs: JobsOption = 1
    node_timeout: TimeoutOption = None
    retries: RetriesOption = 0
    memory_budget: MemoryOption = None

    def run_options(self) -> RunOptions:
        """How runs are carried out."""
        return RunOptions(self.jobs, self.node_timeout, self.retries)
