"""What a lock says of model files: size, hash, and where they are known to be had."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from graphengine.cache.hashing import FileMemo, fingerprint_file
from graphengine.errors import FileRefused, Problem
from graphengine.locking.addresses import may_download
from graphengine.locking.schema import Lock, LockedModel
from graphengine.node.folders import Folders
from graphengine.node.secrets import without_credentials
from graphengine.workflow.ui_sources import ModelSource, file_name


def locked_model(path: Path, memo: FileMemo | None, source: ModelSource | None = None) -> LockedModel:
    """A model file as it is now; the memo spares reading it again. `source` is what a document says of it.

    Raises:
        FileRefused: it cannot be read.
    """
    digest = digest_of_model(path, memo)
    return LockedModel(size=path.stat().st_size, sha256=digest, urls=_urls(digest, source))


def digest_of_model(path: Path, memo: FileMemo | None) -> str:
    """SHA-256 (hex) of a file.

    Raises:
        FileRefused: it cannot be read.
    """
    return fingerprint_file(path, memo).removeprefix("sha256:")


def _urls(digest: str, source: ModelSource | None) -> list[str]:
    """The address that a document gives, unless it says that another file is there."""
    if source is None or source.url is None or not may_download(source.url):
        return []
    kind, _, told = (source.hash or "").rpartition(":")
    if told and kind.lower() in ("", "sha256") and len(told) == 64 and told.lower() != digest:
        return []
    return [without_credentials(source.url)]


def with_known_urls(models: dict[str, dict[str, LockedModel]], before: Lock | None) -> None:
    """Add the addresses that the lock had for the same files, those written by hand too."""
    known: dict[str, list[str]] = {}
    for named in (before.models if before is not None else {}).values():
        for model in named.values():
            known.setdefault(model.sha256, []).extend(model.urls)
    for named in models.values():
        for name, model in named.items():
            urls = sorted({*model.urls, *known.get(model.sha256, ())})
            named[name] = model.model_copy(update={"urls": urls})


def source_of(place: str, sources: Mapping[str, ModelSource]) -> ModelSource | None:
    """What a document says of the model at "kind/name"."""
    return sources.get(file_name(place))


def model_differences(lock: Lock, places: Iterable[str], folders: Folders, memo: FileMemo | None) -> list[Problem]:
    """How these models ("kind/name") differ from what is locked. Files are read unless the memo knows them."""
    found = []
    for place in sorted(set(places)):
        locked = lock.model(place)
        if locked is None:
            told = f"model {place} is used and not in the lock"
            found.append(Problem("locked_model", told, hint="take it in: graphengine lock"))
            continue
        try:
            problem = _difference(place, locked, folders, memo)
        except (FileRefused, OSError) as error:
            problem = Problem("locked_model", f"model {place}: {error}", hint="make it readable")
        if problem is not None:
            found.append(problem)
    return found


def _difference(place: str, locked: LockedModel, folders: Folders, memo: FileMemo | None) -> Problem | None:
    kind, _, name = place.partition("/")
    path = folders.find(kind, name)
    if path is None:
        others = ", ".join(f"{kind}/{other}" for other in _same_files(kind, locked, folders, memo))
        told = f"; that file is there as {others}" if others else ""
        hint = "rename it back, or: graphengine restore" if others else "graphengine restore brings it"
        return Problem("locked_model", f"model {place} is not there{told}", hint=hint)
    size = path.stat().st_size
    hint = "put the locked file back (graphengine restore tells how), or take this one in: graphengine lock"
    if size != locked.size:
        told = f"model {place} has {size:,} bytes, locked are {locked.size:,}"
        return Problem("locked_model", told, hint=hint)
    digest = digest_of_model(path, memo)
    if digest != locked.sha256:
        told = f"model {place} has the SHA-256 {digest[:16]}…, locked is {locked.sha256[:16]}…"
        return Problem("locked_model", told, hint=hint)
    return None


def _same_files(kind: str, locked: LockedModel, folders: Folders, memo: FileMemo | None) -> Iterator[str]:
    """The names of the models of the kind that are the locked file."""
    for name in folders.files(kind):
        path = folders.find(kind, name)
        if (
            path is not None
            and path.stat().st_size == locked.size
            and digest_of_model(path, memo) == locked.sha256
        ):
            yield name
