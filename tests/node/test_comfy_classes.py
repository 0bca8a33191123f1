import json
from typing import Any

import pytest

from graphengine.errors import PackError
from graphengine.node.comfy_classes import define
from graphengine.node.definition import Files, InputSpec, NodeDefinition, OutputSpec
from graphengine.node.object_info import definition_to_object_info


class AnyType(str):
    """As packs write it: equal to every type."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


class Full:
    RETURN_TYPES = ("IMAGE", ["a", "b"], AnyType("*"))
    RETURN_NAMES = ("picture", "letter")
    OUTPUT_IS_LIST = (True, False, False)
    OUTPUT_TOOLTIPS = ("The picture.",)
    FUNCTION = "go"
    CATEGORY = "test/full"
    DESCRIPTION = "Everything at once."
    OUTPUT_NODE = True
    INPUT_IS_LIST = True
    DEPRECATED = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "count": ("INT", {"default": 1, "min": 0}),
                "mode": (["fast", "slow"], {"default": "slow"}),
                "name": (Files("input"), {"image_upload": True}),
                "new": ("COMBO", {"options": [1, 2]}),
            },
            "optional": {"anything": (AnyType("*"),), "image": ("IMAGE",)},
            "hidden": {"node": "UNIQUE_ID"},
        }

    @classmethod
    def IS_CHANGED(cls) -> int:
        return 1

    @classmethod
    def VALIDATE_INPUTS(cls, count: int, **rest: object) -> bool:
        return True

    def go(self) -> None: ...


def full() -> NodeDefinition:
    return define("Full", Full, display_name="The full node", module="m", version="v")


def test_inputs_are_read_in_order_with_type_choices_and_options() -> None:
    assert list(full().inputs.values()) == [
        InputSpec("count", "INT", True, None, {"default": 1, "min": 0}),
        InputSpec("mode", "COMBO", True, ("fast", "slow"), {"default": "slow"}),
        InputSpec("name", "COMBO", True, Files("input"), {"image_upload": True}),
        InputSpec("new", "COMBO", True, (1, 2), {"options": [1, 2]}),
        InputSpec("anything", "*", False),
        InputSpec("image", "IMAGE", False),
    ]


def test_outputs_take_their_names_from_the_types_where_none_is_given() -> None:
    assert full().outputs == (
        OutputSpec("picture", "IMAGE", True, "The picture."),
        OutputSpec("letter", "COMBO"),
        OutputSpec("*", "*"),
    )


def test_flags_and_texts_are_read_once() -> None:
    node = full()
    assert (node.display_name, node.category, node.function, node.version) == (
        "The full node",
        "test/full",
        "go",
        "v",
    )
    assert (node.is_output, node.input_is_list, node.deprecated, node.experimental) == (True, True, True, False)
    assert (node.has_fingerprint, node.hidden) == (True, {"node": "UNIQUE_ID"})
    assert node.checked_by_node == {"count", "rest", "*"} - {"rest"}


def test_a_type_that_compares_in_its_own_way_becomes_plain_text() -> None:
    assert type(full().inputs["anything"].type) is str


@pytest.mark.parametrize(
    ("name", "options", "widget", "control"),
    [
        ("seed", {}, True, True),
        ("noise_seed", {}, True, True),
        ("steps", {}, True, False),
        ("steps", {"control_after_generate": True}, True, True),
        ("seed", {"control_after_generate": False}, True, False),
        ("value", {"forceInput": True}, False, False),
    ],
)
def test_which_inputs_have_widgets_and_control_values(
    name: str, options: dict[str, object], widget: bool, control: bool
) -> None:
    spec = InputSpec(name, "INT", options=options)
    assert (spec.is_widget, spec.has_control) == (widget, control)


def broken(**attributes: object) -> type[Any]:
    methods = {"INPUT_TYPES": classmethod(lambda cls: {"required": {}}), "FUNCTION": "go", "go": lambda self: ()}
    return type("Broken", (), {**methods, **attributes})


class TakesEverything(dict[str, Any]):
    """As packs write it: there is no name it does not contain."""

    def __contains__(self, name: object) -> bool:
        return True


class AnswersAnyNumber(tuple[Any, ...]):
    """As packs write it: there is no end of it, and every item is of an "any" type."""

    def __getitem__(self, index: Any) -> Any:
        return AnyType(tuple.__getitem__(self, min(index, len(self) - 1)))


def test_the_own_types_of_inputs_and_outputs_are_kept_beside_their_texts() -> None:
    node = full()
    assert isinstance(node.inputs["anything"].own_type, AnyType)
    assert isinstance(node.outputs[2].own_type, AnyType)
    assert node.inputs["image"].own_type is None
    written = json.dumps(definition_to_object_info(node))
    assert json.loads(written)["input"]["optional"]["anything"] == ["*"]


def test_optional_inputs_that_claim_to_hold_every_name_take_any_input() -> None:
    inputs = classmethod(lambda cls: {"required": {}, "optional": TakesEverything()})
    assert define("Open", broken(INPUT_TYPES=inputs)).takes_any_input
    assert not full().takes_any_input


def test_outputs_without_end_are_said_once() -> None:
    node = define("Open", broken(RETURN_TYPES=AnswersAnyNumber(["IMAGE"])))
    assert [output.type for output in node.outputs] == ["IMAGE"]
    assert isinstance(node.outputs[0].own_type, AnyType)
    assert node.output(0) is node.outputs[0]
    assert node.output(40) is node.further_output
    assert node.output(-1) is None
    assert full().output(3) is None


async def _later(self: object) -> tuple[int]:
    return (1,)


async def _later_in_class(cls: object) -> tuple[int]:
    return (1,)


@pytest.mark.parametrize("method", [_later, staticmethod(_later), classmethod(_later_in_class)])
def test_a_coroutine_function_is_known_by_its_definition(method: object) -> None:
    assert define("Later", broken(go=method)).is_async
    assert not full().is_async


@pytest.mark.parametrize(
    ("attributes", "resources"),
    [
        ({"RETURN_TYPES": ("IMAGE",)}, set()),
        ({"RETURN_TYPES": ("MODEL", "CLIP")}, {"device"}),
        ({"INPUT_TYPES": classmethod(lambda cls: {"required": {"x": ("IMAGE,VAE",)}})}, {"device"}),
        ({"RETURN_TYPES": ("MODEL",), "RESOURCES": ()}, set()),
        ({"RESOURCES": ("camera", "device")}, {"camera", "device"}),
    ],
)
def test_a_node_needs_the_device_when_it_takes_or_gives_a_model_unless_it_says_otherwise(
    attributes: dict[str, object], resources: set[str]
) -> None:
    assert define("Node", broken(**attributes)).resources == resources


def test_an_input_that_is_lazy_is_found_inside_of_a_dynamic_one_too() -> None:
    option = {"key": "on", "inputs": {"required": {"x": ("INT", {"lazy": True})}}}
    inputs = {"required": {"mode": ("COMFY_DYNAMICCOMBO_V3", {"options": [option]})}}
    assert define("Node", broken(INPUT_TYPES=classmethod(lambda cls: inputs))).has_lazy
    assert not full().has_lazy


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"FUNCTION": "gone"}, "no method 'gone'"),
        ({"INPUT_TYPES": classmethod(lambda cls: 1 / 0)}, "ZeroDivisionError"),
        ({"RETURN_TYPES": "IMAGE"}, "RETURN_TYPES is the text 'IMAGE'"),
        ({"RESOURCES": "device"}, "RESOURCES is the text 'device'"),
        ({"INPUT_TYPES": classmethod(lambda cls: {"required": {"x": (5,)}})}, "input 'x' has the type 5"),
    ],
)
def test_a_class_that_cannot_be_read_says_why(attributes: dict[str, object], words: str) -> None:
    with pytest.raises(PackError, match=words):
        define("Broken", broken(**attributes))
