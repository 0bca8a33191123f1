from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.node.definition import NodeDefinition
from graphengine.node.dynamic import live_inputs, nested_inputs
from graphengine.node.inputs import read_input


def node(**inputs: Any) -> NodeDefinition:
    specs = {name: read_input(name, declared, required=True) for name, declared in inputs.items()}
    return NodeDefinition("Node", specs, ())


def grow(kind: str, prefix: str, least: int, most: int) -> list[object]:
    template = {"input": {"required": {"one": [kind, {}]}}, "prefix": prefix, "min": least, "max": most}
    return ["COMFY_AUTOGROW_V3", {"template": template}]


def choose(**options: dict[str, object]) -> list[object]:
    declared = [{"key": key, "inputs": {"required": inputs}} for key, inputs in options.items()]
    return ["COMFY_DYNAMICCOMBO_V3", {"options": declared}]


PLAIN = node(width=("INT", {}))
BATCH = node(images=grow("IMAGE", "image", 1, 3), width=("INT", {}))
RESIZE = node(mode=choose(scale={"factor": ["FLOAT", {}]}, size={"width": ["INT", {}]}, off={}))
EDIT = node(
    model=choose(big={"images": grow("IMAGE", "image_", 0, 2), "codec": choose(h264={"crf": ["INT", {}]})})
)
SLOT = node(image=["COMFY_DYNAMICSLOT_V3", {"slotType": "IMAGE", "inputs": {"required": {"x": ["INT", {}]}}}])


class TestTheLiveInputs:
    def test_of_a_node_without_dynamic_ones_are_those_of_its_definition(self) -> None:
        assert live_inputs(PLAIN, {"width": 5}) is PLAIN.inputs

    def test_hold_all_that_can_grow_and_not_what_they_grow_from(self) -> None:
        live = live_inputs(BATCH, {})
        assert list(live) == ["images.image0", "images.image1", "images.image2", "width"]
        assert [spec.required for spec in live.values()] == [True, False, False, True]

    @pytest.mark.parametrize(
        ("choice", "names"),
        [
            ("scale", ["mode", "mode.factor"]),
            ("size", ["mode", "mode.width"]),
            ("off", ["mode"]),
            ("unheard of", ["mode"]),
            (None, ["mode"]),
        ],
    )
    def test_follow_the_choice_of_a_combo(self, choice: object, names: list[str]) -> None:
        assert list(live_inputs(RESIZE, {"mode": choice})) == names

    def test_of_a_choice_that_is_linked_are_those_of_all_and_none_is_required(self) -> None:
        live = live_inputs(RESIZE, {"mode": object()})
        assert {name: spec.required for name, spec in live.items()} == {
            "mode": True,
            "mode.factor": False,
            "mode.width": False,
        }

    def test_nest(self) -> None:
        assert list(live_inputs(EDIT, {"model": "big", "model.codec": "h264"})) == [
            "model",
            "model.images.image_0",
            "model.images.image_1",
            "model.codec",
            "model.codec.crf",
        ]

    def test_of_a_slot_are_there_when_it_is_linked(self) -> None:
        assert list(live_inputs(SLOT, {})) == ["image"]
        assert list(live_inputs(SLOT, {"image": object()})) == ["image", "image.x"]


class TestANodeIsGiven:
    def test_other_values_as_they_are(self) -> None:
        values = {"width": 5, "undeclared.name": 1}
        assert nested_inputs(PLAIN, values) == values

    def test_what_has_grown_as_one_dict(self) -> None:
        values = {"images.image0": "a", "images.image1": "b", "width": 5}
        assert nested_inputs(BATCH, values) == {"images": {"image0": "a", "image1": "b"}, "width": 5}

    def test_an_empty_dict_when_nothing_has_grown(self) -> None:
        assert nested_inputs(BATCH, {"width": 5}) == {"images": {}, "width": 5}

    def test_a_choice_together_with_its_inputs(self) -> None:
        assert nested_inputs(RESIZE, {"mode": "size", "mode.width": 64}) == {"mode": {"mode": "size", "width": 64}}
        assert nested_inputs(RESIZE, {"mode": "off"}) == {"mode": {"mode": "off"}}

    def test_no_dict_for_a_choice_that_was_not_made(self) -> None:
        assert nested_inputs(RESIZE, {}) == {}

    def test_dicts_in_dicts(self) -> None:
        values = {"model": "big", "model.images.image_1": "b", "model.codec": "h264", "model.codec.crf": 20}
        assert nested_inputs(EDIT, values) == {
            "model": {"model": "big", "images": {"image_1": "b"}, "codec": {"codec": "h264", "crf": 20}}
        }

    def test_a_slot_together_with_its_inputs_whatever_it_holds(self) -> None:
        assert nested_inputs(SLOT, {"image": None, "image.x": 3}) == {"image": {"image": None, "x": 3}}

    def test_lists_of_items_when_it_takes_lists(self) -> None:
        values = {"mode": ["size"], "mode.width": [64, 32]}
        assert nested_inputs(RESIZE, values) == {"mode": {"mode": ["size"], "width": [64, 32]}}

    def test_flat_names_beside_the_values_when_it_is_asked_what_it_needs(self) -> None:
        values = {"images.image0": None, "width": 5}
        assert nested_inputs(BATCH, values, with_names=True) == {
            "images": {"image0": (None, "images.image0")},
            "width": 5,
        }


@given(st.sets(st.integers(0, 2)), st.booleans())
def test_no_value_is_lost_or_doubled(held: set[int], has_width: bool) -> None:
    values: dict[str, object] = {f"images.image{index}": index for index in held}
    if has_width:
        values["width"] = 7
    nested = nested_inputs(BATCH, values)
    assert sorted(nested["images"].values()) == sorted(held)
    assert ("width" in nested) is has_width
