"""What counts for a node's outputs beside its own code and inputs: the kind of device, and installed packages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graphengine.node.definition import NodeDefinition

_DEVICE = "device"


def _cpu() -> str:
    return "cpu"


@dataclass(slots=True)
class Environment:
    """The environment of a run. `device_class` gives "cpu", "cuda", …; the first node that needs it asks."""

    device_class: Callable[[], str] = _cpu
    _of: dict[tuple[bool, int], Mapping[str, str]] = field(default_factory=dict)

    def of(self, definition: NodeDefinition) -> Mapping[str, str]:
        """The parts of it that count for a node, by name.

        The device counts for nodes that compute on one, and for all nodes of custom packs, which do not say. The
        versions of packages count that the node's pack declares.
        """
        on_device = _DEVICE in definition.resources or definition.module.startswith("custom_nodes.")
        place = (on_device, id(definition.packages))
        found = self._of.get(place)
        if found is None:
            found = {f"package:{name}": version for name, version in definition.packages.items()}
            if on_device:
                found[_DEVICE] = self.device_class()
            self._of[place] = found
        return found
