"""Makes the environments of isolated packs: a virtual environment over the engine's, and what a pack requires."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path

from graphengine.errors import GraphEngineError, PackError
from graphengine.isolation.environments import PackEnvironment
from graphengine.packs.discover import Pack
from graphengine.packs.installing.environment import open_environment
from graphengine.packs.installing.guards import keep_from_bad
from graphengine.packs.installing.needs import read_needs


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
        environment.note({found.name: found.version for found in distributions(path=[str(packages)])})
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


def _run(command: Sequence[str], pack: Pack, what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise PackError(
            f"the environment of pack {pack.name!r} cannot be {what}: {' '.join(lines[-4:]) or 'no reason given'}",
            hint="read its requirements; --find-links and --index-url say where packages are",
        )


def _site_packages(folder: Path) -> Path:
    variables = {"base": str(folder), "platbase": str(folder)}
    return Path(sysconfig.get_path("purelib", "venv", variables))


def _host_paths() -> Iterator[str]:
    """Where the engine and what is installed beside it lie: all of the path but the standard library."""
    standard = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    for path in dict.fromkeys(map(os.path.abspath, filter(None, sys.path))):
        if os.path.isdir(path) and path not in standard and not path.endswith("lib-dynload"):
            yield path
