"""Types of slots, and which of them may be linked, in the editor's terms.

A type is a name, several separated by commas, or "*"; upper and lower case are one. Documents come from strangers
and may hold types of any length, so each is taken apart once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from graphengine.workflow.ui_models import UiInput

_ANY = "*"


@dataclass(frozen=True, slots=True)
class SlotType:
    """A type: `name` as it is written, `members` the names in it in small letters."""

    name: str
    members: frozenset[str]

    def fits(self, other: "SlotType") -> bool:
        """Whether slots of these types may be linked."""
        mine, theirs = self.members, other.members
        return _ANY in mine or _ANY in theirs or not mine.isdisjoint(theirs)


@dataclass(slots=True)
class SlotTypes:
    """The types of a document."""

    _read: dict[str, SlotType] = field(default_factory=dict)

    def read(self, raw: JsonValue) -> SlotType:
        """The type that a slot was saved with; old editors wrote the choices of a combo in its place."""
        if isinstance(raw, list):
            return SlotType(str(raw), frozenset({"combo"}))
        name = raw if isinstance(raw, str) and raw else _ANY
        if name not in self._read:
            members = frozenset(part.strip().lower() for part in name.split(","))
            self._read[name] = SlotType(name, members)
        return self._read[name]


class TypedInputs:
    """The inputs of one node by their types."""

    def __init__(self, inputs: Sequence[UiInput], types: SlotTypes) -> None:
        self._inputs = inputs
        self._exact: dict[str, int] = {}
        self._member: dict[str, int] = {}
        self._found: dict[str, int | None] = {}
        for number, slot in enumerate(inputs):
            type_ = types.read(slot.type)
            self._exact.setdefault(type_.name, number)
            for member in type_.members:
                self._member.setdefault(member, number)
        self._members = frozenset(self._member)

    def first_fitting(self, wanted: SlotType) -> UiInput | None:
        """The first input of exactly the wanted type, else the first that fits."""
        if wanted.name not in self._found:
            self._found[wanted.name] = self._first(wanted)
        number = self._found[wanted.name]
        return None if number is None else self._inputs[number]

    def _first(self, wanted: SlotType) -> int | None:
        if wanted.name in self._exact:
            return self._exact[wanted.name]
        if _ANY in wanted.members:
            return 0 if self._inputs else None
        shared = [*(self._members & wanted.members), *(self._members & {_ANY})]  # sets walk the smaller one
        return min((self._member[each] for each in shared), default=None)
