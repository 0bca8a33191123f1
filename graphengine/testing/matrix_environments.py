"""Throw-away environments for the checks of a pack, made by uv: one per Python and torch.

An environment has graphengine with what its checks need, the pack's requirements and the asked torch, all from the
indexes that the user has configured for uv or pip. It is kept under a digest of what it was asked to hold, so the
next run of the same matrix makes nothing. It is made under another name and renamed when it is whole.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from packaging.requirements import Requirement
from pydantic import BaseModel, ConfigDict, ValidationError

from graphengine.errors import GraphEngineError
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.guards import keep_from_bad
from graphengine.packs.installing.needs import read_needs
from graphengine.packs.installing.processes import Ended

_DISTRIBUTION = "graphengine-comfy"
_EXTRA = "testing"
_MANIFEST = "graphengine-matrix.json"
_FORMAT = "1"
_UNUSED_DAYS = 30
_HALF_MADE_DAYS = 1
_DAY = 86400.0
_PIP_VARIABLES = (
    ("UV_INDEX_URL", "PIP_INDEX_URL"),
    ("UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
    ("UV_FIND_LINKS", "PIP_FIND_LINKS"),
)
_ASK = """
import json, platform
from importlib.metadata import version
print(json.dumps({"python": platform.python_version(), "torch": version("torch")}))
"""


class NotMade(GraphEngineError):
    """An environment cannot be made; the message is the reason that uv gives."""


class Versions(BaseModel):
    """What an environment has: Python and torch in full."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    python: str
    torch: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination: a Python as uv takes it ("3.12", a path), and a version of torch; "" is what resolves."""

    python: str
    torch: str = ""

    def __str__(self) -> str:
        return f"python {self.python}, torch {self.torch}" if self.torch else f"python {self.python}"


@dataclass(frozen=True, slots=True)
class MatrixEnvironment:
    """An environment that is there. `was_there`: it was made by an earlier run."""

    folder: Path
    versions: Versions
    was_there: bool

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return _python_in(self.folder)


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into every environment beside Python and torch.

    `engine` is how graphengine is installed: words for `uv pip install`, and `state` what they stand for now.
    """

    engine: tuple[str, ...]
    state: str
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()


def find_uv(environ: Mapping[str, str]) -> str:
    """The program uv: beside this Python, else on the path.

    Raises:
        GraphEngineError: there is none.
    """
    found = shutil.which("uv", path=os.pathsep.join((str(Path(sys.executable).parent), environ.get("PATH", ""))))
    if found is None:
        raise GraphEngineError(
            "there is no program 'uv', which makes the environments of a matrix",
            hint="pip install uv, or see https://docs.astral.sh/uv/getting-started/installation",
        )
    return found


def contents_for(pack: Path) -> Contents:
    """What the environments for a pack hold.

    Raises:
        InstallRefused: a requirement cannot be read, or is known to be malicious.
        GraphEngineError: graphengine is neither installed nor run from a checkout.
    """
    needs = read_needs(pack.name, pack, _EveryPlatform(Path(), (), (), Path(), Path(), {}))
    lines = tuple(sorted(str(need.requirement) for need in needs.wanted))
    engine, state = _engine()
    return Contents(engine, state, lines, tuple(keep_from_bad(needs)))


class _EveryPlatform(Environment):
    """Leaves the markers of requirements to uv, which knows the Python that they are for."""

    def applies(self, requirement: Requirement, extras: frozenset[str] = frozenset()) -> bool:
        """That it counts."""
        return True


