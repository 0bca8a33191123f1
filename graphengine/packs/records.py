"""What is known of packs, kept on disk: a JSON document per pack and kind. Losing one costs time, nothing else."""

import logging
import os
import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

logger = logging.getLogger(__name__)

_LARGEST = 64 * 2**20


class Records:
    """Texts by name in a folder, or nowhere when there is no folder. What fails is a miss, told once."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._told = False

    def read(self, name: str) -> bytes | None:
        """The text of that name, or None when there is none that can be read."""
        if self.folder is None:
            return None
        path = self.folder / name
        try:
            if path.stat().st_size > _LARGEST:
                logger.warning("%s is too large for what is known of a pack; it is made anew", path)
                return None
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell(error)
            return None

    def write(self, name: str, content: bytes) -> None:
        """Keep a text; readers see the former one or this one, never a part."""
        if self.folder is None:
            return
        written: str | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self.folder, prefix=".", delete=False) as file:
                written = file.name
                file.write(content)
            os.replace(written, self.folder / name)
            written = None
        except OSError as error:
            self._tell(error)
        finally:
            if written is not None:
                Path(written).unlink(missing_ok=True)

    def names(self, suffix: str) -> list[str]:
        """The names of the texts that end so."""
        if self.folder is None:
            return []
        try:
            return sorted(name for name in os.listdir(self.folder) if name.endswith(suffix) and name[0] != ".")
        except OSError:
            return []

    def forget(self, prefix: str) -> None:
        """Remove the texts whose names begin so."""
        if self.folder is None:
            return
        for name in self.names(""):
            if name.startswith(prefix):
                with suppress(OSError):  # another process may do the same
                    (self.folder / name).unlink(missing_ok=True)

    def _tell(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            logger.debug("what is known of packs cannot be kept in %s: %s", self.folder, error)


def record_name(path: Path, kind: str) -> str:
    """A file name for what is known of a pack: readable, and different for every place a pack lies at."""
    place = sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:16]
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', path.name)[:60]}-{place}.{kind}"
