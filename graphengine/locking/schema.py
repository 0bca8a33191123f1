"""What a lock says: the facts that a run of a project depends on, as they were when it was locked.

The file is TOML. Tables and arrays are sorted and every fact has a line of its own, so two branches that lock
different things merge, and a conflict is one fact. Nothing in it is secret: digests, versions, addresses without
credentials. What it says comes from strangers as much as from us, so names are checked before they become paths.
"""

from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from graphengine.provenance.lock_digest import LOCK_FILE, digest_of_lock

__all__ = ["LOCK_FILE", "LOCK_VERSION", "Lock", "digest_of_lock"]

#: Raised when older versions cannot read what is written.
LOCK_VERSION = 1


def _below(name: str) -> str:
    """A name that stays below its folder, on every system."""
    posix = PurePosixPath(name)
    windows = PureWindowsPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in posix.parts or "\\" in name:
        raise ValueError(f"{name!r} leads out of its folder")
    if not posix.parts or not name.isprintable() or str(posix) != name:
        raise ValueError(f"{name!r} is no name of a file")
    return name


def _no_hidden(name: str) -> str:
    """A name that a pack in `custom_nodes` can have; others are not looked for, or are our own folder."""
    if name.startswith((".", "__")) or name.endswith((".", ".disabled")):
        raise ValueError(f"{name!r} is no name of a pack")
    return name


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: Of a file of a pack; of a link that leads to no file, of where it leads.
FileDigest = Annotated[str, Field(pattern=r"^(link )?[0-9a-f]{64}$")]
#: A path below the project's folder, or below a folder of models, with `/`.
Name = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_below)]
Kind = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
PackName = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]{1,200}$"), AfterValidator(_no_hidden)]
PackageName = Annotated[str, Field(pattern=r"^[a-z0-9](-?[a-z0-9])*$", max_length=200)]
Short = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Version = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
Address = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x20\x7f-][^\x00-\x1f\x7f]*$")]


class _Facts(BaseModel):
    """Facts are only what the lock knows: a key that is none is an error, not lost when it is written anew."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LockedEngine(_Facts):
    """What computes: versions, the kind of device as keys have it ("cpu", "cuda"), system and processor."""

    graphengine: Short
    python: Version
    torch: Version | None = None
    device: Short
    platform: Short


class LockedWorkflow(_Facts):
    """A workflow and what it uses.

    `sha256` is of its canonical API document without titles, None where a node type was not known; `drawn` of
    the editor's canonical document without its layout, where that is what counts. `models` are "kind/name".
    """

    sha256: Sha256 | None = None
    drawn: Sha256 | None = None
    packs: list[PackName] = Field(default_factory=list)
    installed_packs: list[PackName] = Field(default_factory=list)
    models: list[Name] = Field(default_factory=list)


class LockedPack(_Facts):
    """A pack of `custom_nodes`.

    `content` is the digest that trust goes by, `files` the SHA-256 of what it covers. `kind` is how it came:
    "git" with address and commit, "archive" or "folder", or "local" when it was put there by hand.
    """

    kind: Literal["git", "archive", "folder", "local"]
    source: Address | None = None
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")] | None = None
    version: Short | None = None
    content: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    files: dict[str, FileDigest] = Field(default_factory=dict)


class LockedInstalledPack(_Facts):
    """A pack that an installed distribution brings; `code` is a hash of its source (16 hex digits)."""

    package: PackageName | None = None
    version: Version | None = None
    code: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None


class LockedPackage(_Facts):
    """A Python package.

    `sha256` are the files of the release that it may come from, as the index tells; empty when it was not asked
    or does not know it. `installed` is a hash of what the wheel put there, by which it is told from another build
    of the version; None for one that is installed in place.
    """

    version: Version
    sha256: list[Sha256] = Field(default_factory=list)
    installed: Sha256 | None = None


class LockedModel(_Facts):
    """A model file: size in bytes, digest, and where it is known to be had."""

    size: Annotated[int, Field(ge=0)]
    sha256: Sha256
    urls: list[Address] = Field(default_factory=list)


class End(_Facts):
    """The last table: a lock without it was cut off."""

    complete: Literal[True]


class Lock(_Facts):
    """All that is locked. Workflows, packs and packages are by name, models by kind and name."""

    version: Literal[1]
    engine: LockedEngine
    numerics: dict[Short, Short] = Field(default_factory=dict)
    workflows: dict[Name, LockedWorkflow] = Field(default_factory=dict)
    packs: dict[PackName, LockedPack] = Field(default_factory=dict)
    installed_packs: dict[PackName, LockedInstalledPack] = Field(default_factory=dict)
    packages: dict[PackageName, LockedPackage] = Field(default_factory=dict)
    models: dict[Kind, dict[Name, LockedModel]] = Field(default_factory=dict)
    end: End = End(complete=True)

    def model(self, place: str) -> LockedModel | None:
        """The model at "kind/name"."""
        kind, _, name = place.partition("/")
        return self.models.get(kind, {}).get(name)

    def places(self) -> list[str]:
        """Every model as "kind/name"."""
        return [f"{kind}/{name}" for kind, named in self.models.items() for name in named]
