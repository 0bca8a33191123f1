"""What counts for a node's outputs beside its own code and inputs: the device, how torch computes, packages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graphengine.execution.numerics import AS_IMPORTED, Numerics
from graphengine.node.definition import NodeDefinition

_DEVICE = "device"


def _cpu() -> str:
    return "cpu"


@dataclass(slots=True)
class Environment:
    """The environment of a run. `device_class` gives "cpu", "cuda", …; the first node that needs it asks."""

    device_class: Callable[[], str] = _cpu
    numerics: Numerics = AS_IMPORTED
    _of: dict[tuple[bool, bool, int], Mapping[str, str]] = field(default_factory=dict)

    def of(self, definition: NodeDefinition) -> Mapping[str, str]:
        """The parts of it that count for a node, by name.

        The device counts for nodes that compute on one, and for all nodes of custom packs, which do not say. How
        torch computes counts for these, and for nodes whose pack declares torch. The versions of packages count
        that the node's pack declares.
        """
        on_device, on_torch = _is_on_device(definition), is_on_torch(definition)
        place = (on_device, on_torch, id(definition.packages))
        found = self._of.get(place)
        if found is None:
            found = {f"package:{name}": version for name, version in definition.packages.items()}
            if on_device:
                found[_DEVICE] = self.device_class()
            if on_torch:
                found |= self.numerics.parts()
            self._of[place] = found
        return found


def is_on_torch(definition: NodeDefinition) -> bool:
    """Whether a node may compute with torch."""
    return _is_on_device(definition) or "torch" in definition.packages


def _is_on_device(definition: NodeDefinition) -> bool:
    return _DEVICE in definition.resources or definition.module.startswith("custom_nodes.")
