"""Limits of a worker: memory by the kernel, network and files by bubblewrap where that is present."""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from graphengine.packs.project import PackOptions

_GPU_FILES = ("nvidia*", "dri", "kfd", "dxg")


def limit_memory(limit: int | None) -> None:
    """Let this process and its children have no more than `limit` bytes of their own; beyond it is a MemoryError.

    On Linux this is RLIMIT_DATA, which counts what is allocated; RLIMIT_AS would count what is reserved too, many
    times of that with torch and CUDA.
    """
    if limit is None or sys.platform == "win32":
        return
    import resource

    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    resource.setrlimit(kind, (limit, limit))


@cache
def bubblewrap() -> str | None:
    """The program `bwrap` if it is there and may be used, else None. It is tried once."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    trial = [program, "--ro-bind", "/", "/", "--unshare-net", "--unshare-pid", "--proc", "/proc", "true"]
    try:
        done = subprocess.run(trial, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if done.returncode == 0 else None


def not_enforced(options: PackOptions) -> list[str]:
    """The limits that are asked for and that this machine cannot keep, in words."""
    missing = []
    if bubblewrap() is None:
        missing += [] if options.network else ["network = false"]
        missing += ["read_only = true"] if options.read_only else []
    if sys.platform == "win32" and options.memory is not None:
        missing.append("memory")
    return missing


def sandboxed(command: Sequence[str], options: PackOptions, writable: Iterable[Path], program: str) -> list[str]:
    """The command line that runs a command within the limits; `writable` are the folders of the run."""
    if options.network and not options.read_only:
        return list(command)
    words = [program, *(_read_only(writable) if options.read_only else ("--dev-bind", "/", "/"))]
    words += ["--proc", "/proc", "--unshare-pid", "--unshare-ipc"]
    words += [] if options.network else ["--unshare-net"]
    return [*words, "--", *command]


def _read_only(writable: Iterable[Path]) -> Iterator[str]:
    """All files to read, the folders of the run to write, and graphics devices."""
    yield from ("--ro-bind", "/", "/", "--dev", "/dev")
    for pattern in _GPU_FILES:
        for device in sorted(Path("/dev").glob(pattern)):
            yield from ("--dev-bind", str(device), str(device))
    for folder in dict.fromkeys(writable):
        yield from ("--bind", str(folder), str(folder))
