"""Which packs of `custom_nodes` may be imported: those that the project lists, as they were when it listed them.

Installed distributions are trusted by being installed. The digest of a custom pack covers more than its index
does: every file that Python, a shell or a browser may run, in hidden folders and tests as well.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from graphengine.errors import Problem, UntrustedPack
from graphengine.packs.discover import Pack
from graphengine.packs.project import Project, TrustPolicy, change_project
from graphengine.packs.records import Records, record_name

_SKIPPED = frozenset({".git", "__pycache__"})
_ENDINGS = (
    ".py", ".pyw", ".pyc", ".so", ".pyd", ".dll", ".dylib", ".exe", ".sh", ".bat", ".cmd", ".ps1",
    ".js", ".mjs", ".cjs", ".html", ".wasm",
)  # fmt: skip
_SHOWN = 5
_FILES = TypeAdapter(dict[str, str])


class Trust:
    """Answers whether a pack may be imported. `records` remember the files of packs that were trusted."""

    def __init__(self, policy: TrustPolicy, records: Records | None = None) -> None:
        self.policy = policy
        self._records = records or Records()
        self._answers: dict[Pack, UntrustedPack | None] = {}

    def refusal(self, pack: Pack) -> UntrustedPack | None:
        """Why a pack may not be imported, None when it may. Its files are read once; `require` reads them anew."""
        if pack not in self._answers:
            self._answers[pack] = self._refusal(pack)
        return self._answers[pack]

    def require(self, pack: Pack) -> None:
        """Check that a pack may be imported, as its files are now.

        Raises:
            UntrustedPack: it may not.
        """
        self._answers.pop(pack, None)
        refusal = self.refusal(pack)
        if refusal is not None:
            raise refusal

    def remember(self, pack: Pack) -> str:
        """The digest to list a pack with; what files it has now is kept, to name later those that changed.

        Raises:
            UntrustedPack: its files cannot be read.
        """
        files = pack_files(pack)
        digest = files_digest(files)
        self._records.write(_record(pack, digest), _FILES.dump_json(files))
        self._answers.pop(pack, None)
        return digest

    def _refusal(self, pack: Pack) -> UntrustedPack | None:
        policy = self.policy
        if pack.path is None or policy.everything or pack.name in policy.named:
            return None
        listed = policy.listed.get(pack.name)
        if listed is None:
            hint = f"look at it with: graphengine nodes check {shlex.quote(str(pack.path))}; to trust it: "
            told = f"pack {pack.name!r} is not trusted by this project, so its code is not run"
            return UntrustedPack(told, hint=hint + _command(pack, policy.file))
        try:
            files = pack_files(pack)
        except UntrustedPack as error:
            return error
        if policy.changed or files_digest(files) == listed:
            return None
        differences = self._differences(pack, files)
        return UntrustedPack(
            f"pack {pack.name!r} is not the code that this project trusts any more: {differences}",
            hint=f"look at the changes; to trust the pack as it is now: {_command(pack, policy.file)}",
        )

    def _differences(self, pack: Pack, files: Mapping[str, str]) -> str:
        content = self._records.read(_record(pack, self.policy.listed[pack.name]))
        try:
            before = None if content is None else _FILES.validate_json(content)
        except ValidationError:  # written by another version, or damaged: what changed is not known
            before = None
        if before is None:
            return "which files changed is not known on this machine"
        kinds = (
            ("changed", [name for name in files if before.get(name, files[name]) != files[name]]),
            ("new", [name for name in files if name not in before]),
            ("removed", [name for name in before if name not in files]),
        )
        return "; ".join(f"{kind} {_listed(names)}" for kind, names in kinds if names)


def trust_packs(project: Project, trust: Trust, packs: Iterable[Pack]) -> dict[str, str]:
    """List packs in the project file as they are now; gives their digests by name.

    Raises:
        UntrustedPack: the files of one cannot be read; nothing is written then.
        SettingsError: the project file cannot be changed.
    """
    digests = {pack.name: trust.remember(pack) for pack in packs}
    change_project(project, {name: {"trusted": digest} for name, digest in digests.items()})
    return digests


def trust_problem(refusal: UntrustedPack, class_type: str | None = None) -> Problem:
    """The refusal as a finding in a workflow."""
    return Problem("untrusted_pack", refusal.message, class_type=class_type, hint=refusal.hint)


def code_files(root: Path) -> Iterator[str]:
    """Paths of the files of a pack that something may run, sorted by folder; links to folders are not followed."""
    if root.is_file():
        yield str(root)
        return
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        # a link to a folder counts by where it leads
        yield from (os.path.join(folder, name) for name in folders if os.path.islink(os.path.join(folder, name)))
        yield from (os.path.join(folder, name) for name in sorted(files) if name.lower().endswith(_ENDINGS))


def pack_files(pack: Pack) -> dict[str, str]:
    """SHA-256 (hex) of each file of a pack that something may run, by path relative to the pack.

    Raises:
        UntrustedPack: one cannot be read.
    """
    root = pack.path or Path()
    base = root if root.is_dir() else root.parent
    try:
        return {Path(name).relative_to(base).as_posix(): _file_digest(name) for name in code_files(root)}
    except OSError as error:
        raise UntrustedPack(
            f"pack {pack.name!r} cannot be read: {error.filename}: {error.strerror}", hint="make it readable"
        ) from error


def _file_digest(name: str) -> str:
    if os.path.islink(name) and not os.path.isfile(name):
        return "link " + hashlib.sha256(os.fsencode(os.readlink(name))).hexdigest()
    with open(name, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(files: Mapping[str, str]) -> str:
    """The digest (`sha256:` and 64 hex digits) that a pack with these files is listed with."""
    text = json.dumps(sorted(files.items()), separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _record(pack: Pack, digest: str) -> str:
    return record_name(pack.path or Path(), f"trusted-{digest.partition(':')[2][:32]}")


def _listed(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def _command(pack: Pack, file: Path) -> str:
    """What to type to trust a pack from where the user is."""
    parts = ["graphengine", "nodes", "trust", pack.name]
    folder = file.absolute().parent
    if folder != Path.cwd():
        parts += ["--base-dir", str(folder)]
    if pack.path is not None and pack.path.absolute().parent != folder / "custom_nodes":
        parts += ["--custom-nodes", str(pack.path.absolute().parent)]
    return shlex.join(parts)
