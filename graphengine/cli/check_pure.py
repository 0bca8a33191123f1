"""`graphengine run --check-pure`: which nodes give the same when they are called twice."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # with pydantic, Python 3.12 or newer could take that of typing

from graphengine.cache.store import MemoryStore
from graphengine.cli.console import plural, say, say_json
from graphengine.cli.option_groups import OptionGroup
from graphengine.errors import node_label
from graphengine.execution.policy import RunOptions
from graphengine.settings import DEFAULT_MEMORY_BYTES
from graphengine.workflow.models import NodeId, Workflow

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.execution.purity import NodePurity, PurityExecutor


@dataclass(frozen=True, slots=True)
class PurityOptions(OptionGroup):
    """Whether to call nodes twice, and what counts as the same."""

    check_pure: Annotated[
        bool,
        typer.Option(
            "--check-pure",
            help="Call each node twice, with nothing from the cache, and name those that give something else or "
            "change their inputs; exit 1 then.",
        ),
    ] = False
    pure_tolerance: Annotated[
        float | None,
        typer.Option(
            "--pure-tolerance",
            metavar="X",
            min=0.0,
            max=1.0,
            help="Let numbers differ by this share of their standard deviation, 1e-6 for instance. Default: 0, "
            "each byte counts.",
        ),
    ] = None

    def check(self, options: RunOptions, *, is_sweep: bool) -> None:
        """Refuse what does not go together.

        Raises:
            BadParameter: an option contradicts another.
        """
        if not self.check_pure:
            if self.pure_tolerance is not None:
                raise typer.BadParameter("it needs --check-pure", param_hint="--pure-tolerance")
            return
        for given, name in (
            (is_sweep, "--sweep, --csv or --inputs"),
            (options.jobs > 1, "--jobs"),
            (options.node_timeout is not None, "--node-timeout"),
        ):
            if given:
                raise typer.BadParameter(f"it does not go with {name}", param_hint="--check-pure")


@with_config(ConfigDict(extra="forbid"))
class PurityNode(TypedDict):
    """A node that was called twice. `reasons`: what differed, why it is exempt, what was not compared."""

    node_id: str
    class_type: str
    title: str | None
    verdict: Literal["pure", "not compared", "exempt", "impure"]
    reasons: list[str]


@with_config(ConfigDict(extra="forbid"))
class PurityReport(TypedDict):
    """What `graphengine run --check-pure --json` writes."""

    status: Literal["pure", "impure"]
    tolerance: float
    nodes: list[PurityNode]


@contextmanager
def checking_engine(
    engine: "Engine", workflow: Workflow, tolerance: float
) -> "Iterator[tuple[Engine, PurityExecutor]]":
    """An engine that calls each node twice, keeps neither results nor records, and its executor."""
    from graphengine.execution.purity import PurityExecutor

    with TemporaryDirectory(prefix="graphengine_pure_") as scratch:
        executor = PurityExecutor(workflow.nodes, engine.registry.get, Path(scratch), tolerance)
        try:
            store = MemoryStore(DEFAULT_MEMORY_BYTES)
            yield replace(engine, store=store, executor=executor, records=None, history=None), executor
        finally:
            executor.close()


def tell_purity(
    found: "Sequence[NodePurity]",
    workflow: Workflow,
    tolerance: float,
    *,
    as_json: bool,
    quiet: bool,
    write: Callable[[str], None] = say,
) -> None:
    """Write what was found: lines with `write`, JSON to stdout.

    Raises:
        Exit: a node gave something else, or changed its inputs.
    """
    report = _report(found, workflow, tolerance)
    if as_json:
        say_json(report)
    else:
        for line in _lines(report["nodes"], quiet=quiet):
            write(line)
    if report["status"] == "impure":
        raise typer.Exit(1)


def _report(found: "Sequence[NodePurity]", workflow: Workflow, tolerance: float) -> PurityReport:
    nodes = workflow.nodes
    return PurityReport(
        status="impure" if any(node.verdict == "impure" for node in found) else "pure",
        tolerance=tolerance,
        nodes=[
            PurityNode(
                node_id=node.node_id,
                class_type=node.class_type,
                title=nodes[NodeId(node.node_id)].title if node.node_id in nodes else None,
                verdict=node.verdict,
                reasons=list(node.reasons),
            )
            for node in found
        ],
    )


def _lines(nodes: Sequence[PurityNode], *, quiet: bool) -> Iterator[str]:
    """Every node that is not pure with its reasons, the worst last, then how many there are of each kind."""
    verdicts = get_args(PurityNode.__annotations__["verdict"])
    for verdict in verdicts[1:]:
        if quiet and verdict != "impure":
            continue
        for node in nodes:
            if node["verdict"] == verdict:
                yield f"{node_label(node['node_id'], node['class_type'])}: {verdict}"
                yield from (f"  {reason}" for reason in node["reasons"])
    if not quiet:
        counts = [(verdict, sum(node["verdict"] == verdict for node in nodes)) for verdict in verdicts]
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
        yield f"{plural(len(nodes), 'node')} checked: {told or 'none'}"