def _engine() -> tuple[tuple[str, ...], str]:
    """How graphengine is installed, as this process has it: from a checkout, an address, or as a release."""
    try:
        installed = distribution(_DISTRIBUTION)
        origin = json.loads(installed.read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        installed, origin = None, {}
    match origin:
        case {"url": str(url), "dir_info": dict()}:
            return _checkout(Path(url2pathname(unquote(urlsplit(url).path))))
        case {"url": str(url), "vcs_info": {"vcs": str(vcs), "commit_id": str(commit)}}:
            return _released(f" @ {vcs}+{url}@{commit}")
        case {"url": str(url), "archive_info": dict(info)}:
            words, _ = _released(f" @ {url}")
            return words, json.dumps(info, sort_keys=True)
    root = Path(__file__).resolve().parent.parent.parent
    if (root / "pyproject.toml").is_file():
        return _checkout(root)
    if installed is None:
        raise GraphEngineError(
            "it is not known how graphengine was installed", hint=f"pip install {_DISTRIBUTION}"
        )
    return _released(f"=={installed.version}")


def _released(which: str) -> tuple[tuple[str, ...], str]:
    return (f"{_DISTRIBUTION}[{_EXTRA}]{which}",), which


def _checkout(root: Path) -> tuple[tuple[str, ...], str]:
    """A checkout is linked, so that its environments see each change; only what it requires makes new ones."""
    try:
        state = sha256((root / "pyproject.toml").read_bytes()).hexdigest()
    except OSError as error:
        raise GraphEngineError(
            f"the checkout {str(root)!r} that graphengine is installed from cannot be read: {error.strerror}"
        ) from error
    return ("--editable", f"{root}[{_EXTRA}]"), f"{root} {state}"


@dataclass(frozen=True, slots=True)
class EnvironmentMaker:
    """Makes environments below `root` with the program `uv`."""

    uv: str
    root: Path
    contents: Contents
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def folder_of(self, cell: Cell) -> Path:
        """Where the environment of a cell is, by a digest of what it holds."""
        held = self.contents
        parts = [_FORMAT, sys.platform, cell.python, cell.torch, held.engine, held.state]
        text = json.dumps([*parts, held.requirements, held.constraints])
        return self.root / sha256(text.encode()).hexdigest()[:32]

    def get(self, cell: Cell, on_making: Callable[[], None] = lambda: None) -> MatrixEnvironment:
        """The environment of a cell; `on_making` is called when it has to be made.

        Raises:
            NotMade: uv cannot make it.
        """
        folder = self.folder_of(cell)
        versions = _kept(folder)
        if versions is not None:
            return MatrixEnvironment(folder, versions, was_there=True)
        on_making()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            made = Path(mkdtemp(prefix=".making_", dir=self.root))
        except OSError as error:
            raise NotMade(f"{self.root} cannot be written to: {error.strerror}") from error
        try:
            versions = self._make(made, cell)
            _put(made, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return MatrixEnvironment(folder, versions, was_there=False)

    def _make(self, folder: Path, cell: Cell) -> Versions:
        self._run(["venv", "--no-project", "--quiet", "--allow-existing", "--python", cell.python, str(folder)])
        python = str(_python_in(folder))
        wanted, limits = folder / "requirements.txt", folder / "constraints.txt"
        torch = [f"torch=={cell.torch}"] if cell.torch else []
        wanted.write_text("".join(f"{line}\n" for line in (*torch, *self.contents.requirements)), encoding="utf-8")
        limits.write_text("".join(f"{line}\n" for line in self.contents.constraints), encoding="utf-8")
        words = ["pip", "install", "--quiet", "--python", python, *self.contents.engine]
        self._run([*words, "--requirement", str(wanted), "--constraint", str(limits)])
        ended = run_in([python, "-P", "-c", _ASK], self.environ)
        try:
            versions = Versions.model_validate_json(ended.output.strip().splitlines()[-1])
        except (ValidationError, LookupError) as error:
            raise NotMade(f"its Python does not work: {ended.reason()}") from error
        (folder / _MANIFEST).write_text(versions.model_dump_json(), encoding="utf-8")
        return versions

    def _run(self, words: Sequence[str]) -> None:
        pip = {ours: self.environ[theirs] for ours, theirs in _PIP_VARIABLES if self.environ.get(theirs)}
        given = {name: value for name, value in pip.items() if not self.environ.get(name)}
        ended = run_in([self.uv, *words], {**self.environ, **given, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"})
        if ended.code:
            raise NotMade(ended.reason())

    def clear_unused(self) -> None:
        """Remove environments that no run has used for a month, and what runs that were killed left behind."""
        now = time.time()
        for folder in self.root.iterdir() if self.root.is_dir() else ():
            kept = folder / _MANIFEST
            days = _HALF_MADE_DAYS if folder.name.startswith(".making_") else _UNUSED_DAYS
            try:
                used = (kept if kept.exists() else folder).stat().st_mtime
            except OSError:
                continue  # another run removes it at this moment
            if now - used > days * _DAY:
                shutil.rmtree(folder, ignore_errors=True)


def clean_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for a Python of another environment: nothing of this one's packages."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    return {**{name: value for name, value in environ.items() if name not in ours}, "PYTHONNOUSERSITE": "1"}


def run_in(command: Sequence[str], environ: Mapping[str, str], hours: float = 1.0) -> Ended:
    """Run a program to its end with these variables less those of this Python; it reads no terminal.

    Raises:
        NotMade: it cannot be started, or takes longer.
    """
    try:
        done = subprocess.run(
            command,
            env=clean_environ(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=hours * 3600.0,
            check=False,
        )
    except OSError as error:
        raise NotMade(f"{command[0]!r} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise NotMade(f"{Path(command[0]).name} took longer than {hours:g} h", hint="check the network") from error
    return Ended(done.returncode, done.stdout, done.stderr)


def _python_in(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _kept(folder: Path) -> Versions | None:
    """What an environment has, None where there is none that works; it counts as used now."""
    file = folder / _MANIFEST
    try:
        versions = Versions.model_validate_json(file.read_bytes())
        os.utime(file)
    except (OSError, ValidationError):
        return None
    return versions if _python_in(folder).exists() else None


def _put(made: Path, folder: Path) -> None:
    """Give an environment its name; one that another run has put there in the meantime is as good."""
    if folder.exists() and _kept(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        made.rename(folder)
    except OSError as error:
        if _kept(folder) is None:
            raise NotMade(f"{folder} cannot be written: {error.strerror}") from error
