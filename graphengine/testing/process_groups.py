"""Processes that run code of packs: started with this one's modules, ended with all that they started."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any


# Any: the options of Popen are of many types.
def start_python(
    code: str, *arguments: str, further: Mapping[str, str], **options: Any
) -> "subprocess.Popen[bytes]":
    """Python with a program that finds the modules of this one; `further` is added to the environment.

    Raises:
        OSError: it cannot be started.
    """
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **further, "PYTHONPATH": paths},
        start_new_session=True,  # Ctrl-C is for who asks; and all that a pack started can be ended
        **options,
    )


def end_with_children(process: "subprocess.Popen[bytes]") -> None:
    """End a process of `start_python` and, where the system has groups of processes, all that it started."""
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
