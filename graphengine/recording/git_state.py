"""Asks git where a folder's repository stands, beside a run that goes on: its commit, and whether it is clean."""

import os
import subprocess
from pathlib import Path
from shutil import which

from graphengine.provenance.history.past_run import GitState

_PATIENCE = 3.0  # seconds for git to answer, once the answer is needed
#: Nothing is written, and no program that the repository names is started.
_QUESTION = (
    "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "status",
    "--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules=dirty", "--no-renames",
)  # fmt: skip


class GitQuestion:
    """A question that git answers while other things go on; where there is no repository none is asked."""

    def __init__(self, folder: Path) -> None:
        self._process = _asked(folder) if _is_in_repository(folder) else None

    def answer(self) -> GitState | None:
        """Where the repository stood; None without one, without a commit, or when git cannot tell."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        try:
            told, _ = process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None
        return _read(told) if process.returncode == 0 else None

    def close(self) -> None:
        """Do not wait for an answer any more."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _is_in_repository(folder: Path) -> bool:
    return "GIT_DIR" in os.environ or any((place / ".git").exists() for place in (folder, *folder.parents))


def _asked(folder: Path) -> "subprocess.Popen[bytes] | None":
    program = which("git")
    if program is None:
        return None
    try:
        return subprocess.Popen(
            [program, *_QUESTION],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the run
        )
    except OSError:
        return None


def _read(told: bytes) -> GitState | None:
    """The state in what `git status --porcelain=v2 --branch` writes."""
    commit, branch, is_clean = "", None, True
    for line in told.decode("utf-8", "replace").splitlines():
        if line.startswith("# branch.oid "):
            commit = line.removeprefix("# branch.oid ")
        elif line.startswith("# branch.head "):
            branch = line.removeprefix("# branch.head ")
        elif not line.startswith("#"):
            is_clean = False
    if not commit or not all(digit in "0123456789abcdef" for digit in commit):  # "(initial)"
        return None
    return GitState(commit, is_clean, None if branch == "(detached)" else branch)
