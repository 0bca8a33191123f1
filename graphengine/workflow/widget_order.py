"""Which widgets a node has, and what a new one holds: what a drawn node needs to know of its definition."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from graphengine.workflow.ui_widgets import InputLike, PlainWidget, is_widget

_EMPTY: Mapping[str, JsonValue] = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False, "COMBO": ""}
_SEEDS = frozenset({"seed", "noise_seed"})


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


def widgets_of_choice(spec: InputLike, choice: JsonValue) -> Iterator[tuple[str, PlainWidget]]:
    """The widgets that a dynamic combo shows for a choice, in their order; nothing for any other input.

    Its options are `[{"key": "by width", "inputs": {"required": {"width": ["INT", {…}]}, "optional": {…}}}, …]`.
    """
    options = spec.options.get("options")
    for option in options if isinstance(options, list | tuple) else ():
        match option:
            case {"key": key, "inputs": dict(sections)} if key == choice:
                for part in ("required", "optional"):
                    section = sections.get(part)
                    items = section.items() if isinstance(section, dict) else ()
                    widgets = ((name, _declared(name, declared)) for name, declared in items)
                    yield from ((name, widget) for name, widget in widgets if is_widget(widget))
                return


# Any: an option is what an author wrote.
def _declared(name: str, declared: Any) -> PlainWidget:
    match declared:
        case [list() | tuple() as choices, *_]:
            return PlainWidget("COMBO", choices=tuple(choices))
        case [str(type_), dict(options), *_]:
            control = options.get("control_after_generate", type_ == "INT" and name in _SEEDS)
            return PlainWidget(
                type_, type_ in _EMPTY and not options.get("forceInput"), bool(control), None, options
            )
        case [str(type_), *_]:
            return PlainWidget(type_, type_ in _EMPTY, type_ == "INT" and name in _SEEDS)
        case _:
            return PlainWidget(is_widget=False)
