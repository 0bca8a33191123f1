"""Check the nodes of a pack in processes that can be ended, whatever the nodes do.

A call that takes too long is interrupted in the process itself, which goes on. When that does not help, because
the call is in C code or catches everything, or when the process is gone, the node gets a finding and the next one
a new process.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import IO, Any

from graphengine.errors import GraphEngineError
from graphengine.testing.checking_worker import GRACE
from graphengine.testing.checks import Finding, NodeReport
from graphengine.testing.process_groups import end_with_children, start_python
from graphengine.testing.report_messages import LONGEST, NoMessage, message_of, read_findings, read_report

EXAMPLES = 5
SECONDS = 60.0
MEMORY = 4 * 2**30
_START_SECONDS = 300.0  # to import the engine and torch on a busy machine; importing the pack was tried before
_LAST_WORDS = 100_000  # characters
_NODES_PER_PROCESS = 20  # what it takes a process to start is what it takes to check so many small nodes
_BOOT = "import sys; from graphengine.testing.checking_worker import main; main(sys.argv[1])"


class CheckingFailed(GraphEngineError):
    """The nodes of a pack cannot be checked."""


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """What is checked, and how: a pack by its path, or an installed one by its name.

    `examples` is how many generated inputs each node is called with, `seconds` how long a call may take, `memory`
    how many bytes a process may have.
    """

    pack: Path | None = None
    installed: str | None = None
    examples: int = EXAMPLES
    seconds: float = SECONDS
    memory: int | None = MEMORY

    @property
    def seconds_to_import(self) -> float:
        """How long importing the pack may take."""
        return 2 * self.seconds


@dataclass(slots=True)
class _Process:
    """A process that checks one node after the other; it is started when it is needed."""

    order: CheckOrder
    class_types: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    _folder: "TemporaryDirectory[str] | None" = None
    _process: "subprocess.Popen[bytes] | None" = None
    _lines: "SimpleQueue[bytes]" = field(default_factory=SimpleQueue)
    _doing: str = ""
    _is_closed: bool = False

    def check(self, class_type: str) -> NodeReport:
        """The report of a node.

        Raises:
            CheckingFailed: no process can be started, or checking was ended.
        """
        try:
            report = self._asked({"class_type": class_type})
            every = (*report.findings, *(finding for finding, _ in report.waived))
            if any(finding.code == "comes_back" for finding in every):
                self.end()  # with less memory than it had, or in the middle of whatever was interrupted
            return report
        except _Lost as lost:
            told = str(lost)
        try:
            return self._asked({"class_type": class_type, "lost": told})
        except _Lost as lost:
            raise CheckingFailed(
                f"node {class_type!r} cannot be checked: {lost}", hint="check the others: --node CLASS, repeatable"
            ) from lost

    def _asked(self, request: dict[str, Any]) -> NodeReport:
        process = self.started()
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        told = self._answer("report")
        try:
            return read_report(told)
        except NoMessage as error:
            raise self._lost(f"says what is no report: {error}") from error

    def started(self) -> "subprocess.Popen[bytes]":
        """The process, once it has read the pack.

        Raises:
            CheckingFailed: it cannot.
        """
        if self._is_closed:
            raise CheckingFailed("checking was ended")
        if self._process is not None:
            return self._process
        self._folder = TemporaryDirectory(prefix="graphengine_checks_", ignore_cleanup_errors=True)
        self._process = process = _start(self.order, Path(self._folder.name))
        assert process.stdout is not None
        self._lines = SimpleQueue()
        Thread(target=_read, args=(process.stdout, self._lines), daemon=True).start()
        try:
            ready = self._answer("class_types", whole=True)
            self.class_types = tuple(map(str, ready["class_types"]))
            self.findings = read_findings(ready.get("findings"))
        except (_Lost, NoMessage) as error:
            self.end()
            raise CheckingFailed(f"the process that checks nodes cannot begin: {error}") from error
        return process

    def _answer(self, key: str, *, whole: bool = False) -> Any:
        """What the process says under a key.

        Raises:
            CheckingFailed: it cannot read the pack.
            _Lost: it is gone, or does not come back.
        """
        self._doing = ""
        while True:
            seconds = self.order.seconds + 2 * GRACE if self._doing else _START_SECONDS + 2 * self.order.seconds
            try:
                message = message_of(self._lines.get(timeout=seconds))
            except Empty:
                raise self._lost(f"has not ended after {self.order.seconds:g} s") from None
            except NoMessage as error:
                raise self._lost(None if self._is_gone() else f"says what is no message: {error}") from error
            if "refused" in message:
                self.end()
                raise CheckingFailed(str(message["refused"]), hint=message.get("hint"))
            if key in message:
                return message if whole else message[key]
            self._doing = str(message.get("doing", ""))

    def _is_gone(self) -> bool:
        """Whether the process ended by itself."""
        try:
            return self._process is None or self._process.wait(1.0) is not None
        except subprocess.TimeoutExpired:
            return False

    def _lost(self, what: str | None) -> "_Lost":
        """Ends the process; `what` is wrong with it, None when it was gone."""
        process, doing, words = self._process, self._doing, self._last_words()
        if what is None and words.startswith("Timeout"):  # it ended itself, as nothing else could
            what = f"has not ended after {self.order.seconds:g} s"
        elif what is None and process is not None:
            what = f"ends the process: {_how_it_ended(process.returncode)}"
        place = self._place(words)  # before its folder goes, which has the pack as a link
        self.end()
        return _Lost(f"{doing or 'checking it'} {what}{place}")

    def _last_words(self) -> str:
        """Where the code was, as the interpreter wrote when it crashed or a call took too long."""
        if self._folder is None:
            return ""
        try:
            with (Path(self._folder.name) / "crash").open(errors="replace") as opened:
                return opened.read(_LAST_WORDS)
        except OSError:
            return ""

    def _place(self, written: str) -> str:
        """` (nodes.py:12)`: the innermost line of the pack's code in a traceback of the interpreter."""
        if self.order.pack is None:
            return ""
        for file, line in re.findall(r'File "([^"\n]+)", line (\d+)', written):
            if Path(file).resolve().is_relative_to(self.order.pack.resolve()):
                return f" ({Path(file).name}:{line})"
        return ""

    def end(self) -> None:
        """End the process; the next request starts another."""
        process, self._process = self._process, None
        folder, self._folder = self._folder, None
        if process is not None:
            end_with_children(process)
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    pipe.close() if pipe is not None else None
        if folder is not None:
            folder.cleanup()

    def close(self) -> None:
        """End the process for good."""
        self._is_closed = True
        self.end()


