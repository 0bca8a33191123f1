"""Undoing what a killed install left half done, before packs are looked for."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from graphengine.cli.console import complain, plural


def undo_killed_installs(folders: Iterable[Path]) -> None:
    """Put the packs of these folders, and the packages for them, back as they were before a killed install.

    Raises:
        InstallRefused: what was being changed is not known any more.
    """
    for folder in folders:
        if not _has_stage(folder):
            continue
        from graphengine.packs.installing.staging import recover  # milliseconds that no other start needs

        if undone := recover(folder):
            complain(f"{plural(undone, 'install')} that was killed half done is undone")


def _has_stage(folder: Path) -> bool:
    with suppress(OSError):
        return any(path.name.startswith("stage-") for path in (folder / ".graphengine").iterdir())
    return False
