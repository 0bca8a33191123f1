"""Whether runs get into the project's history, and what of them outputs carry."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from graphengine.cli.option_groups import OptionGroup
from graphengine.errors import SettingsError
from graphengine.provenance.history.history import HISTORY_FOLDER, History
from graphengine.settings import Settings

NoRecordOption = Annotated[
    bool,
    typer.Option(
        "--no-record", help="Do not write this run into the project's history, .graphengine/; see graphengine log."
    ),
]
StripMetadataOption = Annotated[
    bool,
    typer.Option(
        "--strip-metadata", help="Save pictures and other outputs without the workflow and the id of the run."
    ),
]
HistoryFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--base-dir",
        metavar="DIR",
        help="The project's folder, which has .graphengine/. Default: the current one.",
    ),
]


@dataclass(frozen=True, slots=True)
class HistoryOptions(OptionGroup):
    """What is kept of a run beside its outputs, and in them."""

    no_record: NoRecordOption = False
    strip_metadata: StripMetadataOption = False

    def applied(self, settings: Settings) -> Settings:
        """The settings that keep as much."""
        history = None if self.no_record else settings.history
        return replace(settings, history=history, strip_metadata=self.strip_metadata)


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
