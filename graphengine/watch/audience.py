"""Who is told what a watch sees and does."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from graphengine.errors import GraphEngineError, Problem
from graphengine.execution.events import Event
from graphengine.foresight import Foresight


class Audience(Protocol):
    """Hears of changes, plans, runs and troubles, one at a time and in their order."""

    def waits(self, file: Path, why: str) -> None:
        """The file cannot be run as it is; the next save is waited for."""

    def refused(self, file: Path, error: GraphEngineError) -> None:
        """The workflow has errors, or a run of it failed; the next save is waited for."""

    def unchanged(self, file: Path) -> None:
        """The file was saved, and runs as before."""

    def planned(self, file: Path, foresight: Foresight) -> None:
        """What changed since the last run, and what will run now."""

    def happened(self, event: Event) -> None:
        """The run goes on."""

    def overtaken(self, file: Path) -> None:
        """A newer save ended the run."""

    def finished(self, file: Path) -> None:
        """The run is over, and all is well."""

    def reloaded(self, packs: Collection[str], problems: Sequence[Problem]) -> None:
        """The code of these packs changed and is in use; with problems, the old code stays."""
