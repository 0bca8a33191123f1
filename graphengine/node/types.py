"""Socket types, and when the output of one fits the input of another."""

from functools import lru_cache

#: "INT", "MODEL", a union "IMAGE,MASK", or "*" for anything.
SocketType = str

#: Types whose value the user can type in, so that the editor shows a widget.
WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})


@lru_cache(maxsize=4096)
def fits(given: SocketType, wanted: SocketType) -> bool:
    """Whether an output of type `given` may feed an input of type `wanted`.

    Unions are separated by commas and need one member in common; "*" fits everything.
    """
    if given == wanted:
        return True
    offered, taken = _members(given), _members(wanted)
    return "*" in offered or "*" in taken or not offered.isdisjoint(taken)


def _members(type_: SocketType) -> frozenset[str]:
    return frozenset(part.strip() for part in type_.split(","))
