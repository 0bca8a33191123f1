"""Asking pip or uv what installing would do, and letting one of them do it."""

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import file_digest
from pathlib import Path
from shutil import which
from typing import Literal, Protocol

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from graphengine.errors import InstallRefused
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.processes import Ended, run_program

ToolName = Literal["auto", "pip", "uv"]

#: No questions, no notices, no installation into the home folder, and few tries where there is no network.
_PIP = ("--no-input", "--disable-pip-version-check", "--no-color", "--retries", "2")
_PIP_ENVIRON = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PYTHONWARNINGS": "ignore"}
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_UV_CHANGE = re.compile(r"^ \+ (\S+?)(?:==(\S+)| @ (\S+)|\s|$)")


@dataclass(frozen=True, slots=True)
class Pin:
    """A version that the resolver chose. `url` is where it comes from when a requirement names an address."""

    name: str
    version: str
    url: str | None = None
    sha256: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Indexes:
    """Where packages come from; empty is what pip or uv are configured to use.

    `allow_build` are the names of packages that may be built from source, which runs their code.
    """

    find_links: tuple[str, ...] = ()
    no_index: bool = False
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    allow_build: frozenset[str] = field(default=frozenset())

    def options(self) -> list[str]:
        """As pip and uv take them."""
        words = ["--no-index"] if self.no_index else []
        words += ["--index-url", self.index_url] if self.index_url else []
        for url in self.extra_index_urls:
            words += ["--extra-index-url", url]
        for place in self.find_links:
            words += ["--find-links", place if "://" in place else str(Path(place).expanduser().absolute())]
        words += ["--only-binary", ":all:"]
        for name in sorted(self.allow_build):
            words += ["--no-binary", name]
        return words


class Installer(Protocol):
    """What pip and uv both do."""

    @property
    def name(self) -> str:
        """What people call it."""

    def resolve(self, wanted: Sequence[str], constraints: Sequence[str], stage: Path) -> tuple[Pin, ...]:
        """The versions that would be installed; nothing is. Raises InstallRefused with the resolver's reason."""

    def collect(self, pins: Sequence[Pin], stage: Path) -> tuple[Pin, ...]:
        """Bring the files of these versions to this machine; the pins with the digests of the files."""

    def digests(self, pins: Sequence[Pin], stage: Path) -> tuple[Pin, ...]:
        """The pins with the digests of the files that they may come from; nothing is installed."""

    def install(self, pins: Sequence[Pin], stage: Path, target: Path | None = None) -> None:
        """Install what was collected, without looking at requirements: into the environment, or a folder."""


def choose_installer(environment: Environment, indexes: Indexes, tool: ToolName = "auto") -> Installer:
    """uv when it is there, else pip.

    Raises:
        InstallRefused: the tool that was asked for is not there.
    """
    beside = environment.scripts / "uv"
    uv = str(beside) if beside.is_file() else which("uv")
    if tool == "uv" and uv is None:
        raise InstallRefused("there is no program 'uv'", hint="install it, or leave --tool out")
    if tool != "pip" and uv is not None:
        return UvInstaller(environment, indexes, uv)
    return PipInstaller(environment, indexes)


