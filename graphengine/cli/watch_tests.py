"""`watch --test`: the checks and the tests of a pack after each change of it, in processes of their own.

A test that hangs, ends its process or prints without end does no harm to the watch. A newer change ends the
tests that still run.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from graphengine.cli.console import plural

_MOST_BYTES = 8 * 2**20  # of what tests print
_MANY = 10  # failures that are told
_WIDTH = "200"  # letters of a line
_NO_TESTS = 5  # exit code of pytest
_GRACE = 5.0  # seconds for a process to be gone


@dataclass(frozen=True, slots=True)
class TestResult:
    """What the tests of a pack showed: a line in short, and one for each failure."""

    __test__ = False  # pytest takes classes of this name for tests

    pack: str
    good: bool
    lines: tuple[str, ...]


@dataclass(slots=True)
class PackTests:
    """Tests packs one after the other in a thread of its own; `seconds` is how long one may take.

    `told` is called with each result from within `poll`.
    """

    told: Callable[[TestResult], None]
    seconds: float
    _results: "queue.SimpleQueue[tuple[int, TestResult]]" = field(default_factory=queue.SimpleQueue, init=False)
    _turn: int = field(default=0, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _ended: threading.Event = field(default_factory=threading.Event, init=False)

    def start(self, packs: Mapping[str, Path]) -> None:
        """Test these packs, by name, and no others any more."""
        self.close()
        self._turn += 1
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(self._turn, dict(packs), self._ended), name="watch tests", daemon=True
        )
        self._thread.start()

    def poll(self) -> None:
        """Tell what has come out since this was called last."""
        while not self._results.empty():
            turn, result = self._results.get()
            if turn == self._turn:
                self.told(result)

    def wait(self) -> None:
        """Wait until the tests have ended, and tell what came out."""
        if self._thread is not None:
            self._thread.join()
        self.poll()

    def close(self) -> None:
        """End what still runs."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _work(self, turn: int, packs: Mapping[str, Path], ended: threading.Event) -> None:
        for name, path in packs.items():
            result = _tested(name, path, self.seconds, ended)
            if ended.is_set():
                return
            self._results.put((turn, result))


def _tested(name: str, path: Path, seconds: float, ended: threading.Event) -> TestResult:
    begun = time.monotonic()
    shorts: list[str] = []
    failures: list[str] = []
    for run in (_checks, _own_tests):
        short, failed = run(path, begun + seconds, ended)
        shorts += [short] if short else []
        failures += failed
    head = f"tests of {name}: {', '.join(shorts)} ({time.monotonic() - begun:.1f} s)"
    more = [f"and {plural(len(failures) - _MANY, 'more failure')}"] if len(failures) > _MANY else []
    return TestResult(name, not failures, (head, *failures[:_MANY], *more))


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a command ended: its exit code, None when its time was up, and what it wrote."""

    code: int | None
    out: str
    errors: str

    def why(self) -> str:
        """In words, with the last that it said."""
        if self.code is None:
            return "still running when the time was up, or it wrote too much"
        last = (self.errors.strip() or self.out.strip() or "nothing").splitlines()[-1]
        return f"ended with code {self.code}; its last words: {last[:200]}"


def _checks(path: Path, until: float, ended: threading.Event) -> tuple[str, list[str]]:
    """The checks of nodes that `graphengine test` makes."""
    command = [sys.executable, "-m", "graphengine.cli", "test", str(path), "--format", "json"]
    done = _run(command, path, until, ended)
    try:
        report = json.loads(done.out) if done.code in (0, 1) else {}
        nodes, summary = report["nodes"], report["summary"]
        findings = [line for node in nodes for line in _findings(node)]
        return f"{summary['good']} of {plural(summary['nodes'], 'node')} keep what they promise", findings
    except (ValueError, TypeError, KeyError):
        return "the checks did not end", [done.why()]


# Any: what `json` reads.
def _findings(node: Mapping[str, Any]) -> Iterator[str]:
    """The first finding of each check of a node, and how many more there are."""
    counts = Counter(finding["code"] for finding in node["findings"])
    for finding in node["findings"]:
        count = counts.pop(finding["code"], 0)
        if count:
            place = f" ({finding['file']}:{finding['line']})" if finding["file"] else ""
            more = f", and {count - 1} more" if count > 1 else ""
            yield f"{node['class_type'] or 'the pack'}: {finding['message']} [{finding['code']}{more}]{place}"


def _own_tests(path: Path, until: float, ended: threading.Event) -> tuple[str, list[str]]:
    """The tests in the folder of the pack, if it has any and pytest is there."""
    tests = [path / "tests"] if (path / "tests").is_dir() else sorted(path.glob("test_*.py"))
    if not tests or find_spec("pytest") is None:
        return "", []
    options = ["-q", "--tb=no", "-rfE", "--color=no", "-p", "no:cacheprovider", "-p", "graphengine.testing.plugin"]
    options += ["--deselect", f"{path.name}::"]  # the checks, which a pack may have among its tests
    done = _run([sys.executable, "-m", "pytest", *options, *map(str, tests)], path, until, ended)
    lines = done.out.strip().splitlines()
    failures = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    if done.code not in (0, 1, _NO_TESTS) or (done.code == 1 and not failures):
        return "pytest did not end", [*failures, done.why()]
    return (lines[-1].partition(" in ")[0] if lines else "no tests"), failures


def _run(command: Sequence[str], folder: Path, until: float, ended: threading.Event) -> _Ended:
    """Run a command beside a pack until it ends, its time is up, or nobody wants it any more."""
    with (
        TemporaryFile() as out,
        TemporaryFile() as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            cwd=folder if folder.is_dir() else folder.parent,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_absolute(sys.path)), "COLUMNS": _WIDTH},
            start_new_session=True,
        ) as process,
    ):
        is_late = False
        try:
            while process.poll() is None and not ended.wait(0.05) and not is_late:
                is_late = time.monotonic() > until or _size(out) + _size(errors) > _MOST_BYTES
        finally:
            _end(process)
        return _Ended(None if is_late else process.returncode, _text(out), _text(errors))


def _absolute(entries: Sequence[str]) -> Iterator[str]:
    return (os.path.abspath(entry) for entry in entries if entry)


def _size(written: BinaryIO) -> int:
    return os.fstat(written.fileno()).st_size


def _text(written: BinaryIO) -> str:
    written.seek(0)
    return written.read(_MOST_BYTES).decode("utf-8", "replace")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process, and those that it started."""
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):  # all of them have ended
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait(_GRACE)
