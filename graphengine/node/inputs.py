"""What an input of a node type is, read from the form that `INPUT_TYPES` and `/object_info` have.

A dynamic input brings others along, whose names stand behind its own: `images` grows `images.image0` and
`images.image1`, the choice `mode` has `mode.strength`. The forms, with `INPUTS` for
`{"required": {name: [type, options]}, "optional": …}`:

    ["COMFY_AUTOGROW_V3", {"template": {"input": INPUTS of one, "prefix": "image", "min": 1, "max": 10}}]
    ["COMFY_AUTOGROW_V3", {"template": {"input": INPUTS of one, "names": ["a", "b"], "min": 1}}]
    ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "scale", "inputs": INPUTS}, …]}]
    ["COMFY_DYNAMICSLOT_V3", {"slotType": "IMAGE", "inputs": INPUTS}]
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from graphengine.errors import PackError
from graphengine.node.files import FileNames, Files
from graphengine.node.types import MATCHED, MULTI_TYPED, WIDGET_TYPES, SocketType, compares_itself, plain_text

#: The type of inputs of which there are as many as are linked.
AUTOGROW = "COMFY_AUTOGROW_V3"
#: The type of a combo whose choice decides which inputs follow.
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
#: The type of an input that brings others along when it is linked.
DYNAMIC_SLOT = "COMFY_DYNAMICSLOT_V3"

_DYNAMIC = frozenset({AUTOGROW, DYNAMIC_COMBO, DYNAMIC_SLOT})
_MOST_GROWN = 100
_DEEPEST = 16  # inputs that bring along inputs that bring along …


@dataclass(frozen=True)
class InputSpec:
    """One input of a node type.

    `type` is the socket type ("INT", "MODEL", "IMAGE,MASK", "*"; "COMBO" for a list of choices), `choices` the
    allowed values of a combo, `options` what the author wrote beside the type (default, min, max, tooltip, …).
    `own_type` is the type as the author's object when that compares in its own way.
    """

    name: str
    type: SocketType
    required: bool = True
    choices: tuple[object, ...] | Files | None = None
    # Any: authors put whatever they like beside the type.
    options: Mapping[str, Any] = field(default_factory=dict)
    own_type: str | None = field(default=None, compare=False, repr=False)

    @cached_property
    def is_widget(self) -> bool:
        """Whether the editor shows a widget for it, so that its value stands in `widgets_values`."""
        return self.type in WIDGET_TYPES and not self.options.get("forceInput")

    @cached_property
    def has_control(self) -> bool:
        """Whether the editor keeps an extra "control after generate" value behind the widget."""
        if self.type not in ("INT", "COMBO"):
            return False
        if "control_after_generate" in self.options:
            return bool(self.options["control_after_generate"])
        return self.type == "INT" and self.name in ("seed", "noise_seed")

    @property
    def is_lazy(self) -> bool:
        """Whether the node decides at run time if it needs this input."""
        return bool(self.options.get("lazy"))

    @property
    def raw_link(self) -> bool:
        """Whether the node is given the link itself, `[node id, output]`, in place of what comes over it."""
        return bool(self.options.get("rawLink"))

    @property
    def takes_many(self) -> bool:
        """Whether several choices can be made at once, so that its value is a list of them."""
        return self.choices is not None and bool(
            self.options.get("multi_select") or self.options.get("multiselect")
        )

    @cached_property
    def link_type(self) -> SocketType:
        """The type of what may be linked to it: the socket type, or what a dynamic one allows."""
        match self.type, self.options:
            case (t, {"template": {"allowed_types": str(allowed)}}) if t == MATCHED:
                return allowed or "*"
            case (t, {"slotType": str(slot)}) if t == DYNAMIC_SLOT:
                return slot
            case (t, _) if t in (MATCHED, MULTI_TYPED, AUTOGROW, DYNAMIC_SLOT):
                return "*"
            case (t, _) if t == DYNAMIC_COMBO:
                return "COMBO"
        return self.type

    @property
    def is_dynamic(self) -> bool:
        """Whether it brings other inputs along."""
        return self.type in _DYNAMIC

    @cached_property
    def inner(self) -> Mapping[str, tuple["InputSpec", ...]]:
        """The inputs that a dynamic input brings along, under their whole names: those of a combo by choice, all
        others under "". What is not in one of the forms above brings none.
        """
        if self.name.count(".") >= _DEEPEST:
            return {}
        match self.type, self.options:
            case (t, {"template": dict(template)}) if t == AUTOGROW:
                return {"": tuple(_grown(self, template))}
            case (t, {"inputs": Mapping() as sections}) if t == DYNAMIC_SLOT:
                return {"": tuple(_section_inputs(f"{self.name}.", sections))}
            case (t, {"options": [*options]}) if t == DYNAMIC_COMBO:
                prefix = f"{self.name}."
                return {key: tuple(_section_inputs(prefix, inputs)) for key, inputs in _combo_options(options)}
        return {}


# Any: an entry of INPUT_TYPES is whatever its author wrote; the next functions find out.
def read_input(name: str, declared: Any, *, required: bool) -> InputSpec:
    """One entry of `INPUT_TYPES`: `("INT", {"min": 0})`, `(["a", "b"],)`, `("COMBO", {"options": […]})`.

    Raises:
        PackError: its type is neither a name nor a list of choices.
    """
    parts = declared if isinstance(declared, tuple | list) else (declared,)
    kind, options = _symbolic(parts[0], dict(parts[1]) if len(parts) > 1 and parts[1] else {})
    match kind:
        case Files():
            return InputSpec(name, "COMBO", required, kind, options)
        case list() | tuple() | range():
            return InputSpec(name, "COMBO", required, tuple(kind), options)
        case str():
            type_ = plain_text(kind)
            own = kind if compares_itself(kind) else None
            return InputSpec(name, type_, required, _choices(type_, options), options, own)
        case _:
            raise PackError(f"input {name!r} has the type {kind!r}, which is neither a name nor a list of choices")


def _symbolic(kind: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The type and options with a list of file names as the files it lists."""
    listed = options.get("options") if isinstance(kind, str) else kind
    files = listed.files if isinstance(listed, FileNames) else None
    several = options.get("multiselect") or "multi_select" in options  # which has no place in a cache key
    if files is None or several:
        return kind, options
    return files, {name: value for name, value in options.items() if value is not listed}


