"""What a user may set: folders, cache and device; read once, at the edge.

Folders left unset lie below the base folder, as in a ComfyUI installation: `input/`, `output/`, `models/`,
`custom_nodes/`, and what `extra_model_paths.yaml` there adds. Two are not there: kept outputs lie in the user's
cache folder, and temporary pictures in `temp/` of that folder, because the outputs that name them are kept beside.
"""

import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template
from typing import Any

from pydantic import ByteSize, TypeAdapter, ValidationError

from graphengine.cache.remote_place import RemotePlace, remote_place
from graphengine.errors import SettingsError
from graphengine.execution.numerics import AS_IMPORTED, Numerics, read_numerics
from graphengine.node.folders import Folders
from graphengine.packs.import_policy import ImportPolicy
from graphengine.packs.project import Project, TrustPolicy, read_project
from graphengine.provenance.history import HISTORY_FOLDER

#: Kinds of models that are looked for although their folder is not there yet, so that a hint can name the folder.
MODEL_KINDS = (
    "checkpoints",
    "clip_vision",
    "controlnet",
    "diffusion_models",
    "embeddings",
    "gligen",
    "hypernetworks",
    "loras",
    "model_patches",
    "style_models",
    "text_encoders",
    "tokenizers",
    "upscale_models",
    "vae",
    "vae_approx",
)
#: Former names of kinds: both folders are searched, under either name.
LEGACY_KINDS: Mapping[str, str] = {"clip": "text_encoders", "unet": "diffusion_models"}

