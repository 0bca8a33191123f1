"""Virtual environments of isolated packs: the packages that a pack requires, over those of the engine.

An environment sees what is installed beside the engine, torch above all, behind its own packages: a `.pth` file
names those folders. So only what a pack wants otherwise is installed again, and nothing of it reaches the
engine or another pack.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from graphengine.errors import GraphEngineError, PackError
from graphengine.packs.discover import Pack
from graphengine.packs.installing.environment import open_environment
from graphengine.packs.installing.guards import keep_from_bad
from graphengine.packs.installing.needs import read_needs
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


def environment_of(pack: Pack, root: Path) -> PackEnvironment:
    """Where the environment of a pack is, below a folder for all of them."""
    return PackEnvironment(pack, root / record_name(pack.path or Path(pack.module), "env"))


def make_environment(
    environment: PackEnvironment, options: Sequence[str] = (), *, wheels_only: bool = True
) -> None:
    """Make the environment of a pack anew and install what the pack requires; `options` go to pip.

    Raises:
        PackError: it cannot be made, or the requirements cannot be installed; what was made is removed.
        InstallRefused: a requirement cannot be read, or is known to be malicious.
    """
    folder = environment.folder
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], environment.pack, "made")
        packages = _site_packages(folder)
        (packages / "graphengine-host.pth").write_text("".join(f"{path}\n" for path in _host_paths()))
        _install(environment, [*options, *(["--only-binary", ":all:"] if wheels_only else [])])
        found = {found.name: found.version for found in distributions(path=[str(packages)])}
        digest = _digest(_requirements(environment.pack))
        manifest = _Manifest(python=_python_version(), requirements=digest, packages=found)
        (folder / _MANIFEST).write_text(json.dumps(manifest.model_dump(), indent=2))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise PackError(f"cannot make {folder}: {error.strerror}", hint="make its folder writable") from error
    except GraphEngineError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _install(environment: PackEnvironment, options: Sequence[str]) -> None:
    """Install what the pack requires; releases that are known to be bad are refused, or never chosen."""
    pack = environment.pack
    if pack.path is None:
        return
    needs = read_needs(pack.name, pack.path, open_environment(environment.python))
    constraints = keep_from_bad(needs)
    if not needs.wanted:
        return
    wanted, limits = environment.folder / "requirements.txt", environment.folder / "constraints.txt"
    wanted.write_text("".join(f"{need.requirement}\n" for need in needs.wanted))
    limits.write_text("".join(f"{line}\n" for line in constraints))
    command = [sys.executable, "-m", "pip", "--python", str(environment.python), "install", "--no-input"]
    command += ["--disable-pip-version-check", "--quiet", "-r", str(wanted), "-c", str(limits), *options]
    _run(command, pack, "filled")


def remove_environment(environment: PackEnvironment) -> None:
    """Remove the environment of a pack if it is there."""
    shutil.rmtree(environment.folder, ignore_errors=True)


def _run(command: Sequence[str], pack: Pack, what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise PackError(
            f"the environment of pack {pack.name!r} cannot be {what}: {' '.join(lines[-4:]) or 'no reason given'}",
            hint="read its requirements; --find-links and --index-url say where packages are",
        )


def _python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _site_packages(folder: Path) -> Path:
    variables = {"base": str(folder), "platbase": str(folder)}
    return Path(sysconfig.get_path("purelib", "venv", variables))


def _host_paths() -> Iterator[str]:
    """Where the engine and what is installed beside it lie: all of the path but the standard library."""
    standard = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    for path in dict.fromkeys(map(os.path.abspath, filter(None, sys.path))):
        if os.path.isdir(path) and path not in standard and not path.endswith("lib-dynload"):
            yield path


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
