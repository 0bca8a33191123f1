"""Bringing the files of a pack into a staged folder."""

import os
import shutil
from hashlib import file_digest
from pathlib import Path

from graphengine.errors import InstallRefused
from graphengine.packs.installing.archives import Limits, check_links, unpack
from graphengine.packs.installing.processes import run_program
from graphengine.packs.installing.sources import Source

#: git asks nobody for passwords, runs no hooks, and speaks no protocol that starts programs.
_GIT = (
    "git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.ext.allow=never",
    "-c", "advice.detachedHead=false", "-c", "init.defaultBranch=main",
)  # fmt: skip
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}
_NOT_COPIED = frozenset({".git", "__pycache__", ".venv", "venv", "node_modules", ".graphengine"})
_MINUTES = 60.0


def fetch(source: Source, folder: Path, limits: Limits) -> str | None:
    """Bring the files of a source into a new folder; the commit, where there is one.

    Raises:
        InstallRefused: it cannot be reached, is damaged, too large, or names places outside.
    """
    commit: str | None = None
    if source.kind == "git":
        commit = _clone(source, folder)
    elif source.kind == "archive":
        _unpack(source, folder, limits)
    else:
        commit = _copy(source, folder)
    _check_size(source, folder, limits)
    check_links(folder, source.asked)
    return commit


def newest_commit(address: str, ref: str | None) -> str | None:
    """The commit that a branch or tag of a repository has now, or its default branch; None when it has none such.

    Raises:
        InstallRefused: the repository cannot be reached.
    """
    names = [ref, f"{ref}^{{}}"] if ref else ["HEAD"]
    done = run_program([*_GIT, "ls-remote", "--", address, *names], environ=_QUIET, timeout=2 * _MINUTES)
    if done.code:
        raise InstallRefused(f"{address} cannot be reached: {done.reason()}", hint="check address and network")
    lines = [line.split() for line in done.output.splitlines()]
    peeled = [commit for commit, name in lines if name.endswith("^{}")]
    found = peeled or [commit for commit, _ in lines]
    return found[0] if found else None


def checked_out(folder: Path) -> tuple[str | None, str | None]:
    """The address that a checkout was cloned from, and its commit; None where there is none.

    A checkout in which a file was changed has no commit.

    Raises:
        InstallRefused: there is no git, or it does not end.
    """
    words = ("config", "--get", "remote.origin.url"), ("rev-parse", "--verify", "--quiet", "HEAD")
    told = [run_program([*_GIT, "-C", folder, *each], environ=_QUIET, timeout=_MINUTES) for each in words]
    address, commit = (done.output.strip() or None if done.code == 0 else None for done in told)
    state = run_program(
        [*_GIT, "-C", folder, "status", "--porcelain", "--untracked-files=no"], environ=_QUIET, timeout=_MINUTES
    )
    return address, None if state.code or state.output.strip() else commit


def _clone(source: Source, folder: Path) -> str:
    ref = source.ref or "HEAD"
    _git(source, "init", "--quiet", "--template=", str(folder))
    fetched = run_program(
        [*_GIT, "-C", folder, "fetch", "--quiet", "--depth=1", "--no-tags", "--", source.place, ref],
        environ=_QUIET,
        timeout=30 * _MINUTES,
    )
    wanted = "FETCH_HEAD"
    if fetched.code and source.ref:  # a short commit, or a host that gives no single commits: fetch all
        _git(
            source, "-C", str(folder), "fetch", "--quiet", "--tags", "--", source.place, "+refs/heads/*:refs/all/*"
        )
        wanted = source.ref
    elif fetched.code:
        raise _unreachable(source, fetched.reason())
    commit = _git(source, "-C", str(folder), "rev-parse", "--verify", "--end-of-options", f"{wanted}^{{commit}}")
    _git(source, "-C", str(folder), "checkout", "--quiet", "--detach", commit)
    shutil.rmtree(folder / ".git")
    return commit


def _git(source: Source, *words: str) -> str:
    done = run_program([*_GIT, *words], environ=_QUIET, timeout=30 * _MINUTES)
    if done.code:
        raise _unreachable(source, done.reason())
    return done.output.strip()


def _unreachable(source: Source, reason: str) -> InstallRefused:
    place = f"{source.place}@{source.ref}" if source.ref else source.place
    return InstallRefused(
        f"{place} cannot be fetched:\n{reason}",
        hint="check address, commit and network; --git-mirror OLD=NEW names a mirror; zip files and folders work",
    )


def _unpack(source: Source, folder: Path, limits: Limits) -> None:
    archive = Path(source.place)
    if source.sha256 is not None:
        with archive.open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
        if found != source.sha256:
            raise InstallRefused(
                f"{archive} has the SHA-256 {found}, its index says {source.sha256}",
                hint="it is damaged or another file: get it again",
            )
    unpacked = folder.with_name(f"{folder.name}.unpacked")
    unpack(archive, unpacked, limits)
    content = list(unpacked.iterdir())
    if len(content) == 1 and content[0].is_dir() and not content[0].is_symlink():
        content[0].rename(folder)
        unpacked.rmdir()
    else:
        unpacked.rename(folder)


def _copy(source: Source, folder: Path) -> str | None:
    place = Path(source.place)
    commit = _commit_of(place)
    try:
        shutil.copytree(
            place,
            folder,
            symlinks=True,
            ignore=lambda _, names: [name for name in names if name in _NOT_COPIED],
        )
    except (OSError, shutil.Error) as error:
        raise InstallRefused(
            f"{place} cannot be copied: {error}", hint="check that its files can be read"
        ) from error
    return commit


def _commit_of(folder: Path) -> str | None:
    """The commit that a checkout has, when it has one and nothing is changed in it."""
    if not (folder / ".git").exists():
        return None
    state = run_program([*_GIT, "-C", folder, "status", "--porcelain"], environ=_QUIET, timeout=_MINUTES)
    head = run_program([*_GIT, "-C", folder, "rev-parse", "HEAD"], environ=_QUIET, timeout=_MINUTES)
    return head.output.strip() if state.code == head.code == 0 and not state.output.strip() else None


def _check_size(source: Source, folder: Path, limits: Limits) -> None:
    count = size = 0
    for here, _, files in os.walk(folder):
        count += len(files)
        size += sum(os.lstat(os.path.join(here, file)).st_size for file in files)
    if count > limits.files or size > limits.bytes:
        raise InstallRefused(
            f"{source.asked} has {count:,} files and {size / 2**20:,.0f} MiB; the limits are {limits.files:,} and "
            f"{limits.bytes / 2**20:,.0f} MiB",
            hint="raise them with --max-files and --max-size if you trust it",
        )
