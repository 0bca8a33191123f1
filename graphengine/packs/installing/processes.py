"""Running other programs: git, pip, uv and Python."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphengine.errors import InstallRefused

_LAST_LINES = 30


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and what it wrote."""

    code: int
    output: str
    errors: str

    def reason(self) -> str:
        """The end of what it wrote about its failure, line breaks included."""
        lines = [line.rstrip() for line in (self.errors or self.output).splitlines() if line.strip()]
        return "\n".join(lines[-_LAST_LINES:]) or f"it ended with code {self.code}"


def run_program(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    timeout: float = 3600.0,
) -> Ended:
    """Run a program to its end; it reads nothing from the terminal. `timeout` is in seconds.

    Raises:
        InstallRefused: it is not there, cannot be started, or takes longer.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
            close_fds=False,  # it inherits the lock of the stage: whoever undoes a killed install waits for it
        )
    except FileNotFoundError as error:
        raise InstallRefused(f"there is no program {words[0]!r}", hint="install it, or check the path") from error
    except OSError as error:
        raise InstallRefused(f"{words[0]!r} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise InstallRefused(
            f"{words[0]!r} took longer than {timeout:.0f} seconds", hint="check the network, then try again"
        ) from error
    return Ended(done.returncode, done.stdout, done.stderr)
