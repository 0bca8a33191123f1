"""Reading the history for commands: which run a user means, its workflow, and the lines that tell of it."""

from hashlib import file_digest
from pathlib import Path
from typing import Annotated

import typer

from graphengine.errors import GraphEngineError, SettingsError
from graphengine.provenance.history import HISTORY_FOLDER
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import PastRun
from graphengine.provenance.history.words import counts, set_texts, short_id, when
from graphengine.workflow.api_format import api_to_workflow, parse_api
from graphengine.workflow.models import Workflow

ProjectOption = Annotated[
    Path | None,
    typer.Option("--base-dir", metavar="DIR", help="The project's folder. Default: the current one."),
]


def open_history(base_dir: Path | None) -> History:
    """The history of a project.

    Raises:
        SettingsError: there is no such folder, or no run was recorded there.
    """
    folder = (base_dir or Path.cwd()).expanduser().absolute()
    if not folder.is_dir():
        raise SettingsError(f"there is no folder {str(base_dir)!r}", hint="give the project's folder")
    history = History(folder / HISTORY_FOLDER)
    if not history.root.is_dir():
        hint = "run a workflow here first, or name the project's folder with --base-dir"
        raise SettingsError(f"no run is recorded in {folder}", hint=hint)
    return history


def named_run(history: History, text: str) -> PastRun:
    """The run that a text names: an id or a part of it, `@1` for the last run, or a file that a run saved.

    Raises:
        SettingsError: there is none, or there are several.
    """
    try:
        return history.find(text)
    except SettingsError:
        file = Path(text)
        if not file.is_file():
            raise
    found = history.of_output(hash_of(file))
    if not found:
        raise SettingsError(f"no run in the history made {text!r}", hint="see graphengine log --output FILE")
    return next((run for run in found if any(output.is_new for output in run.outputs)), found[0])


def hash_of(file: Path) -> str:
    """The SHA-256 (hex) of a file.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise SettingsError(f"cannot read {str(file)!r}: {error.strerror}", hint="name a file that a run saved")


def workflow_of(history: History, run: PastRun) -> Workflow | None:
    """The workflow that a run ran, without secrets; None when the history does not have it any more."""
    try:
        return api_to_workflow(parse_api(history.document(run.workflow)))
    except GraphEngineError:  # removed or damaged: what needs it is left out
        return None


def run_row(run: PastRun) -> tuple[str, ...]:
    """A run as cells: its short id, when, how it ended, seconds, nodes, commit, file."""
    git = "" if run.git is None else run.git.commit[:8] + ("" if run.git.is_clean else "*")
    name = run.file or "(no file)"
    settings = ", ".join(set_texts(run))
    ended = "" if run.status == "success" else run.status
    cells = (short_id(run), when(run.started), f"{run.seconds:.2f} s", counts(run), git, ended, name, settings)
    return tuple(cells)