class _Lost(Exception):
    """The process does not answer any more."""


@dataclass(slots=True)
class PackChecks:
    """The checks of one pack, each process with nodes of its own. Close it, or use it in a `with`."""

    order: CheckOrder
    jobs: int | None = None
    _processes: list[_Process] = field(default_factory=list)

    def __enter__(self) -> "PackChecks":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def class_types(self) -> tuple[str, ...]:
        """The nodes of the pack, in its order; the first use starts a process, which imports the pack.

        Raises:
            CheckingFailed: the pack cannot be imported.
        """
        return self._first().class_types

    @property
    def pack_findings(self) -> tuple[Finding, ...]:
        """What is wrong with what the pack says of all its nodes.

        Raises:
            CheckingFailed: the pack cannot be imported.
        """
        return self._first().findings

    def check(self, class_type: str) -> NodeReport:
        """All that is wrong with one node.

        Raises:
            CheckingFailed: the pack cannot be imported.
        """
        return self._first().check(class_type)

    def check_all(self, class_types: Sequence[str]) -> Iterator[NodeReport]:
        """The reports of nodes in the order that they are named, each as soon as it is there.

        Raises:
            CheckingFailed: the pack cannot be imported.
        """
        jobs = self.jobs or max(1, min(os.cpu_count() or 1, len(class_types) // _NODES_PER_PROCESS))
        idle: SimpleQueue[_Process] = SimpleQueue()
        self._first()
        self._processes += [_Process(self.order) for _ in range(jobs - len(self._processes))]
        for process in self._processes:
            idle.put(process)

        def check(class_type: str) -> NodeReport:
            process = idle.get()
            try:
                return process.check(class_type)
            finally:
                idle.put(process)

        with ThreadPoolExecutor(jobs) as pool:
            try:
                yield from pool.map(check, class_types)
            except BaseException:
                self.close()  # what is being checked ends at once, what waits is not begun
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.close()

    def _first(self) -> _Process:
        if not self._processes:
            self._processes.append(_Process(self.order))
        self._processes[0].started()
        return self._processes[0]


def _start(order: CheckOrder, folder: Path) -> "subprocess.Popen[bytes]":
    told = {**asdict(order), "folder": str(folder), "pack": None if order.pack is None else str(order.pack)}
    # Values are small, and several processes share the processors.
    further = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    try:
        return start_python(_BOOT, json.dumps(told), further=further, **pipes)
    except OSError as error:
        raise CheckingFailed(f"no process can be started: {error.strerror}") from error


def _read(answers: IO[bytes], lines: "SimpleQueue[bytes]") -> None:
    """Hand on lines until there are no more, which an empty one tells."""
    with suppress(OSError, ValueError):  # the pipe is closed when the process is ended
        while line := answers.readline(LONGEST):
            lines.put(line)
    lines.put(b"")


def _how_it_ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its exit code is {code}"
    if code == -9:
        return "the system ended it, most often because there is no memory left"
    return f"it was ended by {signal.Signals(-code).name}"
