"""Import a pack and read its node classes.

A pack maps them in `NODE_CLASS_MAPPINGS`, or has a function `comfy_entrypoint` that gives an extension, which
lists classes with a schema; a pack that has both is read by its mapping.
"""

import importlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from graphengine.errors import PackError, Problem
from graphengine.node.comfy_classes import define
from graphengine.node.declared import pack_defaults
from graphengine.node.definition import NodeDefinition
from graphengine.packs.code import CodeOfPack, LazyTexts
from graphengine.packs.discover import Pack, import_names
from graphengine.packs.failures import place_in_pack
from graphengine.packs.guarded import guarded
from graphengine.packs.import_policy import ImportPolicy
from graphengine.packs.importing import PRESTARTUP, import_pack, prestartup_script, read_source
from graphengine.packs.requirements import declared_packages, installed_versions
from graphengine.packs.source import PackSource, SourceReader
from graphengine.packs.stand_ins import Surroundings, put_in_place


@dataclass(frozen=True, slots=True)
class ClassReference:
    """Gives the class of a node by the module that maps it, so that a call can be sent to another process."""

    module: str
    class_type: str

    # Any: the class is its author's.
    def __call__(self) -> type[Any]:
        """The class."""
        return node_classes(importlib.import_module(self.module))[self.class_type]


@dataclass(frozen=True, slots=True)
class LoadedPack:
    """The nodes of a pack with their classes and code, the names of the packages it is built on, the folder of
    models that it ships, and what could not be read.
    """

    pack: Pack
    definitions: tuple[NodeDefinition, ...]
    # Any: the classes are their author's.
    classes: Mapping[str, type[Any]]
    code: CodeOfPack
    packages: tuple[str, ...] = ()
    models: Path | None = None
    problems: tuple[Problem, ...] = ()


def load_pack(
    pack: Pack,
    surroundings: Surroundings | None = None,
    reader: SourceReader | None = None,
    policy: ImportPolicy | None = None,
) -> LoadedPack:
    """Import the pack and define its nodes. A node that cannot be read is a problem and hurts no other.

    `surroundings` are what a custom pack finds of the engine when it is imported: its folders and its nodes.
    `reader` remembers the digests of files. A custom pack whose source changed since it was imported is imported
    anew, as `policy` has it; what it changes in the process is a problem too.

    Raises:
        PackError: the pack cannot be imported or maps no nodes.
    """
    policy = policy or ImportPolicy()
    source = read_source(pack, reader)  # before the import: what is edited meanwhile counts as newer
    finder = put_in_place() if pack.path is not None else None
    try:
        with guarded(pack, policy, finder.packages if finder is not None else ()) as changes:
            module = import_pack(pack, source, surroundings, prestartup=policy.runs_prestartup(pack.name))
            loaded = _defined(pack, module, source)
    finally:
        if finder is not None:
            finder.loaded()
    return replace(loaded, problems=(*loaded.problems, *changes, *_not_run(pack, policy)))


def _not_run(pack: Pack, policy: ImportPolicy) -> Iterator[Problem]:
    if prestartup_script(pack) is None or policy.runs_prestartup(pack.name):
        return
    yield Problem(
        "prestartup_not_run",
        f"pack {pack.name!r} has a {PRESTARTUP}, which was not run",
        hint=f"if its nodes need it: --prestartup {pack.name}, or prestartup = true in graphengine.toml",
        severity="warning",
    )


def _defined(pack: Pack, module: ModuleType, source: PackSource) -> LoadedPack:
    mappings = _mapped(pack, module)
    titles = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None) or {}
    code = CodeOfPack(source, import_names(pack))
    names = declared_packages(pack, module)
    packages = LazyTexts(partial(installed_versions, names))
    defaults = _defaults(pack, module)
    definitions: list[NodeDefinition] = []
    problems: list[Problem] = []
    for class_type, node_class in mappings.items():
        try:
            definition = define(
                class_type,
                node_class,
                module=pack.module if pack.path is None else f"custom_nodes.{pack.name}",
                load=ClassReference(pack.module, class_type),
                defaults=defaults,
            )
            definition = replace(definition, code=LazyTexts(partial(code.code_of, node_class)), packages=packages)
            title = titles.get(class_type) or _title_in_schema(node_class)
            definitions.append(definition if title is None else replace(definition, display_name=title))
        except PackError as error:
            message = f"pack {pack.name!r}: {error.message}"
            problems.append(Problem("unreadable_node", message, class_type=class_type, hint=error.hint))
    models = getattr(module, "MODELS_DIRECTORY", None)
    return LoadedPack(pack, tuple(definitions), mappings, code, names, models, tuple(problems))


def _defaults(pack: Pack, module: ModuleType) -> Mapping[str, Any]:
    try:
        return pack_defaults(module)
    except PackError as error:
        raise PackError(f"pack {pack.name!r}: {error.message}", hint=error.hint) from error


def node_classes(module: ModuleType) -> Mapping[str, type[Any]]:
    """The node classes that a pack's module maps, or that its `comfy_entrypoint` lists, by class type.

    What an entry point lists is kept as the module's `NODE_CLASS_MAPPINGS`, so that it is asked once.

    Raises:
        PackError: the module has neither, or one of them is not of the expected form.
    """
    mappings = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if isinstance(mappings, Mapping):
        return mappings
    entry_point = getattr(module, "comfy_entrypoint", None)
    if not callable(entry_point):
        raise PackError(
            f"module {module.__name__!r} has no NODE_CLASS_MAPPINGS and no comfy_entrypoint",
            hint="its __init__.py must map node names to classes",
        )
    listed = {_class_type(node_class): node_class for node_class in _finished(_listed(entry_point))}
    module.NODE_CLASS_MAPPINGS = listed  # type: ignore[attr-defined]  # a module takes any name
    return listed


# Any: the class is its author's.
def _title_in_schema(node_class: type[Any]) -> str | None:
    schema = getattr(node_class, "GET_SCHEMA", None)
    return schema().display_name if callable(schema) else None


def _class_type(node_class: type[Any]) -> str:
    """The node id in the schema of a class; without a schema that can be read, the name of the class."""
    with suppress(Exception):  # reading the definition will raise it again, and the node becomes a problem
        return str(node_class.GET_SCHEMA().node_id)
    return node_class.__name__


async def _listed(entry_point: Callable[[], Any]) -> list[type[Any]]:
    extension = await _awaited(entry_point())
    if hasattr(extension, "on_load"):
        await _awaited(extension.on_load())
    if not hasattr(extension, "get_node_list"):
        raise PackError(
            f"comfy_entrypoint gave {type(extension).__name__}, which lists no nodes",
            hint="it must give a ComfyExtension with get_node_list()",
        )
    return list(await _awaited(extension.get_node_list()))


async def _awaited(value: Awaitable[Any] | Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _finished(coroutine: Coroutine[Any, Any, list[type[Any]]]) -> list[type[Any]]:
    """The result of a coroutine, run to its end in a thread of its own: this one may have a running loop."""
    import asyncio  # a twentieth of a second to import, which few packs need
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def _mapped(pack: Pack, module: ModuleType) -> Mapping[str, type[Any]]:
    try:
        return node_classes(module)
    except PackError as error:
        raise PackError(f"pack {pack.name!r}: {error.message}", hint=error.hint) from error
    except Exception as error:
        where = f" ({found})" if (found := place_in_pack(pack, error)) else ""
        raise PackError(
            f"pack {pack.name!r} cannot list its nodes: {type(error).__name__}: {error}{where}",
            hint="run again with --debug to see where",
        ) from error