def _choices(type_: SocketType, options: Mapping[str, Any]) -> tuple[object, ...] | None:
    declared = options.get("options")
    if type_ == "COMBO" and declared is not None:
        return tuple(declared)
    if type_ == DYNAMIC_COMBO and isinstance(declared, list | tuple):
        return tuple(key for key, _ in _combo_options(declared))
    return None


def _combo_options(options: Sequence[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for option in options:
        match option:
            case {"key": str(key), "inputs": Mapping() as sections}:
                yield key, sections
            case {"key": str(key)}:
                yield key, {}


def _section_inputs(prefix: str, sections: Mapping[str, Any]) -> Iterator[InputSpec]:
    for section in ("required", "optional"):
        declared = sections.get(section)
        for name, entry in declared.items() if isinstance(declared, Mapping) else ():
            try:
                yield read_input(f"{prefix}{name}", entry, required=section == "required")
            except (PackError, TypeError, ValueError, LookupError):
                continue  # it cannot be read, so it is an input that nobody declared


def _grown(spec: InputSpec, template: Mapping[str, Any]) -> Iterator[InputSpec]:
    """All inputs that a template can grow; the first `min` are required if the template's input is."""
    sections = template.get("input")
    model = next(_section_inputs("", sections), None) if isinstance(sections, Mapping) else None
    if model is None or model.is_dynamic:  # inputs that grow inputs would be any number
        return
    least = _count(template.get("min"), 0)
    for index, name in enumerate(_grown_names(template)):
        required = spec.required and model.required and index < least
        yield replace(model, name=f"{spec.name}.{name}", required=required)


def _grown_names(template: Mapping[str, Any]) -> list[str]:
    match template:
        case {"names": [*names]}:
            return [str(name) for name in names[:_MOST_GROWN]]
        case {"prefix": str(prefix)}:
            return [f"{prefix}{index}" for index in range(_count(template.get("max"), _MOST_GROWN))]
    return []


def _count(value: object, default: int) -> int:
    return min(value, _MOST_GROWN) if isinstance(value, int) else default
