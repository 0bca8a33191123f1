"""How large the editor draws a node, in its pixels; near enough that nodes do not overlap."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from graphengine.workflow.widgets import DefinitionLike, InputLike

#: The bar above a node; its position is the corner below it.
TITLE_HEIGHT = 30.0

_SLOT_HEIGHT, _WIDGET_HEIGHT, _TEXT_HEIGHT, _PREVIEW_HEIGHT = 20.0, 24.0, 120.0, 220.0
_LETTER_WIDTH, _LEAST_WIDTH, _MOST_WIDTH, _WIDGETS_WIDTH, _TEXT_WIDTH = 7.5, 140.0, 480.0, 270.0, 400.0

Slots = Sequence[Mapping[str, JsonValue]]


def node_size(
    node: Mapping[str, JsonValue], inputs: Slots, outputs: Slots, definition: DefinitionLike | None
) -> tuple[float, float]:
    """Width and height of a node without its title bar."""
    title = str(node.get("title") or node["type"])
    widgets = _widget_specs(inputs, definition)
    rows = max(sum("widget" not in slot for slot in inputs), len(outputs))
    height = 10.0 + rows * _SLOT_HEIGHT + sum(_widget_height(spec) for spec in widgets)
    width = max(_LEAST_WIDTH, len(title) * _LETTER_WIDTH + 50, _slots_width(inputs, outputs))
    if widgets:
        width = max(width, _TEXT_WIDTH if any(_is_long(spec) for spec in widgets) else _WIDGETS_WIDTH)
    return min(width, _MOST_WIDTH), height


def _widget_specs(inputs: Slots, definition: DefinitionLike | None) -> list[InputLike | None]:
    if definition is None:
        return [None for slot in inputs if "widget" in slot]
    return [spec for spec in definition.inputs.values() if spec.is_widget]


def _widget_height(spec: InputLike | None) -> float:
    if _is_long(spec):
        return _TEXT_HEIGHT
    if spec is None:
        return _WIDGET_HEIGHT
    upload = any(spec.options.get(f"{kind}_upload") for kind in ("image", "video", "audio"))
    return _WIDGET_HEIGHT * (2 if spec.has_control else 1) + (_PREVIEW_HEIGHT if upload else 0.0)


def _is_long(spec: InputLike | None) -> bool:
    return spec is not None and spec.type == "STRING" and bool(spec.options.get("multiline"))


def _slots_width(inputs: Slots, outputs: Slots) -> float:
    names = [max((len(str(slot["name"])) for slot in side), default=0) for side in (inputs, outputs)]
    return sum(names) * _LETTER_WIDTH + 60