DEFAULT_MEMORY_BYTES = 2 * 2**30
#: When it is set, to whatever, runs are not recorded in the project's history.
NO_RECORD_VARIABLE = "GRAPHENGINE_NO_RECORD"
EXTRA_MODEL_PATHS = "extra_model_paths.yaml"
_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one engine.

    `cache` is the folder of the disk store, None keeps outputs in memory only. `packs` is the folder in which it
    is kept what nodes packs have, None imports installed packs each time. `device` is a torch device string,
    None chooses the best one when the first node needs it. `memory_entries` is how many nodes' outputs are kept
    in memory, None as many as there is room for in `memory_bytes`; what a run still needs is not counted, and
    models count little. `remote` is a cache shared with other machines, behind the disk store. `numerics` is how
    torch computes. `trust` says which packs of `custom_nodes` may be imported, by default none; `project` is
    what `graphengine.toml` says of packs, `environments` the folder of the environments of isolated ones.
    `importing` is how packs are imported. `model_memory` is how many bytes loaded models may take on a device,
    None what the device allows. `history` is the folder of the project's history, None records no run there;
    with `strip_metadata` saved pictures carry neither the workflow nor the id of the run.
    """

    folders: Folders = field(default_factory=Folders)
    custom_nodes: tuple[Path, ...] = ()
    cache: Path | None = None
    packs: Path | None = None
    device: str | None = None
    memory_entries: int | None = None
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    remote: RemotePlace | None = None
    numerics: Numerics = AS_IMPORTED
    model_memory: int | None = None
    trust: TrustPolicy = field(default_factory=TrustPolicy)
    project: Project = field(default_factory=Project)
    environments: Path = Path("environments")
    importing: ImportPolicy = field(default_factory=ImportPolicy)
    history: Path | None = None
    strip_metadata: bool = False

    def trusting(self, packs: Iterable[str], *, changed: bool = False) -> "Settings":
        """The same with these custom packs trusted as they are now, `changed` with listed ones that changed."""
        return replace(self, trust=self.project.trust(packs, changed=changed))

    def importing_with(self, prestartup: Iterable[str], timeout: float | None) -> "Settings":
        """The same with the start scripts of these packs allowed, and so many seconds for each import."""
        return replace(self, importing=self.project.importing(prestartup, timeout))


def load_settings(
    *,
    base_dir: Path | None = None,
    input: Path | None = None,
    output: Path | None = None,
    models: Sequence[Path] = (),
    custom_nodes: Sequence[Path] = (),
    cache: Path | None = None,
    no_cache: bool = False,
    runs_nothing: bool = False,
    device: str | None = None,
    memory_entries: int | None = None,
    memory_budget: str | None = None,
    model_memory: str | None = None,
    fast: bool = False,
    extra_model_paths: Path | None = None,
    remote_cache: str | None = None,
    remote_readonly: bool = False,
    workflow: Path | None = None,
    environ: Mapping[str, str],
) -> Settings:
    """The settings that follow from what the user gave; folders left out lie below `base_dir` or the current one.

    `workflow` is the file to run: an `input/` folder beside it is searched after the user's. `environ` may hold
    `GRAPHENGINE_CACHE` and `GRAPHENGINE_REMOTE_CACHE`, the defaults of `cache` and `remote_cache`,
    `GRAPHENGINE_REMOTE_KEY`, `GRAPHENGINE_NO_RECORD`, and what `read_numerics` reads. With `no_cache` nothing is
    shared either; `runs_nothing` only opens no store. `extra_model_paths` is read in place of the base's file.
    Custom packs are trusted as `graphengine.toml` there lists them. Nothing is created.

    Raises:
        SettingsError: a folder, file, device, size, shared cache or variable that was named cannot be used.
    """
    project = read_project(base := _existing(base_dir, "base") if base_dir else Path.cwd())
    extra = _read_extra_model_paths(_existing_file(extra_model_paths) or base / EXTRA_MODEL_PATHS, environ)
    roots = [_existing(path, "models") for path in models] or [base / "models"]
    packs = [_existing(path, "custom nodes") for path in custom_nodes]
    cache_root = cache or _default_cache(environ)
    inputs = [_existing(input, "input") if input else base / "input", *_beside(workflow)]
    return Settings(
        folders=Folders(
            tuple(dict.fromkeys(inputs)),
            _not_a_file(output, "output") if output else base / "output",
            _absolute(cache_root) / "temp",
            _model_folders(roots, extra),
        ),
        custom_nodes=tuple(dict.fromkeys([*(packs or _if_there(base / "custom_nodes")), *extra.custom_nodes])),
        cache=None if no_cache or runs_nothing else _not_a_file(cache_root, "cache"),
        packs=None if no_cache else _absolute(cache_root) / "packs",
        device=_device(device),
        memory_entries=memory_entries,
        memory_bytes=DEFAULT_MEMORY_BYTES if memory_budget is None else _bytes(memory_budget, "memory budget"),
        remote=None if no_cache else _remote(remote_cache, environ, readonly=remote_readonly),
        numerics=read_numerics(environ, fast=fast),
        model_memory=None if model_memory is None else _bytes(model_memory, "model memory"),
        trust=project.trust(),
        project=project,
        importing=project.importing(),
        environments=_absolute(cache_root) / "environments",
        history=None if environ.get(NO_RECORD_VARIABLE) else base.absolute() / HISTORY_FOLDER,
    )


def _beside(workflow: Path | None) -> list[Path]:
    return [] if workflow is None else [_absolute(workflow).parent / "input"]


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise SettingsError(f"cannot tell the home folder in {str(path)!r}", hint="write the path out") from error


def _existing(path: Path, name: str) -> Path:
    absolute = _absolute(path)
    if not absolute.is_dir():
        state = "is a file" if absolute.exists() else "does not exist"
        raise SettingsError(f"the {name} folder {str(path)!r} {state}", hint="give the path of a folder")
    return absolute


def _existing_file(path: Path | None) -> Path | None:
    if path is None:
        return None
    absolute = _absolute(path)
    if not absolute.is_file():
        raise SettingsError(f"there is no file {str(path)!r}", hint="give the path of a YAML file")
    return absolute


def _not_a_file(path: Path, name: str) -> Path:
    absolute = _absolute(path)
    if absolute.exists() and not absolute.is_dir():
        raise SettingsError(f"the {name} folder {str(path)!r} is a file", hint="give the path of a folder")
    return absolute


def _if_there(path: Path) -> list[Path]:
    return [path] if path.is_dir() else []


def _default_cache(environ: Mapping[str, str]) -> Path:
    if named := environ.get("GRAPHENGINE_CACHE"):
        return Path(named)
    from platformdirs import user_cache_path  # costs 15 ms, and is not needed when the folder is named

    return user_cache_path("graphengine", appauthor=False)


def _remote(address: str | None, environ: Mapping[str, str], *, readonly: bool) -> RemotePlace | None:
    if address is None:
        address = environ.get("GRAPHENGINE_REMOTE_CACHE")
    if address:
        return remote_place(address, readonly=readonly, key=environ.get("GRAPHENGINE_REMOTE_KEY") or None)
    if readonly:
        raise SettingsError(
            "--remote-readonly needs a shared cache", hint="add --remote-cache, or set GRAPHENGINE_REMOTE_CACHE"
        )
    return None


def _bytes(text: str, name: str) -> int:
    """A size as people write it: "500MB", "4GiB", "1000000"."""
    try:
        size = int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError as error:
        raise SettingsError(f"the {name} {text!r} is no size", hint="write it as 500MB or 4GiB") from error
    if size < 0:
        raise SettingsError(f"the {name} {text!r} is less than nothing", hint="write it as 500MB or 4GiB")
    return size


def _device(name: str | None) -> str | None:
    if name is None or name == "auto":
        return None
    if not _DEVICE.fullmatch(name):
        raise SettingsError(f"unknown device {name!r}", hint="use auto, cpu, cuda, cuda:1, mps or xpu")
    return name


# Model folders


@dataclass(frozen=True, slots=True)
class _ExtraPaths:
    """What `extra_model_paths.yaml` adds: (kind, folder) pairs before and after the user's own; pack folders."""

    first: tuple[tuple[str, Path], ...] = ()
    last: tuple[tuple[str, Path], ...] = ()
    custom_nodes: tuple[Path, ...] = ()


