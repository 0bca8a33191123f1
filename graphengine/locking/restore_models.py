"""Bringing models that a lock names: from folders that hold them, whatever their names there, or from the web."""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from graphengine.cache.hashing import FileMemo
from graphengine.errors import FileRefused, Problem
from graphengine.locking.addresses import may_download
from graphengine.locking.downloading import Progress, download, put
from graphengine.locking.models import digest_of_model
from graphengine.locking.schema import Lock, LockedModel
from graphengine.node.folders import Folders


@dataclass(frozen=True, slots=True)
class ModelStep:
    """A model that is missing: "kind/name", where it goes, and the file or the addresses that it comes from."""

    place: str
    target: Path
    model: LockedModel
    found: Path | None = None
    urls: tuple[str, ...] = ()


def plan_models(
    lock: Lock, folders: Folders, models: Path, sources: Iterable[Path], memo: FileMemo | None
) -> tuple[list[ModelStep], list[Problem]]:
    """What to bring, and why some cannot be. Kinds without a folder go below `models`; `sources` are searched."""
    missing: dict[str, Path] = {}
    problems: list[Problem] = []
    for place in lock.places():
        model = lock.model(place)
        kind, _, name = place.partition("/")
        present = folders.find(kind, name)
        if model is None:
            continue
        if present is None:
            root = next(iter(folders.roots(kind)), models / kind)
            missing[place] = root / name
        elif (problem := _other(place, present, model, memo)) is not None:
            problems.append(problem)
    own = [root for roots in folders.models.values() for root in roots]
    wanted = {place: model for place in missing if (model := lock.model(place)) is not None}
    found = find_files(wanted.values(), [*sources, *own] if missing else [], memo)
    steps = []
    for place, target in missing.items():
        model = wanted[place]
        urls = tuple(url for url in model.urls if may_download(url))
        source = found.get(model.sha256)
        if os.path.lexists(target):
            told = f"model {place}: {target} is there and is no file"
            problems.append(Problem("not_restorable", told, hint="look at it, and move it away"))
        elif source is None and not urls:
            told = f"model {place} ({model.size:,} bytes) is in none of the folders, and no address is known"
            hint = "give a folder that has it with --models, or write urls = [...] into its table of the lock"
            problems.append(Problem("not_restorable", told, hint=hint))
        else:
            steps.append(ModelStep(place, target, model, source, urls))
    return steps, [*problems, *_room(steps)]


def _other(place: str, present: Path, model: LockedModel, memo: FileMemo | None) -> Problem | None:
    try:
        same = present.stat().st_size == model.size and digest_of_model(present, memo) == model.sha256
    except (FileRefused, OSError) as error:
        return Problem("not_restorable", f"model {place}: {error}", hint="make it readable")
    if same:
        return None
    told = f"model {place}: {present} is another file than the locked one, and is not overwritten"
    return Problem("not_restorable", told, hint="rename it or move it away, then restore again")


def find_files(models: Iterable[LockedModel], folders: Iterable[Path], memo: FileMemo | None) -> dict[str, Path]:
    """Where files of these hashes are below folders, by SHA-256. Only files of a fitting size are read."""
    sizes: dict[int, set[str]] = {}
    for model in models:
        sizes.setdefault(model.size, set()).add(model.sha256)
    found: dict[str, Path] = {}
    for folder in dict.fromkeys(folders):
        for here, inner, names in os.walk(folder):
            inner.sort()
            for name in sorted(names):
                _look_at(Path(here, name), sizes, found, memo)
    return found


def _look_at(path: Path, sizes: Mapping[int, set[str]], found: dict[str, Path], memo: FileMemo | None) -> None:
    try:
        wanted = sizes.get(path.stat().st_size, set())
        if path.is_file() and not wanted <= found.keys():
            digest = digest_of_model(path, memo)
            if digest in wanted:
                found.setdefault(digest, path)
    except (FileRefused, OSError):  # one that cannot be read is none that can be taken
        return


def _room(steps: Iterable[ModelStep]) -> list[Problem]:
    """Whether there is room for what is fetched; files of the same file system are linked."""
    needed: dict[Path, int] = {}
    for step in steps:
        folder = next(path for path in step.target.parents if path.exists())
        if step.found is None:
            needed[folder] = needed.get(folder, 0) + step.model.size
    return [
        Problem(
            "not_restorable",
            f"{folder} has {free:,} bytes of room, the models that go there have {size:,}",
            hint="make room, or restore with another folder of models",
        )
        for folder, size in needed.items()
        if (free := shutil.disk_usage(folder).free) < size
    ]


def bring_model(step: ModelStep, progress: Progress) -> Problem | None:
    """Link, copy or fetch a model; why it could not be, else None. Nothing is overwritten."""
    try:
        if step.found is not None:
            _link_or_copy(step.found, step.target, step.model)
            return None
        reasons = []
        for address in step.urls:
            try:
                download(address, step.target, step.model, progress)
            except FileRefused as error:
                reasons.append(error)
                continue
            return None
    except (FileRefused, OSError) as error:
        hint = error.hint if isinstance(error, FileRefused) else "check the disk and the permissions of the folder"
        return Problem("not_restorable", f"model {step.place}: {error}", hint=hint)
    told = "; ".join(error.message for error in reasons)
    return Problem("not_restorable", f"model {step.place}: {told}", hint=reasons[-1].hint if reasons else None)


def _link_or_copy(source: Path, target: Path, model: LockedModel) -> None:
    """A hard link where both are on one file system, else a copy whose hash is checked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
        return
    except FileExistsError as error:
        raise FileRefused(f"{target} is there by now", hint="nothing was overwritten; look at it") from error
    except OSError:  # another file system, or one without links
        part = target.parent / f".{os.urandom(8).hex()}.part"
    try:
        shutil.copyfile(source, part)
        if digest_of_model(part, None) != model.sha256:
            raise FileRefused(f"{source} changed while it was copied", hint="try again")
        put(part, target)
    finally:
        part.unlink(missing_ok=True)
