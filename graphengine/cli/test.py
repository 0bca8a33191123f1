"""`graphengine test`: whether the nodes of a pack keep what they promise, without ComfyUI and without a GPU."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, say, say_json
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, examples
from graphengine.cli.test_matrix import MatrixOptions, write_matrix
from graphengine.cli.version import installed_version

if TYPE_CHECKING:
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
    debug: DebugOption = False,
) -> None:
    """Check every node of a pack: what it declares, and what it does when it is called.

    The pack is imported and its nodes are called with fixed and generated inputs, so its code runs.
    docs/node-checks.md says what each check is for and how to switch it off. Tests of the pack's own are pytest's.
    """
    if not pack.exists():
        raise typer.BadParameter(f"there is no {str(pack)!r}", param_hint="PACK")
    if matrix.is_asked:
        words = ("--examples", examples)
        write_matrix(matrix.check(pack, node or (), words, 1), format.value)
        return
    reports = _checked(pack, node or (), examples)
    _write(reports, format)
    if any(report.findings for report in reports):
        raise typer.Exit(1)


def _checked(pack: Path, nodes: Sequence[str], examples: int) -> "list[NodeReport]":
    """The reports, the pack's own first; when it cannot be imported, that alone."""
    from graphengine.testing.checks import NodeReport  # with the engine behind it, which help does not need
    from graphengine.testing.contract import contract_of
    from graphengine.testing.importing import import_findings

    imported = tuple(import_findings(pack.resolve()))
    if imported:
        return [NodeReport("", imported)]
    with TemporaryDirectory(prefix="graphengine_checks_") as folder:
        contract = contract_of(Path(folder), pack.resolve(), examples)
        with contract.engine:
            unknown = [name for name in nodes if name not in contract.class_types]
            if unknown:
                raise typer.BadParameter(f"the pack has no node {unknown[0]!r}", param_hint="--node")
            reports = [NodeReport("", tuple(contract.pack_findings()))]
            for class_type in nodes or contract.class_types:
                reports.append(contract.check(class_type))
                if reports[-1].findings:
                    complain(f"{class_type}: {len(reports[-1].findings)} found")
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
            from graphengine.cli.test_matrix_report import junit_of_nodes  # with the engine behind it

            say(junit_of_nodes(reports))
        case TestReport.GITHUB:
            for line in written.github_lines(reports):
                say(line)
