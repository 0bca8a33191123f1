"""What a call does beside giving outputs: connections, processes, files and settings of the process.

Connections, processes and files are told by Python's audit events, so code in C that opens files by itself is not
seen. Settings are compared before and after.
"""

import os
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

_CONNECTIONS = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"})
_PROCESSES = frozenset({"subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork", "os.startfile"})
_CHANGES = frozenset({"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SYSTEM = ("/usr", "/lib", "/lib64", "/proc", "/sys", "/dev", "/etc", "/opt")

# Any: the arguments of audit events are of all types.
Event = tuple[str, tuple[Any, ...]]


@dataclass(slots=True)
class _Auditor:
    """Hands events to whoever watches; Python keeps an audit hook until it ends, so there is one for all."""

    events: list[Event] | None = None

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.events is None:
            return
        if event == "open" or event in _CONNECTIONS or event in _PROCESSES or event in _CHANGES:
            self.events.append((event, arguments))


@cache
def _auditor() -> _Auditor:
    auditor = _Auditor()
    sys.addaudithook(auditor.hook)
    return auditor


@dataclass(slots=True)
class Watched:
    """What was seen: codes of checks with texts, and which settings of the process changed."""

    seen: list[tuple[str, str]] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Watch:
    """Watches calls. `writable` are the folders of the run, `readable` further ones: the pack's, models."""

    writable: Sequence[Path]
    readable: Sequence[Path] = ()

    @contextmanager
    def watching(self) -> Iterator[Watched]:
        """Watch what happens inside; afterwards the settings are as they were."""
        auditor, watched, events = _auditor(), Watched(), []  # type: ignore[var-annotated]  # a list of Event
        before = [(setting, setting.read()) for setting in settings_of_the_process()]
        former, tempfile.tempdir = tempfile.tempdir, str(self.writable[0])
        auditor.events = events
        try:
            yield watched
        finally:
            auditor.events = None
            tempfile.tempdir = former
            watched.seen.extend(dict.fromkeys(self._judged(events)))
            for setting, value in before:
                now = setting.read()
                if now != value:
                    watched.settings.append(setting.name)
                    setting.write(value)

    def _judged(self, events: Sequence[Event]) -> Iterator[tuple[str, str]]:
        allowed = self._roots()
        writable = [os.path.realpath(path) for path in self.writable]
        for event, arguments in events:
            if event in _CONNECTIONS:
                yield from _connection(event, arguments)
            elif event in _PROCESSES:
                yield "process", f"starts a process: {arguments[0]!r}"[:200]
            else:
                yield from _file(event, arguments, writable, allowed)

    def _roots(self) -> list[str]:
        """The folders that a node may read from: its own, Python's, and those of the system."""
        own = [*self.writable, *self.readable]
        python = [sys.prefix, sys.base_prefix, *(entry for entry in sys.path if entry)]
        return [*{os.path.realpath(str(path)) for path in (*own, *python)}, *_SYSTEM]


def _connection(event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    address = arguments[-1] if event != "socket.getaddrinfo" else arguments[:2]
    if isinstance(address, tuple | bytes | str):
        yield "network", f"makes a connection: {event} {address!r}"[:200]


def _file(
    event: str, arguments: tuple[Any, ...], writable: Sequence[str], allowed: Sequence[str]
) -> Iterator[tuple[str, str]]:
    given = arguments[0]
    if not isinstance(given, str | bytes | os.PathLike):
        return  # the number of a file that is open already
    path = os.path.realpath(os.fsdecode(given))
    if "__pycache__" in path or path in ("/dev/null", os.devnull):
        return
    writes = event != "open" or bool((arguments[2] or 0) & _WRITING)
    if not _below(path, writable if writes else allowed):
        yield "file_outside", f"{'writes' if writes else 'reads'} {path}"


def _below(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + os.sep) for folder in folders)


# Settings


# Any: settings have values of all types.
@dataclass(frozen=True, slots=True)
class ProcessSetting:
    """Something that holds for the whole process."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], Any]


def settings_of_the_process() -> list[ProcessSetting]:
    """What a node has to leave as it is. Random generators are looked at by `RandomStates`."""
    import numpy as np  # with torch behind every value that a node is given
    import torch

    return [
        ProcessSetting("the working directory", os.getcwd, os.chdir),
        ProcessSetting("os.environ", lambda: dict(os.environ), _set_environ),
        ProcessSetting("sys.path", lambda: list(sys.path), lambda value: sys.path.__setitem__(slice(None), value)),
        ProcessSetting("the number of threads that run", threading.active_count, lambda value: None),
        ProcessSetting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        ProcessSetting(
            "torch's default device", lambda: str(torch.get_default_device()), torch.set_default_device
        ),
        ProcessSetting("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled),
        ProcessSetting("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
        ProcessSetting(
            "torch's deterministic algorithms",
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
        ),
        ProcessSetting(
            "torch's precision of float32 products",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        ProcessSetting("numpy's handling of errors", np.geterr, lambda value: np.seterr(**value)),
    ]


def _set_environ(value: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(value)


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Leave the random generators of Python, numpy and torch as they were."""
    import numpy as np
    import torch

    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(pytorch)


def set_seeds(seed: int) -> None:
    """Put the random generators of the process into a certain state."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)


def random_states() -> dict[str, object]:
    """The states of the random generators, to compare: a node that seeds one leaves the same state each time."""
    import numpy as np
    import torch

    return {
        "Python's random": random.getstate(),
        "numpy's random": np.random.get_state()[1].tobytes(),  # type: ignore[index]  # the legacy tuple
        "torch's": torch.get_rng_state().numpy().tobytes(),
    }
