"""Where node packs are: installed distributions that announce them, and the folders the user named."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

#: Entry point group in which an installed distribution announces a module with node classes.
ENTRY_POINTS = "graphengine.nodes"


@dataclass(frozen=True, slots=True)
class Pack:
    """A node pack that can be loaded. `path` is None for an installed module, else its folder or file."""

    name: str
    module: str
    path: Path | None = None


def installed_packs() -> list[Pack]:
    """The packs that installed distributions announce, the built-in ones among them, by name."""
    found = {Pack(point.name, point.value) for point in entry_points(group=ENTRY_POINTS)}
    return sorted(found, key=_name)  # what an interrupted pip left behind announces the same once more


def custom_packs(folders: Iterable[Path]) -> list[Pack]:
    """The packs in `custom_nodes` folders: packages and single files; disabled and hidden ones are left out."""
    packs = [pack for folder in folders if folder.is_dir() for pack in sorted(_in_folder(folder), key=_name)]
    used: Counter[str] = Counter()
    for index, pack in enumerate(packs):
        used[pack.module] += 1
        if used[pack.module] > 1:  # "a-b" beside "a_b", or one pack in two folders
            packs[index] = replace(pack, module=f"{pack.module}_{used[pack.module]}")
    return packs


def source_root(pack: Pack) -> Path | None:
    """The folder or file that makes up a pack: for an installed module its top-level package. Imports nothing.

    None when there is no such file.
    """
    if pack.path is not None:
        return pack.path
    try:
        spec = find_spec(pack.module.partition(".")[0])
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    root = Path(places[0]) if places else Path(spec.origin or "")
    return root if root.exists() else None


def import_names(pack: Pack) -> tuple[str, ...]:
    """The dotted names that code may import the pack's own modules by."""
    if pack.path is None:
        return (pack.module.partition(".")[0],)
    return (pack.module, f"custom_nodes.{pack.name}", pack.name)


def _in_folder(folder: Path) -> Iterator[Pack]:
    for path in folder.iterdir():
        if path.name.startswith((".", "__")) or path.name.endswith(".disabled"):
            continue
        if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.is_file()):
            yield Pack(path.stem if path.suffix == ".py" else path.name, _module_name(path), path)


def _module_name(path: Path) -> str:
    """An importable name of our own, so that a pack named like an installed package hides nothing."""
    return "graphengine_pack_" + re.sub(r"\W", "_", path.stem if path.suffix == ".py" else path.name)


def _name(pack: Pack) -> str:
    return pack.name
