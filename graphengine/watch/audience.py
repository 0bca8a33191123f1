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


class Unconcerned:
    """An audience that does nothing; who is concerned by a part of it takes that part over."""

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


class Everyone:
    """An audience that tells each of several all that it hears, in their order."""

    def __init__(self, *audiences: Audience) -> None:
        self._audiences = audiences

    def waits(self, file: Path, why: str) -> None:
        """The file cannot be run as it is; the next save is waited for."""
        for each in self._audiences:
            each.waits(file, why)

    def refused(self, file: Path, error: GraphEngineError) -> None:
        """The workflow has errors, or a run of it failed; the next save is waited for."""
        for each in self._audiences:
            each.refused(file, error)

    def unchanged(self, file: Path) -> None:
        """The file was saved, and runs as before."""
        for each in self._audiences:
            each.unchanged(file)

    def planned(self, file: Path, foresight: Foresight) -> None:
        """What changed since the last run, and what will run now."""
        for each in self._audiences:
            each.planned(file, foresight)

    def happened(self, event: Event) -> None:
        """The run goes on."""
        for each in self._audiences:
            each.happened(event)

    def overtaken(self, file: Path) -> None:
        """A newer save ended the run."""
        for each in self._audiences:
            each.overtaken(file)

    def finished(self, file: Path) -> None:
        """The run is over, and all is well."""
        for each in self._audiences:
            each.finished(file)

    def reloaded(self, packs: Collection[str], problems: Sequence[Problem]) -> None:
        """The code of these packs changed and is in use; with problems, the old code stays."""
        for each in self._audiences:
            each.reloaded(packs, problems)
