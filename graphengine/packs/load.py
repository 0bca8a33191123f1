"""Import a pack and read its node classes."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from graphengine.errors import PackError, Problem
from graphengine.node.comfy_classes import define
from graphengine.node.definition import NodeDefinition
from graphengine.packs.discover import Pack
from graphengine.packs.source import source_digest


@dataclass(frozen=True, slots=True)
class ClassReference:
    """Gives the class of a node by the module that maps it, so that a call can be sent to another process."""

    module: str
    class_type: str

    # Any: the class is its author's.
    def __call__(self) -> type[Any]:
        """The class."""
        node_class: type[Any] = importlib.import_module(self.module).NODE_CLASS_MAPPINGS[self.class_type]
        return node_class


@dataclass(frozen=True, slots=True)
class LoadedPack:
    """The nodes of a pack, the folder of models that it ships, and what could not be read."""

    pack: Pack
    definitions: tuple[NodeDefinition, ...]
    models: Path | None = None
    problems: tuple[Problem, ...] = ()


def load_pack(pack: Pack) -> LoadedPack:
    """Import the pack and define its nodes. A node that cannot be read is a problem and hurts no other.

    Raises:
        PackError: the pack cannot be imported or maps no nodes.
    """
    module = _import(pack)
    mappings = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if not isinstance(mappings, Mapping):
        raise PackError(
            f"pack {pack.name!r} has no NODE_CLASS_MAPPINGS",
            hint="its __init__.py must map node names to classes",
        )
    titles = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None) or {}
    version = source_digest(_source_root(pack, module))
    definitions: list[NodeDefinition] = []
    problems: list[Problem] = []
    for class_type, node_class in mappings.items():
        try:
            definitions.append(
                define(
                    class_type,
                    node_class,
                    display_name=titles.get(class_type),
                    module=pack.module if pack.path is None else f"custom_nodes.{pack.name}",
                    version=version,
                    load=ClassReference(pack.module, class_type),
                )
            )
        except PackError as error:
            message = f"pack {pack.name!r}: {error.message}"
            problems.append(Problem("unreadable_node", message, class_type=class_type, hint=error.hint))
    models = getattr(module, "MODELS_DIRECTORY", None)
    return LoadedPack(pack, tuple(definitions), models, tuple(problems))


def _import(pack: Pack) -> ModuleType:
    try:
        if pack.path is None or pack.module in sys.modules:
            return importlib.import_module(pack.module)
        return _import_path(pack.module, pack.path)
    except ModuleNotFoundError as error:
        raise PackError(
            f"pack {pack.name!r} needs the module {error.name!r}, which is not installed",
            hint=f"install what {pack.path or pack.module} lists in requirements.txt",
        ) from error
    except Exception as error:
        raise PackError(
            f"pack {pack.name!r} cannot be imported: {type(error).__name__}: {error}",
            hint="run again with --debug to see where",
        ) from error


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


def _source_root(pack: Pack, module: ModuleType) -> Path:
    """The folder whose Python files make up the pack: for an installed module its top-level package."""
    if pack.path is not None:
        return pack.path
    top = importlib.import_module(module.__name__.partition(".")[0])
    return Path(str(top.__file__)).parent