def _model_folders(roots: Iterable[Path], extra: _ExtraPaths) -> dict[str, tuple[Path, ...]]:
    """Folders by kind in the order of the search; a former name of a kind stands for the same folders."""
    found: dict[str, dict[Path, None]] = {kind: {} for kind in MODEL_KINDS}
    own = (pair for root in roots for pair in _kinds_below(root))
    for name, folder in (*extra.first, *own, *extra.last):
        found.setdefault(LEGACY_KINDS.get(name, name), {})[folder] = None
    folders = {kind: tuple(paths) for kind, paths in found.items()}
    return folders | {old: folders[new] for old, new in LEGACY_KINDS.items()}


def _kinds_below(root: Path) -> Iterator[tuple[str, Path]]:
    """The folders of a models folder: those every user knows, then the others that are there."""
    known = (*MODEL_KINDS, *LEGACY_KINDS)
    yield from ((name, root / name) for name in known)
    if not root.is_dir():
        return
    try:
        present = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise SettingsError(
            f"cannot list the models folder {str(root)!r}: {error.strerror}", hint="make it readable"
        ) from error
    yield from ((name, root / name) for name in present if name not in known)


def _read_extra_model_paths(file: Path, environ: Mapping[str, str]) -> _ExtraPaths:
    """The folders that a ComfyUI installation adds to its own; nothing when there is no such file.

    A file is a mapping of sections; a section holds `base_path`, `is_default`, `custom_nodes` and kinds of models,
    each one path or several on lines of their own.
    """
    if not file.is_file():
        return _ExtraPaths()
    first: list[tuple[str, Path]] = []
    last: list[tuple[str, Path]] = []
    custom_nodes: list[Path] = []
    for section, entries in _sections(file):
        place = f"{file}: section {section!r}"
        base = _base_path(place, file.parent, entries.get("base_path"), environ)
        models = first if _is_default(place, entries.get("is_default")) else last
        for key, value in entries.items():
            if key in ("base_path", "is_default"):
                continue
            for line in _lines(f"{place}, key {key!r}", value):
                path = base / _expanded(f"{place}, key {key!r}", line, environ)
                if key == "custom_nodes":
                    custom_nodes.append(path)
                else:
                    models.append((key, path))
    return _ExtraPaths(tuple(first), tuple(last), tuple(custom_nodes))


# Any: the file comes from outside; what is read is checked as it is read.
def _sections(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import yaml  # costs 15 ms, and few users have such a file

    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{file} is no readable YAML: {reason}", hint="correct or remove the file") from error
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}", hint="make it readable") from error
    if document is not None and not isinstance(document, dict):
        raise _wrong(str(file), "sections with paths", document)
    for section, entries in (document or {}).items():
        if entries is None:
            continue
        if not isinstance(entries, dict) or not all(isinstance(key, str) for key in entries):
            raise _wrong(f"{file}: section {section!r}", "named paths", entries)
        yield str(section), entries


def _base_path(place: str, folder: Path, value: Any, environ: Mapping[str, str]) -> Path:
    if value is None:
        return folder
    if not isinstance(value, str):
        raise _wrong(f"{place}, key 'base_path'", "a path", value)
    return folder / _expanded(f"{place}, key 'base_path'", value, environ)


def _is_default(place: str, value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise _wrong(f"{place}, key 'is_default'", "true or false", value)
    return bool(value)


def _lines(place: str, value: Any) -> list[str]:
    """The paths of one key: lines of a text, or a list of texts."""
    texts = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise _wrong(place, "a path, or several on lines of their own", value)
    lines = (line.strip() for text in texts for line in text.splitlines())
    return [line for line in lines if line]


def _expanded(place: str, text: str, environ: Mapping[str, str]) -> Path:
    """The path with `~` and `$VARIABLE` or `${VARIABLE}` filled in; unknown variables stay as they are."""
    if "\0" in text:
        raise _wrong(place, "a path", text)
    path = Path(Template(text).safe_substitute(environ))
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise SettingsError(f"{place}: cannot tell the home folder in {text!r}", hint="write it out") from error


def _wrong(place: str, wanted: str, value: object) -> SettingsError:
    short = reprlib.Repr()
    short.maxlevel = 2
    return SettingsError(
        f"{place} must hold {wanted}, not {short.repr(value)}",
        hint=f"compare it with ComfyUI's {EXTRA_MODEL_PATHS}.example",
    )
