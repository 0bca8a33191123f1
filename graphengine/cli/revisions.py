"""What a command line compares: files, and files as commits of git have them."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from graphengine.errors import GraphEngineError, SettingsError, WorkflowFormatError
from graphengine.workflow.formats import FORMATS_OF_FILES, Document, read_document
from graphengine.workflow.json_input import too_large

_LARGEST = 256 * 2**20  # bytes of a file in a commit; it may be a picture or a video


@dataclass(frozen=True, slots=True)
class Side:
    """A workflow, how it is called, and the file it is or was in; `document` is None where there is none."""

    label: str
    document: Document | None
    file: Path


@dataclass(frozen=True, slots=True)
class Pair:
    """Two workflows to compare."""

    old: Side
    new: Side


def find_pairs(args: Sequence[str]) -> list[Pair]:
    """What `A B`, `FILE`, `REV`, `REV:FILE`, `REV..REV` or `REV..REV FILE` name.

    Raises:
        SettingsError: they name nothing.
        WorkflowFormatError: a file cannot be read.
    """
    match list(args):
        case [one] if Path(one).is_file():
            return [Pair(_committed("HEAD", one), _worktree(one))]
        case [one]:
            return _by_revision(one, None)
        case [revisions, file] if ".." in revisions and not Path(revisions).exists():
            return _by_revision(revisions, file)
        case [old, new]:
            return [Pair(_side(old), _side(new))]
        case _:
            raise SettingsError("give two workflows, or one revision", hint="graphengine diff old.json new.json")


def _by_revision(text: str, file: str | None) -> list[Pair]:
    if ":" in text and ".." not in text.partition(":")[0]:
        revision, _, name = text.partition(":")
        return [Pair(_committed(revision, name), _worktree(name))]
    before, dots, after = text.partition("..")
    after = after.removeprefix(".") or ("HEAD" if dots else "")
    before = before or "HEAD"
    for revision in filter(None, (before, after)):
        _check(revision)
    names = [file] if file is not None else _changed(before, after)
    return [
        Pair(_committed(before, name), _committed(after, name) if after else _worktree(name)) for name in names
    ]


def _side(text: str) -> Side:
    if not Path(text).exists() and ":" in text:
        revision, _, name = text.partition(":")
        return _committed(revision, name, needed=True)
    return _read(text)


def _read(name: str) -> Side:
    return Side(name, read_document(Path(name), FORMATS_OF_FILES), Path(name))


def _worktree(name: str) -> Side:
    return _read(name) if Path(name).exists() else Side(name, None, Path(name))


def _committed(revision: str, name: str, *, needed: bool = False) -> Side:
    """The file as a commit has it, its name as from the current folder, or as from the top of the repository."""
    _check(revision)
    label = f"{revision}:{name}"
    local = PurePosixPath(name).as_posix()
    for path in (f"./{local}", local) if not PurePosixPath(name).is_absolute() else (_in_repository(Path(name)),):
        size = _git("cat-file", "-s", f"{revision}:{path}")
        if size.returncode:
            continue
        if int(size.stdout) > _LARGEST:
            raise WorkflowFormatError(f"{label}: {too_large(int(size.stdout), _LARGEST).message}")
        done = _git("cat-file", "blob", f"{revision}:{path}")
        if done.returncode == 0:
            try:
                return Side(label, read_document(done.stdout, FORMATS_OF_FILES), Path(name))
            except WorkflowFormatError as error:
                raise WorkflowFormatError(f"{label}: {error.message}", hint=error.hint) from error
    if needed:
        raise SettingsError(f"{label}: that revision has no such file", hint="see git ls-tree -r REV --name-only")
    return Side(label, None, Path(name))


def _in_repository(file: Path) -> str:
    top = Path(_git("rev-parse", "--show-toplevel").stdout.decode().strip() or "/").resolve()
    try:
        return file.resolve().relative_to(top).as_posix()
    except ValueError:
        raise SettingsError(f"{file} is in another repository", hint="name a file of this one") from None


def _check(revision: str) -> None:
    if revision.startswith("-"):
        raise SettingsError(f"{revision!r} is no revision", hint="name a commit, a branch or a tag")
    done = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if done.returncode:
        raise SettingsError(
            f"{revision!r} is no file and no revision of a git repository",
            hint="name a file that is there, a commit, a branch or a tag; a shallow clone may lack the commit",
        )


def _changed(before: str, after: str) -> list[str]:
    """The JSON files that differ, as from the current folder."""
    revisions = [before, after] if after else [before]
    done = _git("diff", "--name-only", "-z", "--no-renames", "--relative", *revisions, "--", "*.json")
    names = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    return [name for name in names if name and not name.endswith(".layout.json")]


def _git(*args: str) -> subprocess.CompletedProcess[bytes]:
    """Run git and give what it says.

    Raises:
        GraphEngineError: there is no git.
    """
    try:
        return subprocess.run(["git", *args], capture_output=True, check=False)
    except OSError as error:
        raise GraphEngineError(f"git cannot be run: {error.strerror}", hint="install git") from error
