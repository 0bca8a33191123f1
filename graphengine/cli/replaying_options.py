"""Options of the commands that make runs again: `replay`, `verify`, `bisect`."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.run_settings import ProjectPlaces
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.history import HISTORY_FOLDER
from graphengine.provenance.history.history import History
from graphengine.settings import Settings, load_settings

if TYPE_CHECKING:
    from graphengine.replaying.likeness import Tolerance

ToleranceOption = Annotated[
    str | None,
    typer.Option(
        "--tolerance",
        metavar="PSNR/MAX",
        help="What is near enough: 40 is at least 40 dB, /2 at most 2 levels off, 40/2 both. Default: nothing is.",
    ),
]
CachedOption = Annotated[
    bool, typer.Option("--cached", help="Take results of nodes from the cache, where it has them.")
]


@dataclass(frozen=True, slots=True)
class ReplayPlaces(ProjectPlaces):
    """Where the project is, and on what device its runs are made again."""

    def history(self, near: Path | None = None) -> History:
        """The history of the project: of the base folder, or where that has none, of a folder above a file."""
        base = (self.base_dir or Path.cwd()).absolute()
        places = [base, *(near.absolute().parents if near is not None and near.is_file() else ())]
        found = (place / HISTORY_FOLDER for place in places)
        return History(next((folder for folder in found if folder.is_dir()), base / HISTORY_FOLDER))

    def records(self) -> RecordFolder:
        """The records beside the cache; the folder may not be there.

        Raises:
            SettingsError: a folder cannot be used.
        """
        cache = load_settings(base_dir=self.base_dir, cache=self.cache, environ=os.environ).cache
        return RecordFolder((cache or Path()) / "runs")

    def settings(self, files: Iterable[Path] = (), *, cached: bool) -> Settings:
        """The settings; an `input` folder beside each of these workflow files is searched as well.

        Raises:
            SettingsError: a folder or the device cannot be used.
        """
        settings = load_settings(
            base_dir=self.base_dir,
            input=self.input,
            models=self.models or (),
            custom_nodes=self.custom_nodes or (),
            cache=self.cache,
            device=self.device,
            environ=os.environ,
        )
        beside = (file.absolute().parent / "input" for file in files)
        inputs = tuple(dict.fromkeys([*settings.folders.input, *(path for path in beside if path.is_dir())]))
        settings = replace(settings, folders=replace(settings.folders, input=inputs))
        return settings if cached else replace(settings, cache=None, remote=None)


def tolerance_of(text: str | None) -> "Tolerance":
    """The tolerance that was asked for.

    Raises:
        SettingsError: the text is none.
    """
    from graphengine.replaying.likeness import Tolerance, read_tolerance

    return Tolerance() if text is None else read_tolerance(text)
