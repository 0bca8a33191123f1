"""An engine on temporary folders, with a pack under test in it."""

from dataclasses import replace
from pathlib import Path

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.errors import GraphEngineError, PackError
from graphengine.execution.executor import LocalExecutor
from graphengine.node.folders import Folders
from graphengine.packs.discover import Pack, custom_packs
from graphengine.packs.load import LoadedPack
from graphengine.packs.project import TrustPolicy
from graphengine.settings import Settings

_MEMORY = 2**30


def temporary_folders(root: Path) -> Folders:
    """Input, output and temp folders below a folder; they are made, models are not."""
    folders = Folders((root / "input",), root / "output", root / "temp")
    for folder in (*folders.input, folders.output, folders.temp):
        folder.mkdir(parents=True, exist_ok=True)
    return folders


def temporary_engine(root: Path, pack: Path | None = None) -> Engine:
    """An engine that computes on the CPU, keeps nothing on disk, and has its folders below `root`.

    `pack` is a folder or file of nodes, which is imported: only give code that may run. The models are those that
    installed packs ship, the tiny checkpoint among them.

    Raises:
        PackError: the pack cannot be imported.
        GraphEngineError: `pack` is neither a package nor a Python file.
    """
    settings = Settings(
        folders=temporary_folders(root),
        custom_nodes=(_folder_with(root, pack),) if pack is not None else (),
        device="cpu",
        trust=TrustPolicy(everything=True),
    )
    engine = Engine.from_settings(settings)
    for problem in engine.load_all_packs() if pack is not None else ():
        if problem.code == "broken_pack":
            raise PackError(problem.message, hint=problem.hint)
    return engine


def at_folders(engine: Engine, root: Path) -> Engine:
    """The engine with empty folders of its own and nothing remembered; models stay where they are."""
    folders = replace(temporary_folders(root), models=engine.folders.models)
    return replace(engine, folders=folders, store=MemoryStore(_MEMORY), executor=LocalExecutor())


def pack_at(path: Path) -> Pack:
    """The pack that a folder or file holds.

    Raises:
        GraphEngineError: it holds none.
    """
    path = path.resolve()
    found = [pack for pack in custom_packs([path.parent]) if pack.path == path]
    if not found:
        raise GraphEngineError(
            f"there is no pack at {str(path)!r}",
            hint="give a folder or a Python file whose code has NODE_CLASS_MAPPINGS or comfy_entrypoint",
        )
    return found[0]


def loaded_pack(engine: Engine, name: str) -> LoadedPack:
    """The pack of that name as the engine imported it.

    Raises:
        PackError: the engine has no such pack, or it cannot be imported.
    """
    for pack in engine.packs.packs:
        if pack.name == name:
            return engine.packs.load(pack)
    raise PackError(f"there is no pack {name!r}", hint="graphengine doctor lists the packs")


def _folder_with(root: Path, path: Path) -> Path:
    """A `custom_nodes` folder that holds this pack alone, as a link: its neighbours are none of our business."""
    pack = pack_at(path)
    assert pack.path is not None
    folder = root / "custom_nodes"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / pack.path.name
    if not link.is_symlink():
        link.symlink_to(pack.path, target_is_directory=pack.path.is_dir())
    return folder
