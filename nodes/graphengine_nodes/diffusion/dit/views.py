"""Networks seen with other layers or another way to compute, by whoever asks; the network itself stays as it is.

Two runs may ask one network at the same time, and only one of them want it changed.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from types import MethodType
from typing import Any

from torch import nn

from .modules import diffusers_class

# Any throughout: the modules are diffusers', which mypy sees as untyped.


def view(module: Any, **layers: nn.Module) -> Any:
    """A module with the same weights, in which the layers of these names are others."""
    seen = copy.copy(module)  # the tables of layers and of hooks would be shared
    seen._modules = {**module._modules, **layers}
    seen._forward_hooks = OrderedDict(module._forward_hooks)
    return seen


def listed(module: Any, lists: Mapping[str, list[Any]]) -> Any:
    """A view of a module in which its lists of blocks, by name, are others."""
    return view(module, **{name: nn.ModuleList(blocks) for name, blocks in lists.items()})


def computing_as(module: Any, name: str, package: str, **layers: nn.Module) -> Any:
    """A view that computes as another class of diffusers does, which has layers of the same names."""
    seen = view(module, **layers)
    seen.forward = MethodType(diffusers_class(name, package).forward, seen)
    return seen
