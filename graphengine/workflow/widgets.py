"""What conversion knows of widgets: protocols that definitions fit, and what the editor does with them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import JsonValue

_CONTROLLED = frozenset({"seed", "noise_seed"})
_EMPTY: Mapping[str, JsonValue] = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False, "COMBO": ""}
#: The type of a combo whose choice decides which widgets follow.
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
_PLAIN_WIDGETS = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})


class InputLike(Protocol):
    """What conversion asks of an input's definition."""

    @property
    def type(self) -> str:
        """The socket type; "COMBO" for a list of choices."""

    @property
    def is_widget(self) -> bool:
        """Whether the editor keeps a value for it."""

    @property
    def required(self) -> bool:
        """Whether a node cannot run without it."""

    @property
    def has_control(self) -> bool:
        """Whether a "control after generate" value follows it."""

    @property
    def choices(self) -> object:
        """The allowed values of a combo, when they are a tuple."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What the author wrote beside the type."""


class DefinitionLike(Protocol):
    """What conversion asks of a node definition."""

    @property
    def inputs(self) -> Mapping[str, InputLike]:
        """Inputs in the order of declaration: required, then optional."""


#: The type of widgets that are buttons: the editor keeps a text for them that is no value.
BUTTON = "BUTTON"


@dataclass(frozen=True, slots=True)
class PlainWidget:
    """A widget of which no definition tells."""

    type: str = "*"
    is_widget: bool = True
    has_control: bool = False
    choices: object = None
    # Any: as definitions have it.
    options: Mapping[str, Any] = field(default_factory=dict)
    required: bool = True


def is_widget(spec: InputLike) -> bool:
    """Whether the editor keeps a value for an input."""
    return spec.is_widget or spec.type == DYNAMIC_COMBO


def default_value(spec: InputLike) -> JsonValue:
    """What a new widget holds in the editor: its default, else its first choice, else nothing of its type."""
    match spec.options.get("default"), spec.choices, spec.options.get("options"):
        case (str() | int() | float() as default, _, _):
            return default
        case (_, (str() | int() | float() as first, *_), _):
            return first
        case (_, _, [{"key": str() as first}, *_]) | (_, _, [str() | int() | float() as first, *_]):
            return first
        case _:
            return _EMPTY.get(spec.type)


def widgets_of_choice(spec: InputLike, choice: JsonValue) -> Iterator[tuple[str, InputLike]]:
    """The widgets that a dynamic combo has for a choice, as its options declare them.

    `{"options": [{"key": "scale", "inputs": {"required": {"width": ["INT", {…}]}, "optional": {…}}}]}`
    """
    options = spec.options.get("options")
    for option in options if isinstance(options, list | tuple) else ():
        match option:
            case {"key": key, "inputs": dict(sections)} if key == choice:
                inner = [
                    _declared(*item) for part in ("required", "optional") for item in _items(sections.get(part))
                ]
                yield from ((name, widget) for name, widget in inner if is_widget(widget))
                return


# Any: options are what an author wrote.
def _items(section: Any) -> Iterator[tuple[str, Any]]:
    yield from section.items() if isinstance(section, Mapping) else ()


def _declared(name: str, declared: Any) -> tuple[str, PlainWidget]:
    """The input of an option."""
    match declared:
        case [str(type_), dict(options), *_]:
            pass
        case [str(type_), *_]:
            options = {}
        case [list(choices), *_]:
            return name, PlainWidget("COMBO", choices=tuple(choices))
        case _:
            return name, PlainWidget(is_widget=False)
    plain = type_ in _PLAIN_WIDGETS and not options.get("forceInput")
    control = options.get("control_after_generate", type_ == "INT" and name in _CONTROLLED)
    return name, PlainWidget(type_, plain, bool(control), None, options)
