"""A worker as the engine sees it: started when needed, asked one thing at a time, ended when it misbehaves."""

import json
import logging
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from graphengine.errors import GraphEngineError, RunCancelled
from graphengine.isolation.channel import NOTHING, Channel, DamagedMessage, Message
from graphengine.isolation.limits import bubblewrap, not_enforced, sandboxed
from graphengine.isolation.remote_error import remote_error
from graphengine.packs.project import PackOptions

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 2.0
_IMPORT_SECONDS = 600.0
_LAST_WORDS = 4000
_OWN_SECRETS = ("GRAPHENGINE_REMOTE_KEY",)
_BOOT = (
    "import sys, json; sys.path += [p for p in json.loads(sys.argv[4]) if p not in sys.path]; "
    "from graphengine.isolation.worker import main; main(*map(int, sys.argv[1:4]))"
)

Handler = Callable[[Message], None]


def _never() -> bool:
    return False


class WorkerFailed(GraphEngineError):
    """The process of an isolated pack ended, or was ended."""


@dataclass(slots=True)
class WorkerProcess:
    """The worker of one pack. `start` is the first message; `writable` are the folders that it may always write.

    `options` are its limits, `python` the program of its environment.
    """

    name: str
    python: Path
    options: PackOptions
    start: Mapping[str, Any]  # Any: JSON
    writable: tuple[Path, ...] = ()
    _lock: Lock = field(default_factory=Lock)
    _running: "_Running | None" = None

    def ask(
        self,
        head: dict[str, Any],
        value: object = NOTHING,
        *,
        on_message: Handler | None = None,
        is_cancelled: Callable[[], bool] = _never,
    ) -> Message:
        """The answer to a request; requests of several threads wait for each other.

        `on_message` is told what the worker says before it answers.

        Raises:
            RunCancelled: it was cancelled.
            WorkerFailed: the process ended, or took longer than its time; the next request starts another.
            NotStorable: the value cannot be sent.
            Exception: what was raised in the worker, by its name.
        """
        with self._turn(is_cancelled):
            running = self._started()
            try:
                running.channel.send(head, value)
                answer = self._wait(running, on_message, is_cancelled)
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise self._ended(running) from None
            except DamagedMessage as error:
                self._end()
                raise WorkerFailed(
                    f"the process of pack {self.name!r} sent what is no message: {error}"
                ) from error
            except BaseException:
                if running.is_busy:
                    self._end()
                raise
        if answer.kind == "error":
            raise remote_error(answer.head, self.name)
        return answer

    @contextmanager
    def _turn(self, is_cancelled: Callable[[], bool]) -> Iterator[None]:
        while not self._lock.acquire(timeout=_POLL_SECONDS):
            if is_cancelled():
                raise RunCancelled
        try:
            yield
        finally:
            self._lock.release()

    def _wait(self, running: "_Running", on_message: Handler | None, is_cancelled: Callable[[], bool]) -> Message:
        running.is_busy = True
        limit, begun, cancelled_at = _IMPORT_SECONDS, time.monotonic(), None
        while True:
            message = running.channel.receive(_POLL_SECONDS)
            now = time.monotonic()
            if message is not None and message.kind in ("result", "error"):
                running.is_busy = False
                return message
            if message is not None and message.kind == "begun":  # the pack is imported, its node is called now
                limit, begun = self.options.timeout or math.inf, now
            elif message is not None and on_message is not None:
                on_message(message)
            if cancelled_at is None and is_cancelled():
                cancelled_at = now
                running.channel.send({"kind": "cancel"})
            if cancelled_at is not None and now - cancelled_at > _GRACE_SECONDS:
                raise RunCancelled
            if now - begun > limit:
                raise WorkerFailed(
                    f"it took longer than {limit:g} s in the process of pack {self.name!r}, which was ended",
                    hint=f"raise timeout of pack {self.name!r} in graphengine.toml",
                )

    def reply(self, head: dict[str, Any]) -> None:
        """Answer a question of the worker; called by `on_message`."""
        if self._running is not None:
            self._running.channel.send(head)

    def _started(self) -> "_Running":
        running = self._running
        if running is not None and running.process.poll() is not None:
            self._end()
            running = None
        if running is None:
            running = self._running = _start(self)
            running.channel.send(dict(self.start))
        return running

    def _ended(self, running: "_Running") -> WorkerFailed:
        """What to tell of a process that is gone."""
        with suppress(subprocess.TimeoutExpired):
            running.process.wait(_GRACE_SECONDS)
        code, words = running.process.poll(), running.last_words()
        self._end()
        how = "was ended" if code is None else _how_it_ended(code)
        where = re.search(r"^Current thread .*\n\s*(File .*)$", words, re.MULTILINE)
        hint = f"it was at: {where[1]}" if where else "the next run starts it anew"
        if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
            hint = "the system may have run out of memory: limit it with memory in graphengine.toml"
        return WorkerFailed(f"the process of pack {self.name!r} {how}", hint=hint)

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.end()

    def close(self) -> None:
        """End the process; the next request starts another."""
        with self._lock:
            self._end()


