"""`graphengine test`: whether the nodes of a pack keep what they promise, without ComfyUI and without a GPU."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, say, say_json
from graphengine.cli.matrix import MatrixOptions, write_matrix
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, examples
from graphengine.cli.version import installed_version

if TYPE_CHECKING:
    from graphengine.testing.checking_process import CheckOrder
    from graphengine.testing.checks import NodeReport

EXAMPLES = examples(
    "graphengine test .",
    "graphengine test custom_nodes/my_pack --node Sharpen",
    "graphengine test custom_nodes/my_pack --format sarif > nodes.sarif",
    "graphengine test . --python 3.11,3.12,3.13 --torch 2.9.1,2.13.0",
)


class TestReport(StrEnum):
    """How the report is written."""

    __test__ = False  # pytest takes classes of this name for tests

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


@with_option_groups
def command(
    pack: Annotated[Path, typer.Argument(metavar="PACK", help="A folder of nodes, or one Python file.")],
    *,
    matrix: MatrixOptions,
    node: Annotated[
        list[str] | None, typer.Option("--node", metavar="CLASS", help="Only this node type. Repeatable.")
    ] = None,
    examples: Annotated[
        int,
        typer.Option("--examples", min=0, max=1000, help="How many generated inputs each node is called with."),
    ] = 5,
    format: Annotated[
        TestReport,
        typer.Option("--format", help="text; json; sarif for code scanning; junit; github for Actions."),
    ] = TestReport.TEXT,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, max=64, help="Processes that check at a time. Default: 1 for 20 nodes."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            min=0.1,
            max=86400.0,
            metavar="SECONDS",
            help="How long each call of a node may take; twice as long may importing the pack.",
        ),
    ] = 60.0,
    memory: Annotated[
        float,
        typer.Option(
            "--memory", min=0.5, max=4096.0, metavar="GIB", help="Memory of a process that checks nodes."
        ),
    ] = 4.0,
    debug: DebugOption = False,
) -> None:
    """Check every node of a pack: what it declares, and what it does when it is called.

    The pack is imported and its nodes are called with fixed and generated inputs, so its code runs, in processes
    of its own: a node that hangs, eats the memory or ends the process is a finding, and the next one is checked.
    docs/node-checks.md says what each check is for and how to switch it off. Tests of the pack's own are pytest's.
    """
    if not pack.exists():
        raise typer.BadParameter(f"there is no {str(pack)!r}", param_hint="PACK")
    if matrix.is_asked:
        words = ("--examples", examples, "--timeout", timeout, "--memory", memory)
        write_matrix(matrix.check(pack, node or (), words, jobs or 1), format.value)
        return
    from graphengine.testing.checking_process import CheckOrder  # help needs nothing of it

    order = CheckOrder(pack.resolve(), examples=examples, seconds=timeout, memory=int(memory * 2**30))
    reports = _checked(order, node or (), jobs)
    _write(reports, format)
    if any(report.findings for report in reports):
        raise typer.Exit(1)


def _checked(order: "CheckOrder", nodes: Sequence[str], jobs: int | None) -> "list[NodeReport]":
    """The reports, the pack's own first; when it cannot be imported, that alone."""
    from graphengine.testing.checking_process import PackChecks  # see above
    from graphengine.testing.checks import NodeReport
    from graphengine.testing.importing import import_findings

    assert order.pack is not None
    imported = tuple(import_findings(order.pack, order.seconds_to_import))
    if imported:
        return [NodeReport("", imported)]
    with PackChecks(order, jobs) as checks:
        unknown = [name for name in nodes if name not in checks.class_types]
        if unknown:
            raise typer.BadParameter(f"the pack has no node {unknown[0]!r}", param_hint="--node")
        reports = [NodeReport("", checks.pack_findings)]
        for report in checks.check_all(nodes or checks.class_types):
            reports.append(report)
            if report.findings:
                complain(f"{report.class_type}: {len(report.findings)} found")
        return reports


def _write(reports: "Sequence[NodeReport]", format: TestReport) -> None:
    from graphengine.cli import node_check_report as written

    match format:
        case TestReport.TEXT:
            for line in written.text_lines(reports):
                say(line)
        case TestReport.JSON:
            say_json(written.json_report(reports))
        case TestReport.SARIF:
            say_json(written.sarif(reports, installed_version()))
        case TestReport.JUNIT:
            from graphengine.cli.matrix_report import junit_of_nodes  # with the engine behind it

            say(junit_of_nodes(reports))
        case TestReport.GITHUB:
            for line in written.github_lines(reports):
                say(line)
