"""What packs import and graphengine does not have: placeholders, which can be named, derived from and compared.

Packs import at their top whatever some node of theirs may need, and most nodes need little of it. So every name of
ComfyUI's packages can be imported. A placeholder is a class: it serves as a base class, type, default value or
decorator, its attributes are placeholders, and it raises an error that names it when it is called.
"""

import importlib
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Never

from graphengine.node.api import GraphEngineError, current_context

_PACKAGE = __name__.rpartition(".")[0]
#: Packages that may not be installed, of which packs have a part from us.
_ABSENT = ("torchvision", "torchaudio")
#: Packages of ComfyUI in which every module can be imported, and ours for others.
_OPEN = ("comfy", "comfy_extras", "comfy_api_nodes", *(f"_{name}" for name in _ABSENT))
#: Modules of forks of ComfyUI: packs ask whether they are there, and go another way when they are.
_FORKS = ("comfy.cmd", "comfy.nodes", "comfy.model_downloader", "comfy.component_model", "comfy.distributed")
#: What the engine asks a node class for: a placeholder is no node.
_OF_NODES = frozenset(
    [
        "INPUT_TYPES",
        "RETURN_TYPES",
        "RETURN_NAMES",
        "FUNCTION",
        "CATEGORY",
        "OUTPUT_NODE",
        "GET_SCHEMA",
        "IS_CHANGED",
        "VALIDATE_INPUTS",
    ]
)


def public_name(own: str) -> str:
    """The name that packs know a module of this package by."""
    public = own.removeprefix(f"{_PACKAGE}.")
    return public.removeprefix("_") if public.startswith(_OPEN[-len(_ABSENT) :]) else public


# Any throughout: what packs do with a name that is not here cannot be told.
class PlaceholderType(ABCMeta):
    """The type of placeholders, and of the classes that packs derive from them."""

    def __getattr__(cls, name: str) -> Any:
        """An attribute of a placeholder is a placeholder; a class that a pack derived has only its own."""
        stands_for = cls.__dict__.get("_stands_for")
        if stands_for is None or name.startswith("__") or name in _OF_NODES:
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        return placeholder(f"{stands_for}.{name}")

    def __call__(cls, *args: Any, **options: Any) -> Any:
        """Decorate a function while a pack is imported; else make an instance, which a placeholder has none of.

        Raises:
            GraphEngineError: it is no decorator here.
        """
        stands_for = cls.__dict__.get("_stands_for")
        decorates = len(args) == 1 and not options and callable(args[0])
        if stands_for is not None and decorates and current_context.get() is None:
            return cls
        return super().__call__(*args, **options)

    def __getitem__(cls, key: object) -> Any:
        """The placeholder itself, as a generic type."""
        return cls

    def __iter__(cls) -> Iterator[Any]:
        """There is nothing to go through.

        Raises:
            GraphEngineError: always.
        """
        _refuse(getattr(cls, "_stands_for"))  # noqa: B009 (mypy does not see what a metaclass's classes have)

    def __repr__(cls) -> str:
        stands_for = cls.__dict__.get("_stands_for")
        return super().__repr__() if stands_for is None else f"<no {stands_for} in graphengine>"


def _refuse(name: str) -> Never:
    if (package := name.partition(".")[0]) in _ABSENT:
        raise GraphEngineError(
            f"{name} is needed, and {package} is not installed",
            hint=f"install the {package} that belongs to your torch, from the same index: pip install {package}",
        )
    raise GraphEngineError(
        f"{name} of ComfyUI is not in graphengine",
        hint="nodes that need it cannot run; docs/compatibility-comfy.md lists what can be used",
    )


def _init(self: Any, *args: Any, **options: Any) -> None:
    """The `__init__` of a placeholder."""
    _refuse(type(self)._stands_for)


@cache
def placeholder(name: str) -> PlaceholderType:
    """The placeholder for a name of ComfyUI, `comfy.model_base.BaseModel`; there is one for each name."""
    members = {"_stands_for": name, "__init__": _init, "__doc__": f"Stands for {name}, which is not here."}
    return PlaceholderType(name.rpartition(".")[2], (), members)


def node_placeholder(
    name: str, method: str, return_types: tuple[str, ...], inputs: Callable[[], Any]
) -> PlaceholderType:
    """The placeholder for a node class, `nodes.LoraLoader`: packs derive from it and make instances beforehand.

    It has the types of its outputs, what `inputs` gives as its inputs, and a method, which raises an error.
    """

    def refuse(self: Any, *args: Any, **inputs: Any) -> Never:
        """There is no such node here.

        Raises:
            GraphEngineError: always.
        """
        _refuse(f"{name}.{method}")

    members = {
        "_stands_for": name,
        "__doc__": f"Stands for {name}, which is not here.",
        "RETURN_TYPES": return_types,
        "FUNCTION": method,
        "INPUT_TYPES": staticmethod(inputs),
        "CATEGORY": "",
        method: refuse,
    }
    return PlaceholderType(name.rpartition(".")[2], (), members)


def placeholders_of(own: str) -> Callable[[str], Any]:
    """The `__getattr__` of a stand-in module: a placeholder for each name that it does not have."""
    module = public_name(own)

    def give(name: str) -> Any:
        """A placeholder."""
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return placeholder(f"{module}.{name}")

    return give


def modules_of(own: str) -> Callable[[str], ModuleType]:
    """The `__getattr__` of a stand-in package: in ComfyUI its modules are there without being imported."""
    package = public_name(own)

    def give(name: str) -> ModuleType:
        """A module of the package."""
        if not name.startswith("_") and not _is_of_fork(f"{package}.{name}"):
            return importlib.import_module(f"{own}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return give


def _is_of_fork(public: str) -> bool:
    return any(public == fork or public.startswith(f"{fork}.") for fork in _FORKS)


class PlaceholderFinder(MetaPathFinder, Loader):
    """Finds a module of placeholders where the packages of ComfyUI have one that is not here."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module of placeholders, or None for a name that lies elsewhere or is one of a fork."""
        package, _, public = fullname.partition(".")
        if package != _PACKAGE or public.partition(".")[0] not in _OPEN or _is_of_fork(public):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its placeholders; one of `comfy_extras` has the node classes of the engine too."""
        module.__doc__ = "What ComfyUI has here is not in graphengine."
        give = placeholders_of(module.__name__)
        if public_name(module.__name__).startswith("comfy_extras.nodes_"):
            from graphengine_comfy._node_classes import class_or  # needs folders and more, which few modules do

            give = class_or(give)
        module.__getattr__ = give  # type: ignore[method-assign]  # PEP 562


def find_last() -> None:
    """Let imports find modules of placeholders where nothing else is found; a second call changes nothing."""
    if not any(isinstance(finder, PlaceholderFinder) for finder in sys.meta_path):
        sys.meta_path.append(PlaceholderFinder())
