"""The names of a node's widget values, which the editor saves as a bare list."""

import re
from collections import deque
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.ui_models import UiNode
from graphengine.workflow.widgets import (
    BUTTON,
    DYNAMIC_COMBO,
    DefinitionLike,
    InputLike,
    is_widget,
    widgets_of_choice,
)

_CONTROL_VALUES = frozenset({"fixed", "increment", "decrement", "randomize"})
_CONTROLLED = frozenset({"seed", "noise_seed"})
_BUTTON_VALUES = frozenset({"", "image", "upload", "choose file to upload"})
# `{day|night}` (one is chosen at random) and comments, which the editor resolves before it queues a text.
_DYNAMIC_TEXT = re.compile(r"(?<!\\)\{[^{}]*\||//|/\*")
# Previews that packs keep among named values.
_NO_INPUTS = frozenset({"videopreview"})


def widget_values(
    node: UiNode, definition: DefinitionLike | None, problems: list[Problem]
) -> dict[str, JsonValue]:
    """The node's own values by input name; what cannot be named is added to `problems`."""
    if definition is not None:
        return _by_definition(node, definition, problems)
    values = node.widgets_values
    if isinstance(values, dict):
        return {name: value for name, value in values.items() if name not in _NO_INPUTS}
    if not values:
        return {}
    by_slot = _by_slots(values, [slot.widget.name for slot in node.inputs or () if slot.widget is not None])
    if by_slot is None:
        problems.append(_unknown(node, len(values)))
    return by_slot or {}


def _by_definition(node: UiNode, definition: DefinitionLike, problems: list[Problem]) -> dict[str, JsonValue]:
    # newer editors say which slots stand for widgets, also for types that only a pack knows widgets for
    slots = {slot.widget.name for slot in node.inputs or () if slot.widget is not None}
    widgets = {name: spec for name, spec in definition.inputs.items() if is_widget(spec) or name in slots}
    values = node.widgets_values or []
    if isinstance(values, dict):
        found = {name: value for name, value in values.items() if name.partition(".")[0] in definition.inputs}
        left: Sequence[JsonValue] = ()
    else:
        found, left = in_order(values, widgets)
    if widgets and any(_is_odd(value) for value in left):
        problems.append(_too_many(node, len(left)))
    linked = {slot.name for slot in node.inputs or () if slot.link is not None}
    waiting = deque(widgets.items())
    while waiting:
        name, spec = waiting.popleft()
        if name not in found:  # newer than the document: it keeps its default, as in the editor
            found.update(_default(name, spec))
        elif name not in linked and _is_dynamic(found[name], spec):
            problems.append(_dynamic(node, name))
        if spec.type == DYNAMIC_COMBO:
            waiting.extendleft(reversed(_widgets_of_choice(name, spec, found.get(name))))
    return found


def _widgets_of_choice(name: str, spec: InputLike, choice: JsonValue) -> list[tuple[str, InputLike]]:
    """The widgets that a choice brings, by the names of their inputs."""
    return [(f"{name}.{each}", inner) for each, inner in widgets_of_choice(spec, choice)]


def in_order(
    values: Sequence[JsonValue], widgets: Mapping[str, InputLike]
) -> tuple[dict[str, JsonValue], Sequence[JsonValue]]:
    """Values to widgets in order, as far as they go, and the values left over; buttons get none."""
    found: dict[str, JsonValue] = {}
    waiting = deque(widgets.items())
    at = 0
    while waiting and at < len(values):
        name, spec = waiting.popleft()
        if spec.type == BUTTON:
            at += _is_button(values[at])
            continue
        found[name] = value = values[at]
        at += 1
        if spec.type == DYNAMIC_COMBO:
            waiting.extendleft(reversed(_widgets_of_choice(name, spec, value)))
        elif spec.has_control and at < len(values):
            at += _control_values(spec, values, at, waiting)
    return found, values[at:]


def _is_button(value: JsonValue) -> bool:
    return isinstance(value, str) and bool(value) and value in _BUTTON_VALUES


def _is_odd(value: JsonValue) -> bool:
    """Whether a value left over is none of those that buttons and previews of the editor leave behind."""
    return isinstance(value, str | int | float) and value not in _BUTTON_VALUES


def _control_values(
    spec: InputLike, values: Sequence[JsonValue], at: int, waiting: deque[tuple[str, InputLike]]
) -> int:
    """How many of the values from `at` belong to the control of `spec`: the rule, and the filter of a combo."""
    surplus = len(values) - at - len(waiting)
    value, after = values[at], waiting[0][1] if waiting else None
    if isinstance(value, bool):  # as old editors wrote it
        return int(surplus > 0 or after is None or after.type != "BOOLEAN")
    if not isinstance(value, str) or value not in _CONTROL_VALUES:
        return 0
    if surplus <= 0 and after is not None and isinstance(after.choices, tuple) and value in after.choices:
        return 0
    has_filter = spec.type == "COMBO" and surplus > 1 and values[at + 1] == ""
    return 2 if has_filter else 1


def _default(name: str, spec: InputLike) -> dict[str, JsonValue]:
    """What a new widget holds in the editor: its default, else the first choice; nothing without either."""
    match spec.options.get("default"), spec.choices:
        case (str() | int() | float() as default, _):
            return {name: default}
        case (_, (str() | int() | float() as first, *_)):
            return {name: first}
        case _:
            return {}


def _by_slots(values: Sequence[JsonValue], names: Sequence[str]) -> dict[str, JsonValue] | None:
    """Values by the names of the widget slots, None unless the slots name every value."""
    found: dict[str, JsonValue] = {}
    at = 0
    for name in names:
        if at >= len(values):
            return None
        found[name] = values[at]
        at += 1
        if name in _CONTROLLED and at < len(values) and values[at] in _CONTROL_VALUES:
            at += 1
    return found if at == len(values) else None


def _is_dynamic(value: JsonValue, spec: InputLike) -> bool:
    """Whether the editor would change the text when it queues it."""
    dynamic = spec.options.get("dynamicPrompts") and isinstance(value, str)
    return bool(dynamic and _DYNAMIC_TEXT.search(str(value)))


def _unknown(node: UiNode, count: int) -> Problem:
    return Problem(
        "unnamed_widgets",
        f"the node type {node.type!r} is not known, so its {count} widget values have no names",
        node_id=str(node.id),
        class_type=node.type,
        hint="install the node pack that defines it, or run the API document (in the editor, File > Export (API))",
        severity="warning",  # without its pack it cannot run, and validation says so; converted it can be
    )


def _too_many(node: UiNode, left: int) -> Problem:
    return Problem(
        "widget_values",
        f"{left} of its values fit no widget; it may have been saved with another version of the node",
        node_id=str(node.id),
        class_type=node.type,
        hint="check its values: open and save the workflow again in the editor",
        severity="warning",
    )


def _dynamic(node: UiNode, name: str) -> Problem:
    return Problem(
        "dynamic_prompt",
        f"input {name!r}: the editor resolves {{a|b}} and comments when it queues; here they stay",
        node_id=str(node.id),
        class_type=node.type,
        input_name=name,
        hint="write the text as it should be read",
        severity="warning",
    )
