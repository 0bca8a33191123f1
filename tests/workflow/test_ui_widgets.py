"""Widget values get their names."""

from typing import Any

import pytest

from graphengine.errors import Problem
from graphengine.node.definition import InputSpec, NodeDefinition
from graphengine.workflow.ui_models import UiNode
from graphengine.workflow.ui_widgets import widget_values
from tests.workflow.ui_documents import definition, node

RULES = InputSpec("rule", "COMBO", choices=("fixed", "free"))
MODES = InputSpec("mode", "COMBO", choices=("a", "b"))
CYCLED = InputSpec("file", "COMBO", choices=("x", "y"), options={"control_after_generate": True})
FORCED = InputSpec("width", "INT", options={"forceInput": True})
PROMPT = InputSpec("text", "STRING", options={"dynamicPrompts": True})
STEPS = InputSpec("steps", "INT", options={"default": 20})


def named(
    values: Any, known: NodeDefinition | None, inputs: list[tuple[Any, ...]] | None = None
) -> tuple[dict[str, Any], list[Problem]]:
    problems: list[Problem] = []
    raw = UiNode.model_validate(node(5, "Thing", inputs=inputs or (), values=values))
    return widget_values(raw, known, problems), problems


def values_of(values: Any, **inputs: InputSpec | str) -> dict[str, Any]:
    found, problems = named(values, definition("Thing", (), **inputs))
    assert problems == []
    return found


def test_values_stand_in_the_order_of_the_definition_without_sockets() -> None:
    found = values_of([1, 2.5, "t", True], model="MODEL", a="INT", b="FLOAT", clip="CLIP", c="STRING", d="BOOLEAN")
    assert found == {"a": 1, "b": 2.5, "c": "t", "d": True}


def test_an_input_forced_to_be_a_socket_holds_no_place() -> None:
    assert values_of([7], width=FORCED, height="INT") == {"height": 7}


@pytest.mark.parametrize("control", ["fixed", "increment", "decrement", "randomize", True, False])
@pytest.mark.parametrize("name", ["seed", "noise_seed"])
def test_the_control_behind_a_seed_is_skipped(name: str, control: object) -> None:
    assert values_of([5, control, 20], **{name: "INT"}, steps="INT") == {name: 5, "steps": 20}


def test_a_seed_without_control_is_followed_by_the_next_widget() -> None:
    assert values_of([5, 20], seed="INT", steps="INT") == {"seed": 5, "steps": 20}


@pytest.mark.parametrize(
    ("values", "flag"), [([5, True], True), ([5, "fixed", False], False), ([5, True, False], False)]
)
def test_a_flag_behind_a_seed_is_told_from_its_control(values: list[Any], flag: bool) -> None:
    assert values_of(values, seed="INT", flag="BOOLEAN") == {"seed": 5, "flag": flag}


@pytest.mark.parametrize(("values", "rule"), [([5, "fixed"], "fixed"), ([5, "randomize", "fixed"], "fixed")])
def test_a_choice_named_like_a_control_is_told_from_one(values: list[Any], rule: str) -> None:
    assert values_of(values, seed="INT", rule=RULES) == {"seed": 5, "rule": rule}


@pytest.mark.parametrize("values", [["x", "fixed", "", "b"], ["x", "fixed", "b"], ["x", "b"]])
def test_a_combo_with_control_may_keep_a_filter_as_well(values: list[Any]) -> None:
    assert values_of(values, file=CYCLED, mode=MODES) == {"file": "x", "mode": "b"}


@pytest.mark.parametrize("left", [["image"], ["image", ""], [None, None], [{"filename": "x"}], [[True]]])
def test_what_buttons_and_previews_leave_behind_is_ignored(left: list[Any]) -> None:
    assert values_of(["b", *left], mode=MODES) == {"mode": "b"}


def test_values_that_fit_no_widget_are_told() -> None:
    found, problems = named([1, 2, 3], definition("Thing", a="INT"))
    assert found == {"a": 1}
    assert [(each.code, each.severity, each.node_id) for each in problems] == [("widget_values", "warning", "5")]
    assert problems[0].message.startswith("2 of its values fit no widget")


def test_a_widget_newer_than_the_document_keeps_its_default() -> None:
    assert values_of([1], a="INT", steps=STEPS, mode=MODES, text="STRING") == {"a": 1, "steps": 20, "mode": "a"}
    assert values_of(None, steps=STEPS) == {"steps": 20}


@pytest.mark.parametrize("text", ["a {red|blue} hat", "a hat // not yet", "a hat /* red */"])
def test_a_text_that_the_editor_would_resolve_is_told(text: str) -> None:
    found, problems = named([text], definition("Thing", (), text=PROMPT))
    assert found == {"text": text}
    assert [(each.code, each.severity, each.input_name) for each in problems] == [
        ("dynamic_prompt", "warning", "text")
    ]


