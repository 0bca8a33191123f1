"""Options that have to do with the lock of a project: running by it, and where the project is."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, problem_lines
from graphengine.cli.option_groups import OptionGroup
from graphengine.cli.options import BaseDirOption, CacheOption, CustomNodesOption, DeviceOption
from graphengine.errors import LockDiffers, Problem
from graphengine.settings import Settings, load_settings
from graphengine.workflow.documents import DocumentKind
from graphengine.workflow.models import Workflow

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.locking.locking import LockedProject
    from graphengine.locking.schema import Lock


@dataclass(frozen=True, slots=True)
class ProjectOptions(OptionGroup):
    """Where the project is that a lock is of, and on which device its workflows run."""

    base_dir: BaseDirOption = None
    custom_nodes: CustomNodesOption = None
    cache: CacheOption = None
    device: DeviceOption = None

    def settings(self, models: Sequence[Path] = ()) -> Settings:
        """The settings of the project.

        Raises:
            SettingsError: a folder or the project file cannot be used.
        """
        return load_settings(
            base_dir=self.base_dir,
            models=models,
            custom_nodes=self.custom_nodes or (),
            cache=self.cache,
            device=self.device,
            environ=os.environ,
        )


@dataclass(frozen=True, slots=True)
class LockOptions(OptionGroup):
    """Whether the lock counts."""

    locked: Annotated[
        bool,
        typer.Option(
            "--locked",
            help="Run only what graphengine.lock says: refuse when the workflow, a model, pack, package, version "
            "or setting differs, and tell each.",
        ),
    ] = False

    def check(self, *, installs: bool) -> None:
        """Refuse to change what the lock says.

        Raises:
            BadParameter: packages are to be installed as well.
        """
        if self.locked and installs:
            raise typer.BadParameter("nothing is installed: graphengine restore brings it", param_hint="--locked")

    def guard(self, engine: "Engine", settings: Settings) -> "LockGuard | None":
        """What watches over a run; None when the lock does not count.

        Raises:
            LockError: there is no lock, or it cannot be read.
        """
        if not self.locked:
            return None
        from graphengine.locking.lock_file import read_lock  # only --locked needs it
        from graphengine.locking.locking import LockedProject

        project = LockedProject(engine, settings)
        return LockGuard(project, read_lock(project.file))


@dataclass(frozen=True, slots=True)
class LockGuard:
    """Refuses what differs from a lock."""

    project: "LockedProject"
    lock: "Lock"

    def require(self, file: Path, wanted: DocumentKind | None = None) -> None:
        """Check what a run of the workflow in a file depends on; nothing of packs has run by then.

        Raises:
            LockDiffers: something is not what the lock says.
        """
        from graphengine.locking.differences import differences_for  # only --locked needs it

        self._refuse(differences_for(self.project, self.lock, file, wanted))

    def require_changed(self, workflow: Workflow) -> None:
        """Check that a workflow, with changes of the command line in it, uses nothing that is not locked.

        Raises:
            LockDiffers: it does.
        """
        from graphengine.locking.differences import differences_of_changes  # only --locked needs it

        self._refuse(differences_of_changes(self.project, self.lock, workflow))

    def _refuse(self, problems: Sequence[Problem]) -> None:
        if any(problem.severity == "error" for problem in problems):
            raise LockDiffers(problems, self.project.file.name)
        for line in problem_lines(problems):
            complain(line)
