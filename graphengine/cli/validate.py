"""`graphengine validate`: everything that is wrong with workflows, without running them."""

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import say, say_json
from graphengine.cli.definitions import DefinitionsOption, engine_for, read_definitions
from graphengine.cli.options import (
    BaseDirOption,
    CustomNodesOption,
    DebugOption,
    InputOption,
    LoadPacksOption,
    ModelsOption,
    examples,
)
from graphengine.cli.reading import FromOption, read_workflow
from graphengine.cli.trust_options import TrustOption
from graphengine.cli.version import installed_version
from graphengine.errors import GraphEngineError, Problem, ValidationFailed
from graphengine.settings import load_settings
from graphengine.workflow.documents import DocumentKind

if TYPE_CHECKING:
    from graphengine.cli.report import FileReport
    from graphengine.engine import Engine

EXAMPLES = examples(
    "graphengine validate flow.json",
    "graphengine validate workflows/*.json --base-dir ~/ComfyUI",
    "graphengine validate picture.png --format json",
    "graphengine validate workflows/*.json --format sarif > workflows.sarif",
)


class Report(StrEnum):
    """How the report is written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Saved workflows, or pictures.")],
    format: Annotated[
        Report,
        typer.Option("--format", help="text; json; sarif for code scanning; github for annotations in Actions."),
    ] = Report.TEXT,
    wanted: FromOption = None,
    definitions: DefinitionsOption = None,
    base_dir: BaseDirOption = None,
    input: InputOption = None,
    models: ModelsOption = None,
    custom_nodes: CustomNodesOption = None,
    trust: TrustOption = None,
    load_packs: LoadPacksOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    debug: DebugOption = False,
) -> None:
    """Check workflows and list every problem. Warnings do not fail.

    Nothing is run: no node, and no code of a pack unless --load-packs is given. What could not be checked for that
    reason is listed. Model files are looked for and not opened.
    """
    if as_json and format not in (Report.TEXT, Report.JSON):
        raise typer.BadParameter(f"--json and --format {format} ask for two reports", param_hint="--json")
    known = read_definitions(definitions) if definitions is not None else None
    reports = []
    for file in dict.fromkeys(files):
        settings = load_settings(
            base_dir=base_dir,
            input=input,
            models=models or (),
            custom_nodes=custom_nodes or (),
            runs_nothing=True,
            workflow=file,
            environ=os.environ,
        )
        with engine_for(settings.trusting(trust or ()), known) as engine:
            reports.append(check_file(engine, file, load_packs=load_packs, wanted=wanted))
    _write(reports, Report.JSON if as_json else format)
    if any(report.errors for report in reports):
        raise typer.Exit(1)


def check_file(
    engine: "Engine", file: Path, *, load_packs: bool, wanted: DocumentKind | None = None
) -> "FileReport":
    """Everything that is wrong with one file; a file that cannot be read is one problem, `unreadable`."""
    from graphengine.cli.report import FileReport  # with networkx behind it, which help does not need
    from graphengine.graph.advice import unchecked

    try:
        conversion = read_workflow(engine, file, load_packs=load_packs, wanted=wanted)
    except ValidationFailed as failed:
        return FileReport(file, failed.problems)
    except GraphEngineError as error:
        problem = Problem("unreadable", error.message.removeprefix(f"{file}: "), hint=error.hint)
        return FileReport(file, (problem,))
    workflow = conversion.workflow
    problems = list(dict.fromkeys([*conversion.problems, *engine.validate(workflow)]))
    return FileReport(file, tuple(problems), tuple(unchecked(workflow, engine.registry, problems)))


def _write(reports: "Sequence[FileReport]", format: Report) -> None:
    from graphengine.cli.report import json_report, text_report
    from graphengine.cli.report_github import github_report
    from graphengine.cli.report_sarif import sarif_report

    match format:
        case Report.JSON:
            say_json(json_report(reports))
        case Report.SARIF:
            say_json(sarif_report(reports, installed_version()))
        case Report.GITHUB:
            for line in github_report(reports):
                say(line)
        case Report.TEXT:
            for line in text_report(reports):
                say(line)
