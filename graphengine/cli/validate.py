"""`graphengine validate`: everything that is wrong with workflows, without running them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphengine.cli.console import plural, problem_lines, say, say_json
from graphengine.cli.options import (
    BaseDirOption,
    CustomNodesOption,
    DebugOption,
    InputOption,
    JsonOption,
    LoadPacksOption,
    ModelsOption,
    examples,
    open_engine,
)
from graphengine.cli.reading import read_workflow
from graphengine.errors import GraphEngineError, Problem, ValidationFailed
from graphengine.settings import load_settings

if TYPE_CHECKING:
    from graphengine.engine import Engine

EXAMPLES = examples(
    "graphengine validate flow.json",
    "graphengine validate workflows/*.json --base-dir ~/ComfyUI",
    "graphengine validate picture.png --json",
)


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Saved workflows, or pictures.")],
    base_dir: BaseDirOption = None,
    input: InputOption = None,
    models: ModelsOption = None,
    custom_nodes: CustomNodesOption = None,
    load_packs: LoadPacksOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check workflows and list every problem. Warnings do not fail."""
    found: dict[Path, list[Problem]] = {}
    for file in files:
        settings = load_settings(
            base_dir=base_dir,
            input=input,
            models=models or (),
            custom_nodes=custom_nodes or (),
            no_cache=True,
            workflow=file,
            environ=os.environ,
        )
        found[file] = check_file(open_engine(settings), file, load_packs=load_packs)
    if as_json:
        say_json([_as_json(file, problems) for file, problems in found.items()])
    else:
        for file, problems in found.items():
            for line in report_lines(file, problems):
                say(line)
    if any(_errors(problems) for problems in found.values()):
        raise typer.Exit(1)


def check_file(engine: "Engine", file: Path, *, load_packs: bool) -> list[Problem]:
    """Everything that is wrong with one file; a file that cannot be read is one problem, `unreadable`."""
    try:
        conversion = read_workflow(engine, file, load_packs=load_packs)
    except ValidationFailed as failed:
        return list(failed.problems)
    except GraphEngineError as error:
        return [Problem("unreadable", error.message.removeprefix(f"{file}: "), hint=error.hint)]
    return list(dict.fromkeys([*conversion.problems, *engine.validate(conversion.workflow)]))


def _errors(problems: Sequence[Problem]) -> int:
    return sum(problem.severity == "error" for problem in problems)


def report_lines(file: Path, problems: Sequence[Problem]) -> Iterator[str]:
    """The file with a count, then its problems."""
    errors = _errors(problems)
    counts = [plural(errors, "problem")] if errors else []
    if warnings := len(problems) - errors:
        counts.append(plural(warnings, "warning"))
    yield f"{file}: {', '.join(counts) or 'fine'}"
    yield from (f"  {line}" for line in problem_lines(problems))


# Any: what `json` writes.
def _as_json(file: Path, problems: Sequence[Problem]) -> dict[str, Any]:
    return {
        "file": str(file),
        "valid": not _errors(problems),
        "problems": [asdict(problem) for problem in problems],
    }