@dataclass(frozen=True)
class PipInstaller:
    """pip of the environment, or ours where it has none."""

    environment: Environment
    indexes: Indexes
    name: str = "pip"

    def resolve(self, wanted: Sequence[str], constraints: Sequence[str], stage: Path) -> tuple[Pin, ...]:
        """See `Installer`."""
        if not wanted:
            return ()
        asked, limits, report = (stage / name for name in ("asked.txt", "constraints.txt", "report.json"))
        asked.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        limits.write_text("\n".join(constraints) + "\n", encoding="utf-8")
        words: list[str | Path] = [
            "install",
            "--dry-run",
            "--report",
            report,
            "-r",
            asked,
            "-c",
            limits,
        ]
        ended = self._pip([*words, *self.indexes.options()])
        if ended.code:
            raise refused_by(self.name, _with_conflict(ended), wanted, stage)
        return self._reported(report)

    def digests(self, pins: Sequence[Pin], stage: Path) -> tuple[Pin, ...]:
        """See `Installer`. Of each the file that would be chosen here."""
        if not pins:
            return ()
        asked, report = stage / "asked.txt", stage / "report.json"
        lines = [_line(pin) for pin in pins]
        asked.write_text("\n".join(lines) + "\n", encoding="utf-8")
        words: list[str | Path] = ["install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
        ended = self._pip([*words, "--report", report, "-r", asked, *self.indexes.options()])
        if ended.code:
            raise refused_by(self.name, ended, lines, stage)
        return self._reported(report)

    @staticmethod
    def _reported(report: Path) -> tuple[Pin, ...]:
        found = json.loads(report.read_text(encoding="utf-8"))
        return tuple(
            Pin(
                canonicalize_name(item["metadata"]["name"]),
                item["metadata"]["version"],
                item["download_info"]["url"] if item["is_direct"] else None,
                _digests(item["download_info"].get("archive_info", {})),
            )
            for item in found["install"]
        )

    def collect(self, pins: Sequence[Pin], stage: Path) -> tuple[Pin, ...]:
        """See `Installer`. The files are wheels in the stage; what comes from source is built."""
        if not pins:
            return ()
        wheels = stage / "wheels"
        wheels.mkdir(exist_ok=True)
        lines = [_line(pin) for pin in pins]
        asked = stage / "pins.txt"
        asked.write_text("\n".join(lines) + "\n", encoding="utf-8")
        ended = self._pip(["wheel", "--quiet", "--no-deps", "-w", wheels, "-r", asked, *self.indexes.options()])
        if ended.code:
            raise refused_by(self.name, ended, lines, stage)
        return _with_wheels(pins, wheels, self.indexes.allow_build)

    def install(self, pins: Sequence[Pin], stage: Path, target: Path | None = None) -> None:
        """See `Installer`."""
        if not pins:
            return
        words: list[str | Path] = [
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--find-links",
            stage / "wheels",
        ]
        words += ["--no-warn-script-location", "--no-warn-conflicts"]
        words += ["--no-compile", "--target", target] if target is not None else []
        ended = self._pip(
            [*words, *(f"{pin.name}=={pin.version}" for pin in pins)], environ={"PIP_FIND_LINKS": ""}
        )
        if ended.code:
            raise refused_by(self.name, ended, [_line(pin) for pin in pins], stage)

    def _pip(self, words: Sequence[str | Path], environ: dict[str, str] | None = None) -> Ended:
        own = "pip" in self.environment.installed
        command: list[str | Path] = [self.environment.python, "-m", "pip"]
        if not own:
            command = [sys.executable, "-m", "pip", "--python", self.environment.python]
        return run_program([*command, *words, *_PIP], environ={**_PIP_ENVIRON, **(environ or {})})


@dataclass(frozen=True)
class UvInstaller:
    """uv, which resolves and installs in a fraction of the time; its cache holds what it fetched."""

    environment: Environment
    indexes: Indexes
    program: str
    name: str = "uv"

    def resolve(self, wanted: Sequence[str], constraints: Sequence[str], stage: Path) -> tuple[Pin, ...]:
        """See `Installer`."""
        if not wanted:
            return ()
        asked, limits = stage / "asked.txt", stage / "constraints.txt"
        asked.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        limits.write_text("\n".join(constraints) + "\n", encoding="utf-8")
        ended = self._pip(["install", "--dry-run", "-r", asked, "-c", limits, *self.indexes.options()])
        if ended.code:
            raise refused_by(self.name, ended, wanted, stage)
        found = (_UV_CHANGE.match(line) for line in ended.errors.splitlines())
        return tuple(
            Pin(canonicalize_name(match[1]), match[2] or "", match[3]) for match in found if match is not None
        )

    def collect(self, pins: Sequence[Pin], stage: Path) -> tuple[Pin, ...]:
        """See `Installer`. The digests are those of all files of a release that fit."""
        if not pins:
            return ()
        lines = [_line(pin) for pin in pins]
        asked = stage / "pins.txt"
        asked.write_text("\n".join(lines) + "\n", encoding="utf-8")
        words: list[str | Path] = ["compile", "--quiet", "--no-deps", "--generate-hashes", "--no-header"]
        words += ["--no-annotate", asked]
        ended = self._pip([*words, *self.indexes.options()])
        if ended.code:
            raise refused_by(self.name, ended, lines, stage)
        told: dict[str, tuple[str, ...]] = {}
        for block in re.split(r"\n(?=\S)", ended.output):
            name = re.match(r"[A-Za-z0-9._-]+", block)
            if name is not None:
                told[canonicalize_name(name[0])] = tuple(sorted(_HASH.findall(block)))
        return tuple(replace(pin, sha256=told.get(pin.name, ())) for pin in pins)

    def digests(self, pins: Sequence[Pin], stage: Path) -> tuple[Pin, ...]:
        """See `Installer`. Of each all files of its release; uv tells no hashes of those in folders."""
        found = self.collect(pins, stage)
        folders = [Path(place).expanduser() for place in self.indexes.find_links if "://" not in place]
        return tuple(pin if pin.sha256 else replace(pin, sha256=_hashes_in(folders, pin)) for pin in found)

    def install(self, pins: Sequence[Pin], stage: Path, target: Path | None = None) -> None:
        """See `Installer`."""
        if not pins:
            return
        words: list[str | Path] = ["install", "--quiet", "--no-deps", "-r", stage / "pins.txt"]
        words += ["--target", target] if target is not None else []
        words += [] if target is not None else ["--reinstall"]
        ended = self._pip([*words, *self.indexes.options()])
        if ended.code:
            raise refused_by(self.name, ended, [_line(pin) for pin in pins], stage)

    def _pip(self, words: Sequence[str | Path]) -> Ended:
        pip_variables = {  # uv reads its own; people and mirrors set pip's
            ours: os.environ[theirs]
            for ours, theirs in (("UV_INDEX_URL", "PIP_INDEX_URL"), ("UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"))
            if os.environ.get(theirs) and not os.environ.get(ours)
        }
        environ = {**pip_variables, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
        return run_program([self.program, "pip", *words, "--python", self.environment.python], environ=environ)


def refused_by(tool: str, ended: Ended, wanted: Iterable[str], stage: Path) -> InstallRefused:
    """What to tell when the resolver found no way: its own reason, and what can be done."""
    reason = ended.reason().replace(f"{stage}{os.sep}", "")
    text = reason.lower()
    hint = "another version of the pack may fit; graphengine nodes isolate gives it packages of its own"
    if "subprocess-exited-with-error" in text or "failed to build" in text or "download and build" in text:
        hint = "its build failed; look for a version or a Python for which there is a wheel"
    elif "no matching distribution" in text or "was not found in" in text or "no wheels" in text:
        hint = (
            "it may be misspelt, missing from the index or wheelhouse, or have no wheel for this Python; "
            "--allow-build NAME builds it, which runs its code"
        )
    if any(word in text for word in ("connection", "name resolution", "timed out", "error sending request")):
        hint = "the index cannot be reached: --index-url names a mirror, --no-index --find-links DIR a wheelhouse"
    asked = ", ".join(list(wanted)[:8])
    return InstallRefused(f"{tool} cannot install {asked}:\n{reason}", hint=hint)


def _with_conflict(ended: Ended) -> Ended:
    """What pip wrote, with what it says of a conflict, which it writes elsewhere than the error."""
    _, found, cause = ended.output.partition("The conflict is caused by:")
    return replace(ended, errors=f"{ended.errors}\n{found}{cause}") if found else ended


def _line(pin: Pin) -> str:
    return f"{pin.name} @ {pin.url}" if pin.url else f"{pin.name}=={pin.version}"


def _digests(info: dict[str, dict[str, str]]) -> tuple[str, ...]:
    digest = (info.get("hashes") or {}).get("sha256")
    return (digest,) if digest else ()


def _hashes_in(folders: Iterable[Path], pin: Pin) -> tuple[str, ...]:
    """The hashes of the wheels of a version that lie in folders."""
    found: set[str] = set()
    for wheel in (path for folder in folders for path in folder.glob("*.whl")):
        try:
            name, version, *_ = parse_wheel_filename(wheel.name)
        except InvalidWheelFilename:
            continue
        if canonicalize_name(name) == pin.name and str(version) == pin.version:
            with wheel.open("rb") as file:
                found.add(file_digest(file, "sha256").hexdigest())
    return tuple(sorted(found))


def _with_wheels(pins: Sequence[Pin], wheels: Path, built: frozenset[str]) -> tuple[Pin, ...]:
    """The pins with the digests of their wheels, which must be those that the resolver saw."""
    found: dict[str, str] = {}
    for wheel in sorted(wheels.glob("*.whl")):
        try:
            name = canonicalize_name(parse_wheel_filename(wheel.name)[0])
        except InvalidWheelFilename:
            continue
        with wheel.open("rb") as file:
            found[name] = file_digest(file, "sha256").hexdigest()
    for pin in pins:
        if pin.name not in found:
            raise InstallRefused(f"no wheel of {pin.name} {pin.version} came")
        if pin.sha256 and pin.name not in built and found[pin.name] not in pin.sha256:
            raise InstallRefused(
                f"the wheel of {pin.name} {pin.version} is another file than was told: SHA-256 {found[pin.name]}, "
                f"expected was {' or '.join(pin.sha256)}",
                hint="do not trust this index or mirror, unless another build of the version is right for you",
            )
    return tuple(replace(pin, sha256=(found[pin.name],)) for pin in pins)
