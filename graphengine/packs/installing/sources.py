"""Where a pack comes from: a repository, an id in an index file, an archive, or a folder."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graphengine.errors import InstallRefused, nearest
from graphengine.packs.installing.archives import is_archive

SourceKind = Literal["git", "archive", "folder"]

_GIT = re.compile(r"^(?:git\+)?((?:https?|ssh|git|file)://.+|[\w.-]+@[\w.-]+:.+)$")
_ID = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99})(?:@([A-Za-z0-9][A-Za-z0-9._+-]{0,99}))?$")
_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}$")
_REF = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}$")
_ENDING = re.compile(r"\.(zip|tar|tgz|tar\.(gz|bz2|xz|zst)|git)$", re.IGNORECASE)
#: What code hosts append to the name of a repository in the archives that they make.
_BRANCH = re.compile(r"-(main|master|develop|[0-9a-f]{7,40}|v?\d+(\.\d+)+)$")
_LARGEST_INDEX = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Source:
    """What the user asked for: `place` is an address or a path, `ref` a commit, branch or tag.

    `sha256` is the digest (hex) that an index gives for an archive. `asked` is the text as the user gave it.
    """

    kind: SourceKind
    place: str
    name: str
    asked: str
    ref: str | None = None
    sha256: str | None = None


class _Release(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    source: str
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")


class _IndexEntry(_Release):
    latest: str | None = None
    versions: dict[str, _Release] = Field(default_factory=dict)


class _Index(BaseModel):
    """`{"packs": {"an-id": {"source": …, "sha256": …, "latest": "1.2", "versions": {"1.2": {"source": …}}}}}`."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    packs: dict[str, _IndexEntry]


def parse_source(
    text: str, *, index: Path | None = None, mirrors: Iterable[str] = (), name: str | None = None
) -> Source:
    """What a text means: a path that is there, an address of a repository, or an id of the index file.

    `mirrors` are `OLD=NEW`: addresses that begin with OLD begin with NEW instead. `name` is the folder's name that
    the pack shall have.

    Raises:
        InstallRefused: it is none of these, or not in the index.
    """
    source = _local(text) or _repository(text)
    if source is None:
        source = _from_index(text, index)
    source = mirrored(source, mirrors)
    chosen = name or source.name
    if not _NAME.fullmatch(chosen) or chosen.startswith("__") or chosen.endswith((".disabled", ".py", ".")):
        raise InstallRefused(f"{chosen!r} is no name for the folder of a pack", hint="give one with --name")
    return Source(source.kind, source.place, chosen, text, source.ref, source.sha256)


def mirrored(source: Source, mirrors: Iterable[str]) -> Source:
    """The source with its address on a mirror.

    Raises:
        InstallRefused: a mirror is not written as OLD=NEW.
    """
    for mirror in mirrors:
        old, separator, new = mirror.partition("=")
        if not separator or not old or not new:
            raise InstallRefused(f"the mirror {mirror!r} is not written as OLD=NEW")
        if source.kind == "git" and source.place.startswith(old):
            place = new + source.place[len(old) :]
            return Source(source.kind, place, source.name, source.asked, source.ref, source.sha256)
    return source


def pack_name(text: str) -> str:
    """The name of a pack from the last part of its address or path: `ComfyUI-Foo-main.zip` is "ComfyUI-Foo"."""
    last = re.split(r"[/\\:]", text.rstrip("/\\"))[-1]
    return _BRANCH.sub("", _ENDING.sub("", last))


def _local(text: str, base: Path | None = None) -> Source | None:
    path = Path(text).expanduser() if base is None else base / text
    if (path / "HEAD").is_file() and (path / "objects").is_dir():  # a repository without files of its own
        return Source("git", str(path.absolute()), pack_name(path.name), text)
    if path.is_dir():
        return Source("folder", str(path.absolute()), pack_name(path.absolute().name), text)
    if path.is_file():
        if path.suffix == ".py":
            raise InstallRefused(
                f"{text} is a single file", hint="copy it into custom_nodes, then run: graphengine nodes sync"
            )
        return Source("archive", str(path.absolute()), pack_name(path.name), text)
    if "://" not in text and (is_archive(Path(text)) or text.startswith((".", "/", "~"))):
        raise InstallRefused(f"there is no file or folder {text!r}", hint="check the path")
    return None


def _repository(text: str) -> Source | None:
    found = _GIT.match(text)
    if found is None:
        return None
    address = found[1]
    if "://" in address:
        scheme, _, rest = address.partition("://")
        host, slash, path = rest.partition("/")
        path, at, ref = path.rpartition("@") if "@" in path else (path, "", "")
        address = f"{scheme}://{host}{slash}{path}"
    else:
        host, _, path = address.partition(":")
        path, at, ref = path.rpartition("@") if "@" in path else (path, "", "")
        address = f"{host}:{path}"
    if at and not _REF.fullmatch(ref):
        raise InstallRefused(f"{ref!r} is no commit, branch or tag", hint="write it as ADDRESS@COMMIT")
    if _ENDING.search(address) and not address.lower().endswith(".git"):
        raise InstallRefused(
            f"{text} is an archive on another machine", hint="download it, check it, and give the file"
        )
    return Source("git", address, pack_name(address), text, ref or None)


def _from_index(text: str, index: Path | None) -> Source:
    found = _ID.match(text)
    if found is None:
        raise InstallRefused(
            f"{text!r} is no address of a repository, file, folder or id",
            hint="give https://host/owner/name, a zip or tar file, a folder, or an id with --index FILE",
        )
    if index is None:
        raise InstallRefused(
            f"{text!r} may be an id, but there is no index to look it up in",
            hint="give --index FILE, or the address of the repository",
        )
    packs = _read_index(index)
    by_id = {_canonical(known): known for known in packs}
    known = by_id.get(_canonical(found[1]))
    if known is None:
        near = nearest(found[1], packs)
        raise InstallRefused(
            f"{found[1]!r} is not in {index}", hint=f"did you mean {near!r}?" if near else "check the id"
        )
    return _release(text, known, packs[known], found[2], index)


def _release(text: str, id_: str, entry: _IndexEntry, version: str | None, index: Path) -> Source:
    wanted = version or entry.latest
    release: _Release | None = entry.versions.get(wanted) if wanted else entry
    if release is None and version is None:
        release = entry
    if release is None:
        known = ", ".join(sorted(entry.versions)) or "none"
        raise InstallRefused(f"{id_!r} has no version {version!r} in {index}", hint=f"it has: {known}")
    source = _local(release.source, index.absolute().parent) or _repository(release.source)
    if source is None:
        raise InstallRefused(f"{index}: the source {release.source!r} of {id_!r} is neither a path nor an address")
    name = id_ if source.kind == "archive" else source.name
    return Source(source.kind, source.place, name, text, source.ref, release.sha256 and release.sha256.lower())


def _read_index(index: Path) -> Mapping[str, _IndexEntry]:
    try:
        if index.stat().st_size > _LARGEST_INDEX:
            raise InstallRefused(f"{index} is larger than {_LARGEST_INDEX / 2**20:.0f} MiB")
        return _Index.model_validate(json.loads(index.read_text(encoding="utf-8"))).packs
    except OSError as error:
        raise InstallRefused(f"cannot read {index}: {error.strerror}", hint="check the path of --index") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InstallRefused(f"{index} is no index of packs: {place}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise InstallRefused(f"{index} is no index of packs: {error}", hint="it must be JSON") from error


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
