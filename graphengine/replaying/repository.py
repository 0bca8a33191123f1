"""What commits of a git repository hold, read without touching the user's files, index or branches."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphengine.errors import GraphEngineError, SettingsError

#: Nothing is written, and no program that the repository names is started.
_QUIETLY = ("--no-optional-locks", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
_LARGEST_TREE = 2**30
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: its full id, its date (YYYY-MM-DD) and the first line of its message."""

    id: str
    date: str
    subject: str

    def __str__(self) -> str:
        """How people are told of it."""
        return f"{self.id[:10]} {self.date} {self.subject}"


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository whose working tree begins at `top`."""

    top: Path

    @classmethod
    def around(cls, file: Path) -> "Repository":
        """The repository that a file is in, or would be.

        Raises:
            SettingsError: it is in none.
        """
        folder = next((each for each in file.absolute().parents if each.is_dir()), Path.cwd())
        done = _git(folder, "rev-parse", "--show-toplevel")
        if done.returncode != 0 or not done.stdout.strip():
            raise SettingsError(
                f"{file} is in no git repository", hint="name a file of one, or the ids of two runs"
            )
        return cls(Path(done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")))

    def name_of(self, path: Path) -> str:
        """A path as commits have it, with `/`.

        Raises:
            SettingsError: it is outside.
        """
        try:
            return path.absolute().resolve().relative_to(self.top.resolve()).as_posix()
        except ValueError:
            raise SettingsError(f"{path} is in another repository", hint="name a file of this one") from None

    def commit(self, revision: str) -> Commit:
        """The commit that a revision stands for.

        Raises:
            SettingsError: there is none.
        """
        text = (
            "" if revision.startswith("-") else self._text("log", "-1", "--format=%H%x00%cs%x00%s", revision, "--")
        )
        parts = text.rstrip("\n").split("\0")
        if len(parts) != 3:
            raise SettingsError(
                f"{revision!r} is no commit here",
                hint="name a commit, a branch or a tag; a shallow clone may lack it: git fetch --unshallow",
            )
        return Commit(*parts)

    def between(self, good: Commit, bad: Commit, names: Iterable[str]) -> list[Commit]:
        """The commits after one up to another that touch any of these paths: first parents alone, oldest first.

        Raises:
            SettingsError: the good one is not before the bad one.
        """
        done = _git(self.top, "merge-base", "--is-ancestor", good.id, bad.id)
        if done.returncode != 0:
            raise SettingsError(
                f"{good.id[:10]} is not before {bad.id[:10]}",
                hint="name the good one first, of one line of history",
            )
        text = self._text(
            "log", "--first-parent", "--reverse", "--format=%H%x00%cs%x00%s", f"{good.id}..{bad.id}", "--", *names
        )
        return [Commit(*line.split("\0")) for line in text.splitlines() if line.count("\0") == 2]

    def content(self, commit: Commit, name: str) -> bytes | None:
        """A file as a commit has it, None when it has none."""
        done = _git(self.top, "cat-file", "blob", f"{commit.id}:{name}")
        return done.stdout if done.returncode == 0 else None

    def tree(self, commit: Commit, name: str) -> str | None:
        """The id of what a commit has under a path, None for nothing; equal ids stand for equal content."""
        done = _git(self.top, "rev-parse", "--verify", "--quiet", f"{commit.id}:{name}")
        return done.stdout.decode("ascii", "replace").strip() or None if done.returncode == 0 else None

    def export(self, commit: Commit, names: Sequence[str], folder: Path) -> None:
        """Write what a commit has under these paths into a folder, which must be empty.

        Raises:
            GraphEngineError: it is more than a GiB, or git fails.
        """
        there = [name for name in names if self.tree(commit, name) is not None]
        folder.mkdir(parents=True, exist_ok=True)
        if not there:
            return
        done = _git(self.top, "archive", "--format=tar", commit.id, "--", *there)
        if done.returncode != 0 or len(done.stdout) > _LARGEST_TREE:
            reason = done.stderr.decode("utf-8", "replace").strip() or "it is larger than a GiB"
            raise GraphEngineError(f"cannot read commit {commit.id[:10]}: {reason}", hint="see git archive")
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")

    def _text(self, *args: str) -> str:
        done = _git(self.top, *args)
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def _git(folder: Path, *args: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", *_QUIETLY, *args],
            cwd=folder,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
        )
    except OSError as error:
        raise GraphEngineError(f"git cannot be run: {error.strerror}", hint="install git") from error
    except subprocess.TimeoutExpired as error:
        raise GraphEngineError(f"git took more than {_PATIENCE:.0f} seconds", hint="see git status") from error
