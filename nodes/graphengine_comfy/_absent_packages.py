"""Packages that packs import without need and that may not be installed, and names of ComfyUI without its package.

A pack imports torchvision at its top to resize one mask. Where torchvision is not installed, packs get a small one
of ours; a real one is never hidden, because this finder is asked last. Only packs get it: a library that asks
whether torchvision is there must not be told so. What packs leave in `sys.modules` goes when they are loaded.
"""

import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType

_PACKAGE = __name__.rpartition(".")[0]
#: Ours for packages that are not installed.
_OURS = {"torchvision": f"{_PACKAGE}._torchvision", "torchaudio": f"{_PACKAGE}._torchaudio"}
#: ComfyUI has its folder `comfy` on the path too.
_BARE = {
    name: f"{_PACKAGE}.comfy.{name}"
    for name in ("cli_args", "latent_formats", "model_base", "model_management", "model_patcher")
}
_INSTALLED = tuple(
    {path for name in ("stdlib", "platstdlib", "purelib", "platlib") if (path := sysconfig.get_path(name))}
)
_INSTALLED_FOLDERS = ("site-packages", "dist-packages")


class AbsentPackageFinder(MetaPathFinder, Loader):
    """Finds our own in the place of packages that are not installed, for packs."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module of ours, or None for other names and other importers."""
        own = own_name(fullname)
        if own is None or not _asked_by_a_pack():
            return None
        found = importlib.util.find_spec(own)
        return None if found is None else ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        """Put our module in the place of the empty one."""
        own = own_name(module.__name__)
        if own is None:
            raise ImportError(f"{module.__name__!r} is not here", name=module.__name__)
        sys.modules[module.__name__] = importlib.import_module(own)


def own_name(fullname: str) -> str | None:
    """The name of our module for one of an absent package."""
    if fullname in _BARE:
        return _BARE[fullname]
    top, dot, rest = fullname.partition(".")
    return _OURS[top] + dot + rest if top in _OURS else None


def find_absent_last() -> None:
    """Let packs find them where nothing else is found; a second call changes nothing."""
    if not any(isinstance(finder, AbsentPackageFinder) for finder in sys.meta_path):
        sys.meta_path.append(AbsentPackageFinder())


def forget_absent() -> None:
    """Take them out of `sys.modules`: whoever asks for them next is asked who it is."""
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        if getattr(sys.modules[name], "__name__", "").startswith(f"{_PACKAGE}."):
            del sys.modules[name]


def _asked_by_a_pack() -> bool:
    """Whether the code that imports belongs to no installed package and is not our own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name, file = str(frame.f_globals.get("__name__", "")), frame.f_code.co_filename
        if file != __file__ and name.partition(".")[0] != "importlib" and not file.startswith("<frozen importlib"):
            is_ours = name.partition(".")[0] in ("graphengine", "graphengine_nodes")
            installed = file.startswith(_INSTALLED) or any(folder in file for folder in _INSTALLED_FOLDERS)
            return name.startswith(f"{_PACKAGE}.") or not (is_ours or installed)
        frame = frame.f_back
    return False
