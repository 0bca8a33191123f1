"""torchvision beside a torch of another build: its compiled part cannot be loaded, the rest of it can.

PyPI's torchvision belongs to the CUDA build of torch. Beside the one for CPUs its import ends at an operator that
was never made known, `torchvision::nms`. Most packs want its transforms only, which are Python: once the operators
have a signature, the import goes through, and only calling them is an error.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from graphengine.node.api import GraphEngineError

_MISSING = "operator torchvision::nms does not exist"
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")


class _RepairingLoader(Loader):
    """Runs a loader again when it fails for the operators, which then have a signature."""

    # Any: attributes are those of the other loader.
    def __init__(self, loader: Any, finder: "TorchvisionRepair") -> None:
        self._loader, self._finder = loader, finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module as the other loader makes it."""
        found: ModuleType | None = self._loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, a second time if need be."""
        try:
            self._loader.exec_module(module)
        except RuntimeError as error:
            if _MISSING not in str(error):
                raise
            for name in [name for name in sys.modules if name.startswith("torchvision.")]:
                del sys.modules[name]
            self._finder.give_signatures()
            self._loader.exec_module(module)


class TorchvisionRepair(MetaPathFinder):
    """Finds an installed torchvision as Python does, with a loader that repairs it. `libraries` must be kept."""

    def __init__(self) -> None:
        # Any: torch is imported when it is needed.
        self.libraries: list[Any] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of torchvision itself, None for all else and where it is not installed."""
        if fullname != "torchvision":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _RepairingLoader(spec.loader, self)
        return spec

    def give_signatures(self) -> None:
        """Make the operators known to torch; one that is called says why it is not there."""
        import torch  # most processes have no such torchvision

        # Any: torch has no types for it.
        library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in _OPERATORS:
            library.define(f"{name}{_SIGNATURE}")
            library.impl(name, _refuse, "CompositeExplicitAutograd")
        self.libraries.append(library)


def _refuse(dets: Any, scores: Any, iou_threshold: float) -> Any:
    """There is no such operator.

    Raises:
        GraphEngineError: always.
    """
    raise GraphEngineError(
        "torchvision's nms is not here: this torchvision was built for another torch",
        hint="install the torchvision that belongs to your torch, from the same index",
    )


def repair_first() -> None:
    """Let imports find torchvision repaired; a second call changes nothing."""
    if not any(isinstance(finder, TorchvisionRepair) for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchvisionRepair())
