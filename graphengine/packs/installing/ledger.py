"""What is recorded of installed packs, beside them: the packs themselves stay as their authors made them."""

import os
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graphengine.errors import InstallRefused
from graphengine.whole_files import being_written

#: Folder in `custom_nodes` that holds records and staged packs; packs are not looked for in hidden folders.
HIDDEN = ".graphengine"


class InstalledRequirement(BaseModel):
    """A package that was installed for a pack; `sha256` are the digests (hex) of the files it may come from."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: str
    version: str
    sha256: tuple[str, ...] = ()


class InstalledPack(BaseModel):
    """How a pack came here. `content` is the hash of its code when it was installed (`PackSource.version`)."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    format: int = 1
    name: str
    source: str
    kind: str
    asked: str
    ref: str | None = None
    commit: str | None = None
    version: str | None = None
    licence: str | None = None
    content: str
    installed: datetime
    requirements: tuple[InstalledRequirement, ...] = Field(default=())


class Ledger:
    """The records of a `custom_nodes` folder, a JSON file per pack."""

    def __init__(self, custom_nodes: Path) -> None:
        self.folder = custom_nodes / HIDDEN

    def read(self, name: str) -> InstalledPack | None:
        """The record of a pack, or None when it was not installed by graphengine.

        Raises:
            InstallRefused: the record is damaged.
        """
        text = self.text(name)
        if text is None:
            return None
        try:
            return InstalledPack.model_validate_json(text)
        except ValidationError as error:
            raise InstallRefused(
                f"{self._path(name)} is damaged", hint="remove this file; the pack itself is not touched by that"
            ) from error

    def text(self, name: str) -> str | None:
        """The record of a pack as it is on disk."""
        try:
            return self._path(name).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, record: InstalledPack) -> None:
        """Keep a record."""
        self.restore(record.name, record.model_dump_json(indent=2) + "\n")

    def restore(self, name: str, text: str | None) -> None:
        """Put a record back as it was; None removes it."""
        path = self._path(name)
        if text is None:
            path.unlink(missing_ok=True)
            return
        write_durably(path, text)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def write_durably(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all, also when the machine stops."""
    with being_written(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
