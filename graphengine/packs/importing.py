"""Import the module of a pack: once for each version of its source, with the stand-ins in place.

After an edit only those of its modules are imported anew that it makes outdated (`imported.py`).
"""

import importlib
import importlib.util
import logging
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from graphengine.errors import PackError
from graphengine.packs.discover import Pack, source_root
from graphengine.packs.failures import failure, import_failure
from graphengine.packs.imported import SOURCE, Imported, Outdated, known_source, outdated
from graphengine.packs.modules import PackLoader, pack_finder
from graphengine.packs.source import PackSource, SourceReader
from graphengine.packs.stand_ins import StandInFinder, Surroundings, put_in_place

logger = logging.getLogger(__name__)

#: What ComfyUI runs of a pack before it imports any.
PRESTARTUP = "prestartup_script.py"


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
            vars(module).setdefault(SOURCE, source)
            return module
        known = known_source(pack)
        if known is not None and (known.root, known.version) == (source.root, source.version):
            return sys.modules[pack.module]
        finder = put_in_place()
        finder.connect(surroundings)
        if prestartup and (script := prestartup_script(pack)) is not None:
            runpy.run_path(str(script), run_name=f"{pack.module}.prestartup_script")
        module = _import_path(pack, pack.path, source)
        setattr(module, SOURCE, source)
        return module
    except ImportError as error:
        raise import_failure(pack, error, finder) from error
    except Exception as error:
        raise failure(pack, error) from error


def prestartup_script(pack: Pack) -> Path | None:
    """The script of a custom pack that wants to be run before any pack is imported, if it has one."""
    script = pack.path / PRESTARTUP if pack.path is not None else None
    return script if script is not None and script.is_file() else None


def _import_path(pack: Pack, path: Path, source: PackSource) -> ModuleType:
    """Import what is outdated of a pack, at first all; a failed import leaves what was imported before."""
    before = known_source(pack)
    imported = Imported.now(pack)
    every = set(imported.modules)
    found = Outdated(every)
    if before is not None and before.root == source.root:
        found = outdated(pack, before, source)
    pack_finder().add(path)
    importlib.invalidate_caches()
    try:
        return _import_anew(pack, path, imported, found)
    except SyntaxError:
        raise
    except Exception as error:
        if found.names == every:
            raise
        logger.debug("modules of pack %r do not go with those that stayed: %s", pack.name, error)
    return _import_anew(pack, path, imported, replace(found, names=every))


def _import_anew(pack: Pack, path: Path, imported: Imported, found: Outdated) -> ModuleType:
    """Import modules of a pack once more, and its first one if it is not imported yet."""
    try:
        with pack_finder().staying(imported.let_go(found.names)):
            if pack.module in imported.modules and pack.module not in found.names:
                importlib.import_module(pack.module)
            else:
                _import_first(pack.module, path)
            # what functions import tells its errors now, and not in the next run
            for name in sorted(imported.modules.keys() - set(found.orphaned)):
                _import_if_there(name)
    except BaseException:
        imported.put_back()
        raise
    return sys.modules[pack.module]


def _import_first(name: str, path: Path) -> ModuleType:
    """Import a folder or file under a name of ours."""
    start = path / "__init__.py" if path.is_dir() else path
    search = [str(path)] if path.is_dir() else None
    loader = PackLoader(name, str(start))
    spec = importlib.util.spec_from_file_location(name, start, loader=loader, submodule_search_locations=search)
    if spec is None:
        raise PackError(f"{start} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def _import_if_there(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        logger.debug("the module %r is not there any more", name)


def imported_version(pack: Pack) -> str | None:
    """The version of the source that a pack was imported from, None when it was not."""
    source = known_source(pack)
    return source.version if source is not None and source.root == source_root(pack) else None


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
