"""Import the module of a pack: once for each version of its source, with the stand-ins in place."""

import importlib
import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType

from graphengine.errors import PackError
from graphengine.packs.discover import Pack, source_root
from graphengine.packs.failures import failure, import_failure
from graphengine.packs.source import PackSource, SourceReader
from graphengine.packs.stand_ins import StandInFinder, Surroundings, put_in_place

#: What ComfyUI runs of a pack before it imports any.
PRESTARTUP = "prestartup_script.py"
#: Attribute of the module of a pack: its source when it was imported.
_SOURCE = "__graphengine_source__"


def import_pack(
    pack: Pack, source: PackSource, surroundings: Surroundings | None = None, *, prestartup: bool = False
) -> ModuleType:
    """The module of a pack; a custom one whose source is not that of its last import is imported anew.

    `surroundings` are what a custom pack finds of the engine. With `prestartup` its script is run before.

    Raises:
        PackError: it cannot be imported.
    """
    finder: StandInFinder | None = None
    try:
        if pack.path is None:
            module = importlib.import_module(pack.module)
            vars(module).setdefault(_SOURCE, source)
            return module
        if _is_imported(pack, source):
            return sys.modules[pack.module]
        finder = put_in_place()
        finder.connect(surroundings)
        if prestartup and (script := prestartup_script(pack)) is not None:
            runpy.run_path(str(script), run_name=f"{pack.module}.prestartup_script")
        module = _import_path(pack.module, pack.path)
        setattr(module, _SOURCE, source)
        return module
    except ImportError as error:
        raise import_failure(pack, error, finder) from error
    except Exception as error:
        raise failure(pack, error) from error


def prestartup_script(pack: Pack) -> Path | None:
    """The script of a custom pack that wants to be run before any pack is imported, if it has one."""
    script = pack.path / PRESTARTUP if pack.path is not None else None
    return script if script is not None and script.is_file() else None


def _is_imported(pack: Pack, source: PackSource) -> bool:
    """Whether the pack is imported as its source is now; what was imported of another source is let go of."""
    known = getattr(sys.modules.get(pack.module), _SOURCE, None)
    if isinstance(known, PackSource) and (known.root, known.version) == (source.root, source.version):
        return True
    for name in [name for name in sys.modules if name == pack.module or name.startswith(f"{pack.module}.")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    return False


def _import_path(name: str, path: Path) -> ModuleType:
    """Import a folder or file under a name of ours; a failed import leaves nothing behind."""
    start = path / "__init__.py" if path.is_dir() else path
    search = [str(path)] if path.is_dir() else None
    spec = importlib.util.spec_from_file_location(name, start, submodule_search_locations=search)
    if spec is None or spec.loader is None:
        raise PackError(f"{start} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def imported_version(pack: Pack) -> str | None:
    """The version of the source that a pack was imported from, None when it was not."""
    source = getattr(sys.modules.get(pack.module), _SOURCE, None)
    return source.version if isinstance(source, PackSource) and source.root == source_root(pack) else None


def read_source(pack: Pack, reader: SourceReader | None = None) -> PackSource:
    """The source of a pack, without importing it; nothing for an installed module that is no file.

    Raises:
        PackError: its files cannot be read.
    """
    root = source_root(pack)
    try:
        return PackSource(Path(), {}) if root is None else (reader or SourceReader()).read(root)
    except OSError as error:
        raise failure(pack, error) from error