@pytest.mark.parametrize("text", ["a (red:1.2) hat", r"a \{red|blue\} hat", "{}"])
def test_a_text_that_the_editor_would_leave_alone_is_no_finding(text: str) -> None:
    assert values_of([text], text=PROMPT) == {"text": text}
    assert values_of(["{a|b}"], path="STRING") == {"path": "{a|b}"}


def test_a_text_that_a_link_replaces_is_no_finding() -> None:
    assert named(["{a|b}"], definition("Thing", (), text=PROMPT), [("text", "STRING", 3, "widget")])[1] == []


def test_named_values_are_taken_by_name() -> None:
    values = {"steps": 3, "videopreview": {"hidden": False}, "unheard_of": 1}
    assert values_of(values, steps="INT") == {"steps": 3}
    assert named(values, None) == ({"steps": 3, "unheard_of": 1}, [])


def test_an_unknown_node_takes_names_from_its_widget_slots() -> None:
    slots = [("model", "MODEL"), ("seed", "INT", None, "widget"), ("text", "STRING", None, "widget")]
    assert named([5, "randomize", "t"], None, slots) == ({"seed": 5, "text": "t"}, [])


@pytest.mark.parametrize("values", [[5], [5, "t", 1.5]])
def test_an_unknown_node_whose_slots_do_not_name_every_value_is_a_problem(values: list[Any]) -> None:
    found, problems = named(values, None, [("a", "INT", None, "widget"), ("b", "STRING", None, "widget")])
    assert found == {}
    assert [(each.code, each.severity, each.class_type) for each in problems] == [
        ("unnamed_widgets", "warning", "Thing")
    ]
    assert f"its {len(values)} widget values have no names" in problems[0].message


def test_an_unknown_node_without_values_is_left_to_validation() -> None:
    assert named([], None) == ({}, [])


SCALING = InputSpec(
    "resize",
    "COMFY_DYNAMICCOMBO_V3",
    options={
        "options": [
            {
                "key": "size",
                "inputs": {
                    "required": {"width": ["INT", {"default": 512}], "image": ["IMAGE", {}], "seed": ["INT"]},
                    "optional": {"crop": [["center", "none"]], "height": ["INT", {"forceInput": True}]},
                },
            },
            {"key": "factor", "inputs": {"required": {"by": ["FLOAT", {}]}}},
            {
                "key": "deep",
                "inputs": {
                    "required": {
                        "kind": [
                            "COMFY_DYNAMICCOMBO_V3",
                            {"options": [{"key": "b", "inputs": {"required": {"x": ["INT"]}}}]},
                        ]
                    }
                },
            },
            {"key": "odd", "inputs": {"required": ["x"], "optional": {"y": 3}}},
            "broken",
        ]
    },
)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (
            ["size", 640, 7, "fixed", "none", "lanczos"],
            {"resize": "size", "resize.width": 640, "resize.seed": 7, "resize.crop": "none", "method": "lanczos"},
        ),
        (["factor", 1.5, "lanczos"], {"resize": "factor", "resize.by": 1.5, "method": "lanczos"}),
        (
            ["deep", "b", 4, "lanczos"],
            {"resize": "deep", "resize.kind": "b", "resize.kind.x": 4, "method": "lanczos"},
        ),
        (["odd", "lanczos"], {"resize": "odd", "method": "lanczos"}),
        (["gone", "lanczos"], {"resize": "gone", "method": "lanczos"}),
    ],
)
def test_the_choice_of_a_dynamic_combo_brings_widgets_of_its_own(values: Any, wanted: Any) -> None:
    assert values_of(values, resize=SCALING, method="STRING") == wanted


def test_named_values_of_a_dynamic_combo_are_kept() -> None:
    values = {"resize": "size", "resize.width": 640, "method": "lanczos", "other": 1}
    wanted = {"resize": "size", "resize.width": 640, "resize.crop": "center", "method": "lanczos"}
    assert values_of(values, resize=SCALING, method="STRING") == wanted


def test_widgets_that_a_choice_has_gained_since_keep_their_defaults() -> None:
    wanted = {"resize": "size", "resize.width": 512, "resize.crop": "center"}
    assert values_of(["size"], resize=SCALING) == wanted


def test_a_slot_with_a_widget_holds_a_place_whatever_its_type() -> None:
    known = definition("Thing", (), tint="COLOR", amount="FLOAT")
    assert named(["#fff", 0.5], known, [("tint", "COLOR", None, "widget")])[0] == {"tint": "#fff", "amount": 0.5}
