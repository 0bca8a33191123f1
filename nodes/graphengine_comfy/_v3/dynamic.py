"""Inputs whose number or kind depends on the other values of a node.

In a prompt their values stand under flat names with dots (`images.image0`, `mode.strength`); a node is given one
dict for each.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphengine_comfy._v3.inputs import ComfyType, Input, Options, Output, comfytype
from graphengine_comfy._v3.sockets import AnyType

# Any throughout: the arguments that all inputs have are passed on as they are.

#: How many inputs an `Autogrow` may have.
MOST_GROWN = 100


def sections(inputs: Iterable[Input]) -> dict[str, Options]:
    """The inputs in the form of `INPUT_TYPES`: "required", and "optional" if there are any."""
    found: dict[str, Options] = {"required": {}}
    for spec in inputs:
        section = found.setdefault("optional" if spec.optional else "required", {})
        section[spec.id] = (spec.get_io_type(), spec.as_dict())
    return found


class _Template:
    """What every input of an `Autogrow` is like; the first `min` of them must be given."""

    def __init__(self, input: Input, min: int) -> None:
        if not isinstance(input, Input):
            raise TypeError(f"a template needs an input, is given {type(input).__name__}")
        self.input = input
        self.min = min

    def as_dict(self) -> Options:
        """The template as it stands beside the type."""
        return {"input": sections([self.input]), "min": self.min}


class _TemplatePrefix(_Template):
    """Inputs called `prefix0`, `prefix1`, …, at most `max`."""

    def __init__(self, input: Input, prefix: str, min: int = 1, max: int = 10) -> None:
        super().__init__(input, min)
        if not 0 <= min <= max <= MOST_GROWN or max < 1:
            raise ValueError(f"an Autogrow of {min} to {max} inputs: it can have 1 to {MOST_GROWN}")
        self.prefix = prefix
        self.max = max

    def as_dict(self) -> Options:
        """The template as it stands beside the type."""
        return super().as_dict() | {"prefix": self.prefix, "max": self.max}


class _TemplateNames(_Template):
    """Inputs with these names."""

    def __init__(self, input: Input, names: Sequence[str], min: int = 1) -> None:
        super().__init__(input, min)
        if not 1 <= len(names) <= MOST_GROWN or not 0 <= min <= len(names):
            raise ValueError(f"an Autogrow of {min} to {len(names)} inputs: it can have 1 to {MOST_GROWN}")
        self.names = list(names)

    def as_dict(self) -> Options:
        """The template as it stands beside the type."""
        return super().as_dict() | {"names": self.names}


@comfytype(io_type="COMFY_AUTOGROW_V3")
class Autogrow(ComfyType):
    """As many inputs of one kind as the user connects; a node is given `{name: value}`."""

    Type = dict[str, Any]
    TemplatePrefix = _TemplatePrefix
    TemplateNames = _TemplateNames

    class Input(Input):
        """Inputs that are made from a template."""

        def __init__(self, id: str, template: _Template, *arguments: Any, **common: Any) -> None:
            super().__init__(id, *arguments, **common)
            self.template = template

        def _options(self) -> Options:
            return super()._options() | {"template": self.template.as_dict()}


class _Option:
    """A choice, and the inputs that a node has when it is made."""

    def __init__(self, key: str, inputs: Iterable[Input]) -> None:
        self.key = key
        self.inputs = list(inputs)

    def as_dict(self) -> Options:
        """The choice as it stands beside the type."""
        return {"key": self.key, "inputs": sections(self.inputs)}


@comfytype(io_type="COMFY_DYNAMICCOMBO_V3")
class DynamicCombo(ComfyType):
    """A choice that decides which further inputs there are; a node is given `{id: choice, name: value}`."""

    Type = dict[str, Any]
    Option = _Option

    class Input(Input):
        """A choice among options with inputs."""

        def __init__(self, id: str, options: Iterable[_Option], *arguments: Any, **common: Any) -> None:
            super().__init__(id, *arguments, **common)
            self.options = list(options)

        def _options(self) -> Options:
            return super()._options() | {"options": [option.as_dict() for option in self.options]}


@comfytype(io_type="COMFY_DYNAMICSLOT_V3")
class DynamicSlot(ComfyType):
    """A slot that brings further inputs when it is connected; a node is given `{id: value, name: value}`."""

    Type = dict[str, Any]

    class Input(Input):
        """`slot` is the input to connect, `inputs` are those that it brings."""

        def __init__(self, slot: Input, inputs: Iterable[Input], *arguments: Any, **common: Any) -> None:
            super().__init__(slot.id, *arguments, **({"optional": True, "tooltip": slot.tooltip} | common))
            self.slot = slot
            self.inputs = list(inputs)

        def _options(self) -> Options:
            own = {"slotType": self.slot.get_io_type(), "inputs": sections(self.inputs), "forceInput": True}
            return super()._options() | own


class _MatchTemplate:
    """Sockets of a node that must have one type: any of `allowed_types`."""

    def __init__(
        self, template_id: str, allowed_types: type[ComfyType] | Iterable[type[ComfyType]] = AnyType
    ) -> None:
        self.template_id = template_id
        self.allowed_types = [allowed_types] if isinstance(allowed_types, type) else list(allowed_types)

    def as_dict(self) -> Mapping[str, str]:
        """The template as it stands beside the type."""
        types = ",".join(kind.io_type for kind in self.allowed_types)
        return {"template_id": self.template_id, "allowed_types": types}


@comfytype(io_type="COMFY_MATCHTYPE_V3")
class MatchType(ComfyType):
    """Inputs and outputs of one type, which the links decide."""

    Template = _MatchTemplate

    class Input(Input):
        """An input of the type that the template's links have."""

        def __init__(self, id: str, template: _MatchTemplate, *arguments: Any, **common: Any) -> None:
            super().__init__(id, *arguments, **common)
            self.template = template

        def _options(self) -> Options:
            return super()._options() | {"template": self.template.as_dict()}

    class Output(Output):
        """An output of the type that the template's links have."""

        def __init__(
            self, template: _MatchTemplate, id: str | None = None, *arguments: Any, **common: Any
        ) -> None:
            super().__init__(id, *arguments, **common)
            self.template = template
