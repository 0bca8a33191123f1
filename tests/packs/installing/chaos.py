"""Installs that go wrong in every way, in a fresh environment, and what must hold after each.

After an install that was refused, failed or was killed, `pip freeze` and every byte of the environment are as
before, and no pack and no stage is left. A killed one is undone by the next command.
"""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from tests.packs.installing.wheels import (
    digest_of_environment,
    make_environment,
    make_pack,
    make_wheel,
    pip_environ,
)

ROOT = Path(__file__).parents[3]
Ending = Literal["installed", "refused", "killed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an install ended, and what was wrong afterwards: nothing, one hopes."""

    scenario: str
    ending: Ending
    seconds: float
    said: str
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Words of the command line, how it must end, what it must say, after how many seconds it is killed."""

    name: str
    words: Callable[["Chaos"], list[str]]
    ending: Ending = "refused"
    kill_after: float | None = None
    kills_all: bool = False
    says: str = ""


@dataclass
class Chaos:
    """A folder with an environment, a wheelhouse, packs and `custom_nodes`."""

    folder: Path
    index: str = ""
    count: int = 0
    python: Path = field(init=False)

    def __post_init__(self) -> None:
        wheels = self.folder / "wheels"
        for name, version in (("numpy", "2.1.0"), ("numpy", "1.26.4"), ("torch", "2.6.0"), ("colours", "1.0")):
            make_wheel(wheels, name, version)
        make_wheel(wheels, "colours", "2.0", files={"colours/__init__.py": "raise RuntimeError\n"})
        many = {f"colours/part{number}.py": f"x = {number}\n" for number in range(300)}
        make_wheel(wheels, "colours", "3.0", files={"colours/__init__.py": "", **many})
        make_wheel(wheels, "painter", "1.0", files={"painter/__init__.py": "import colours\n"})
        make_wheel(wheels, "strict", "1.0", requires=["colours<2"])
        make_wheel(wheels, "clash", "1.0", files={"colours/__init__.py": "mine = 1\n"})
        make_wheel(wheels, "ultralytics", "8.3.41")
        make_wheel(wheels, "crasher", "1.0", files={"painter/extra.py": "", "crasher.py": ""})
        make_wheel(wheels, "shapes", "1.0", requires=["lines"])
        make_wheel(wheels, "lines", "1.0")
        _make_failing_sdist(wheels / "unbuildable-1.0.tar.gz")
        packages = ["numpy==2.1.0", "torch", "colours==1.0", "painter"]
        self.python = make_environment(self.folder / "venv", wheels, packages)
        shutil.copytree(self.folder / "venv", self.folder / "pristine", symlinks=True)
        self.custom_nodes = self.folder / "custom_nodes"
        self.custom_nodes.mkdir()

    def pack(self, requirements: str | None = None, **files: str) -> str:
        """The path of a new pack."""
        self.count += 1
        named = {name.replace("__py", ".py"): text for name, text in files.items()}
        return str(make_pack(self.folder / "packs" / f"Pack{self.count}", requirements=requirements, files=named))

    def freeze(self) -> str:
        """What `pip freeze` says of the environment."""
        command: list[str | Path] = [self.python, "-B", "-m", "pip", "freeze", "--all"]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=pip_environ()).stdout

    def run(self, scenario: Scenario) -> Outcome:
        """Carry out an install, and look what it left."""
        words = scenario.words(self)
        before = (self.freeze(), digest_of_environment(self.python))
        packs = self._packs()
        started = time.monotonic()
        code, said = self._command(["nodes", "install", *words], scenario)
        seconds = time.monotonic() - started
        if code == -signal.SIGKILL:
            self._next_start()
        ending: Ending = "installed" if code == 0 else "killed" if code == -signal.SIGKILL else "refused"
        wrong = []
        if ending != scenario.ending and not (scenario.ending == "killed" and ending == "installed"):
            wrong.append(f"it ended {ending}, not {scenario.ending}")
        if scenario.says not in said:
            wrong.append(f"it does not say {scenario.says!r}")
        if "Traceback" in said:
            wrong.append("a traceback was shown")
        wrong += self._left(ending, before, packs)
        if (self.freeze(), digest_of_environment(self.python)) != before:
            self._renew()
        return Outcome(scenario.name, ending, seconds, said, tuple(wrong))

    def _left(self, ending: Ending, before: tuple[str, str], packs: set[str]) -> Iterator[str]:
        new = self._packs() - packs
        if any(path.name.startswith("stage-") for path in (self.custom_nodes / ".graphengine").glob("*")):
            yield "a stage is left"
        whole = {name for name in new if (self.custom_nodes / ".graphengine" / f"{name}.json").is_file()}
        if new - whole:
            yield f"half an install is left: {', '.join(sorted(new - whole))}"
        if whole and ending == "killed":  # it was killed after it was done
            return
        if ending == "installed":
            if not whole:
                yield "no pack came"
            return
        if new:
            yield f"a pack came: {', '.join(sorted(new))}"
        if self.freeze() != before[0]:
            yield "pip freeze tells something else"
        if digest_of_environment(self.python) != before[1]:
            yield "files of the environment differ"

    def _packs(self) -> set[str]:
        return {path.name for path in self.custom_nodes.iterdir() if path.name != ".graphengine"}

    def _command(self, words: list[str], scenario: Scenario | None = None) -> tuple[int, str]:
        environ = {**pip_environ(), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'nodes'}", "NO_PROXY": "*"}
        options = ["--custom-nodes", str(self.custom_nodes)]
        if scenario is not None:
            options += ["--python", str(self.python), "--tool", "pip"]
        process = subprocess.Popen(
            [sys.executable, "-m", "graphengine.cli", *words, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=scenario.kill_after if scenario else None)
        except subprocess.TimeoutExpired:
            if scenario is not None and scenario.kills_all:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            said, _ = process.communicate()
        return process.returncode, said

    def _next_start(self) -> None:
        """What the user does after a kill: another command. It waits for a pip that outlived the kill."""
        for _ in range(20):
            self._command(["nodes", "list", "--packs"])
            if not any((self.custom_nodes / ".graphengine").glob("stage-*")):
                return

    def _renew(self) -> None:
        shutil.rmtree(self.folder / "venv")
        shutil.copytree(self.folder / "pristine", self.folder / "venv", symlinks=True)


def _wheels(chaos: Chaos) -> list[str]:
    return ["--no-index", "--find-links", str(chaos.folder / "wheels")]


def _requiring(requirements: str, chaos: Chaos) -> list[str]:
    return [chaos.pack(requirements), *_wheels(chaos)]


def _zip(chaos: Chaos, name: str, content: bytes, cut: int | None = None) -> list[str]:
    chaos.count += 1
    path = chaos.folder / f"archive{chaos.count}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("__init__.py", "NODE_CLASS_MAPPINGS = {}\n" * 100)
        file.writestr(name, content)
    if cut is not None:
        path.write_bytes(path.read_bytes()[:cut])
    return [str(path)]


def _make_failing_sdist(path: Path) -> None:
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {
        "setup.py": "raise SystemExit('this never builds')\n",
        "backend.py": "import setup\n",  # so that no setuptools is needed to get as far as setup.py
        "pyproject.toml": build,
        "PKG-INFO": "Metadata-Version: 2.1\nName: unbuildable\nVersion: 1.0\n",
    }
    with tarfile.open(path, "w:gz") as file:
        for name, text in files.items():
            member = tarfile.TarInfo(f"unbuildable-1.0/{name}")
            member.size = len(text)
            file.addfile(member, io.BytesIO(text.encode()))


def _not_utf8(chaos: Chaos) -> list[str]:
    pack = Path(chaos.pack())
    (pack / "__init__.py").write_bytes(b"x = 1\nname = '\xff\xfe'\nNODE_CLASS_MAPPINGS = {}\n")
    return [str(pack)]


def _without_nodes(chaos: Chaos) -> list[str]:
    pack = Path(chaos.pack())
    (pack / "__init__.py").write_text("")
    return [str(pack)]


def _failing_script(chaos: Chaos) -> list[str]:
    words = [chaos.pack("colours>=3\n", install__py="raise SystemExit(1)\n"), *_wheels(chaos)]
    return [*words, "--run-install-script", "--yes"]


def _from_index(requirement: str, chaos: Chaos) -> list[str]:
    return [chaos.pack(requirement), "--index-url", chaos.index]


SCENARIOS = (
    Scenario("good", partial(_requiring, "shapes\n"), "installed"),
    Scenario(
        "numpy would be older", partial(_requiring, "numpy<2\n"), says="numpy 2.1.0 is installed and protected"
    ),
    Scenario("two requirements conflict", partial(_requiring, "colours>=3\ncolours<2\n"), says="conflict"),
    Scenario(
        "a dependency conflicts",
        partial(_requiring, "strict\ncolours>=3\n"),
        says="strict 1.0 depends on colours<2",
    ),
    Scenario(
        "a release breaks another package", partial(_requiring, "colours==2.0\n"), says="colours: RuntimeError"
    ),
    Scenario(
        "files of another package", partial(_requiring, "clash\n"), says="would overwrite colours/__init__.py"
    ),
    Scenario("known malware", partial(_requiring, "ultralytics==8.3.41\n"), says="known to be malicious"),
    Scenario("no such package", partial(_requiring, "shapes\nno-such-package\n"), says="no-such-package"),
    Scenario("no requirement at all", partial(_requiring, "shapes\n%%%\n"), says="line 2: '%%%'"),
    Scenario(
        "setup.py fails",
        lambda c: [*_requiring("unbuildable\n", c), "--allow-build", "unbuildable"],
        says="this never builds",
    ),
    Scenario("install.py fails after packages changed", _failing_script, says="the install.py of"),
    Scenario("zip cut off", lambda c: _zip(c, "a.py", os.urandom(5000), cut=3000), says="cannot be unpacked"),
    Scenario("zip leads outside", lambda c: _zip(c, "../../evil.py", b"evil"), says="leads out of the folder"),
    Scenario(
        "zip is a bomb",
        lambda c: [*_zip(c, "large.bin", bytes(20 * 2**20)), "--max-size", "1"],
        says="unpacks to more than 1 MiB",
    ),
    Scenario("not UTF-8", _not_utf8, says="__init__.py, line 2"),
    Scenario("no nodes", _without_nodes, says="has no nodes"),
    Scenario("no such repository", lambda c: [f"file://{c.folder}/nothing"], says="cannot be fetched"),
    Scenario(
        "index cannot be reached", lambda c: [c.pack("shapes\n"), "--index-url", "http://127.0.0.1:9/simple"]
    ),
    Scenario("network is lost in the middle", partial(_from_index, "shapes\n"), says="is invalid"),
)


def killed(after: float, *, all_of_it: bool = False) -> Scenario:
    """An install that changes packages, killed after some seconds; with `all_of_it` its pip too."""
    name = f"{'all' if all_of_it else 'it'} killed after {after:.2f} s"
    return Scenario(name, partial(_requiring, "colours>=3\nshapes\n"), "killed", after, all_of_it)


@contextmanager
def failing_index(wheels: Path) -> Iterator[str]:
    """An index on this machine that lists wheels and breaks off in the middle of each; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rstrip("/").rpartition("/")[2]
            if name.endswith(".whl"):
                content = (wheels / name).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                return
            links = "".join(f'<a href="/files/{p.name}">{p.name}</a>' for p in wheels.glob(f"{name}-*.whl"))
            page = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
