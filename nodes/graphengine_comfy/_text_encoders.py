"""Types of ComfyUI's text encoders, which ours are instances of by the towers that they have."""

from collections.abc import Mapping, Set


class ByTowers(type):
    """A class whose instances are the CLIP values with one of its sets of towers."""

    towers: tuple[Set[str], ...] = ()

    def __instancecheck__(cls, instance: object) -> bool:
        """Whether the value has exactly the towers of one of the sets."""
        towers = getattr(instance, "towers", None)
        return isinstance(towers, Mapping) and set(towers) in cls.towers