@dataclass(slots=True)
class _Running:
    process: "subprocess.Popen[bytes]"
    channel: Channel
    lifeline: int
    folder: Path
    is_busy: bool = False

    def last_words(self) -> str:
        """What the worker's interpreter wrote when it crashed."""
        try:
            return (self.folder / "crash").read_text(errors="replace")[:_LAST_WORDS]
        except OSError:
            return ""

    def end(self) -> None:
        """Ask the process and its children to end, then end them."""
        self.channel.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
            try:
                self.process.wait(_GRACE_SECONDS / 2)
                break
            except subprocess.TimeoutExpired:
                continue
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # what it started and left behind
        self.process.wait()
        os.close(self.lifeline)
        shutil.rmtree(self.folder, ignore_errors=True)


def _start(worker: WorkerProcess) -> _Running:
    folder = Path(tempfile.mkdtemp(prefix="graphengine-worker-"))
    ours, theirs = socket.socketpair()
    listen, lifeline = os.pipe()
    crash = os.open(folder / "crash", os.O_WRONLY | os.O_CREAT, 0o600)
    inherited = (theirs.fileno(), listen, crash)
    paths = json.dumps([path for path in sys.path if path and os.path.exists(path)])
    command = [str(worker.python), "-I", "-c", _BOOT, *map(str, inherited), paths]
    missing, program = not_enforced(worker.options), bubblewrap()
    if missing:
        logger.warning("pack %r runs without these limits: %s", worker.name, ", ".join(missing))
    if program is not None:
        command = sandboxed(command, worker.options, (*worker.writable, folder), program)
    environment = {name: value for name, value in os.environ.items() if name not in _OWN_SECRETS}
    try:
        process = subprocess.Popen(
            command,
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
            env={**environment, "TMPDIR": str(folder)},
            start_new_session=True,  # Ctrl-C is for the engine, which tells the worker
        )
    except OSError as error:
        ours.close()
        os.close(lifeline)
        shutil.rmtree(folder, ignore_errors=True)
        raise WorkerFailed(
            f"the process of pack {worker.name!r} cannot be started: {error.strerror}",
            hint=f"make its environment anew: graphengine nodes isolate {worker.name}",
        ) from error
    finally:
        theirs.close()
        os.close(listen)
        os.close(crash)
    return _Running(process, Channel(ours), lifeline, folder)


def _how_it_ended(code: int) -> str:
    number = -code if code < 0 else code - 128  # a sandbox tells the signal of its child as a code
    if code < 0 or (code > 128 and number in signal.valid_signals()):
        return f"was ended by {signal.Signals(number).name}"
    return f"ended by itself with exit code {code}"
