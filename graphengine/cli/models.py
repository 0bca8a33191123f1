"""`graphengine models`: which model files there are, by kind."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from graphengine.cli.console import complain, say, say_json, table
from graphengine.cli.options import (
    BaseDirOption,
    DebugOption,
    JsonOption,
    ModelsOption,
    examples,
    open_engine,
)
from graphengine.errors import SettingsError, nearest
from graphengine.node.folders import Folders
from graphengine.settings import LEGACY_KINDS, load_settings

LIST_EXAMPLES = examples(
    "graphengine models list",
    "graphengine models list checkpoints",
    "graphengine models list loras --base-dir ~/ComfyUI",
)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file: `name` as workflows name it, `size` in bytes."""

    kind: str
    name: str
    size: int
    path: str


def list_command(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="checkpoints, loras, vae, …")] = None,
    base_dir: BaseDirOption = None,
    models: ModelsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List model files with size and path, those that come with a package among them."""
    settings = load_settings(base_dir=base_dir, models=models or (), no_cache=True, environ=os.environ)
    folders = open_engine(settings).folders
    if kind is not None and kind not in folders.models:
        near = nearest(kind, list(folders.models))
        known = ", ".join(sorted(folders.models))
        hint = f"did you mean {near!r}?" if near else f"kinds are {known}"
        raise SettingsError(f"there is no kind of models {kind!r}", hint=hint)
    kinds = [kind] if kind else [name for name in sorted(folders.models) if name not in LEGACY_KINDS]
    files = [file for name in kinds for file in model_files(folders, name)]
    if as_json:
        say_json([asdict(file) for file in files])
        return
    for line in table([(f.kind, f.name, format_size(f.size), f.path) for f in files], right=[2]):
        say(line)
    if not files:
        for name in kinds:
            complain(f"no {name}: put files into {' or '.join(str(root) for root in folders.roots(name))}")


def model_files(folders: Folders, kind: str) -> Iterator[ModelFile]:
    """The files of a kind in the order of their names; a file that went away meanwhile is left out."""
    for name in folders.files(kind):
        path = folders.find(kind, name)
        if path is not None:
            yield ModelFile(kind, name, path.stat().st_size, str(path))


def format_size(size: int) -> str:
    """A size in bytes as people read it: `2.1 GB`."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= limit:
            return f"{size / limit:.1f} {unit}"
    return f"{size} B"


#: The commands of the group: name, function, examples.
COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (("list", list_command, LIST_EXAMPLES),)
