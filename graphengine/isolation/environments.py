"""Virtual environments of isolated packs: the packages that a pack requires, over those of the engine.

An environment sees what is installed beside the engine, torch above all, behind its own packages: a `.pth` file
names those folders. So only what a pack wants otherwise is installed again, and nothing of it reaches the
engine or another pack.
"""

import hashlib
import json
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from graphengine.errors import PackError
from graphengine.packs.discover import Pack
from graphengine.packs.records import record_name

_MANIFEST = "graphengine-environment.json"
_LARGEST = 2**20


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    python: str
    requirements: str
    packages: dict[str, str]


@dataclass(frozen=True, slots=True)
class PackEnvironment:
    """The environment of a pack, in a folder that is there when it was made."""

    pack: Pack
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    def packages(self) -> dict[str, str]:
        """The versions of the packages that it has for itself, by name.

        Raises:
            PackError: it is not there, or was made for other requirements or another Python.
        """
        command = f"graphengine nodes isolate {self.pack.name}"
        try:
            manifest = _Manifest.model_validate_json((self.folder / _MANIFEST).read_bytes())
        except (OSError, ValidationError) as error:
            raise PackError(
                f"pack {self.pack.name!r} is to run isolated, and its environment is not there",
                hint=f"make it: {command}",
            ) from error
        if manifest.python != _python_version() or not self.python.exists():
            raise PackError(
                f"the environment of pack {self.pack.name!r} was made for Python {manifest.python}, this is "
                f"{_python_version()}",
                hint=f"make it anew: {command}",
            )
        if manifest.requirements != _digest(_requirements(self.pack)):
            raise PackError(
                f"pack {self.pack.name!r} requires other packages than when its environment was made",
                hint=f"make it anew: {command}",
            )
        return manifest.packages

    def note(self, packages: Mapping[str, str]) -> None:
        """Remember that it has these packages, and for which requirements and Python it was made."""
        digest = _digest(_requirements(self.pack))
        manifest = _Manifest(python=_python_version(), requirements=digest, packages=dict(packages))
        (self.folder / _MANIFEST).write_text(json.dumps(manifest.model_dump(), indent=2))


def environment_of(pack: Pack, root: Path) -> PackEnvironment:
    """Where the environment of a pack is, below a folder for all of them."""
    return PackEnvironment(pack, root / record_name(pack.path or Path(pack.module), "env"))


def remove_environment(environment: PackEnvironment) -> None:
    """Remove the environment of a pack if it is there."""
    shutil.rmtree(environment.folder, ignore_errors=True)


def _python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _requirements(pack: Pack) -> list[str]:
    """The lines of what a pack requires."""
    if pack.path is None or not pack.path.is_dir():
        return []
    lines = [line.strip() for line in _text(pack.path / "requirements.txt").splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    try:
        document = tomllib.loads(_text(pack.path / "pyproject.toml"))
    except (tomllib.TOMLDecodeError, RecursionError):
        return found
    match document:
        case {"project": {"dependencies": [*names]}} if not found:
            return [name for name in names if isinstance(name, str)]
    return found


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_LARGEST)
    except OSError:
        return ""


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest()
