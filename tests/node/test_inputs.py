import pytest

from graphengine.node.inputs import InputSpec, read_input

IMAGE_TEMPLATE = {"input": {"required": {"image": ["IMAGE", {"tooltip": "one"}]}}, "prefix": "image"}


def names(spec: InputSpec, choice: str = "") -> list[str]:
    return [inner.name for inner in spec.inner.get(choice, ())]


def test_a_growing_input_brings_numbered_ones_of_which_the_first_are_required() -> None:
    spec = read_input(
        "images", ["COMFY_AUTOGROW_V3", {"template": {**IMAGE_TEMPLATE, "min": 2, "max": 4}}], required=True
    )
    assert [(inner.name, inner.type, inner.required) for inner in spec.inner[""]] == [
        ("images.image0", "IMAGE", True),
        ("images.image1", "IMAGE", True),
        ("images.image2", "IMAGE", False),
        ("images.image3", "IMAGE", False),
    ]


def test_a_growing_input_may_have_names() -> None:
    template = {"input": {"optional": {"part": ["FLOAT,INT", {}]}}, "names": ["a", "b"], "min": 1}
    spec = read_input("values", ["COMFY_AUTOGROW_V3", {"template": template}], required=True)
    assert [(inner.name, inner.required) for inner in spec.inner[""]] == [("values.a", False), ("values.b", False)]


@pytest.mark.parametrize("most", [None, 5_000])
def test_no_input_grows_more_than_a_hundred(most: int | None) -> None:
    template = {**IMAGE_TEMPLATE, "min": 1, **({} if most is None else {"max": most})}
    spec = read_input("images", ["COMFY_AUTOGROW_V3", {"template": template}], required=True)
    assert len(spec.inner[""]) == 100


@pytest.mark.parametrize(
    "template",
    [
        None,
        {},
        {"prefix": "x"},
        {"input": {"required": {"image": [5]}}, "prefix": "x"},
        {"input": {"required": {"more": ["COMFY_AUTOGROW_V3", {"template": IMAGE_TEMPLATE}]}}, "prefix": "x"},
        {"input": {"required": {"image": ["IMAGE"]}}},
    ],
)
def test_a_template_that_cannot_be_read_grows_nothing(template: object) -> None:
    spec = read_input("images", ["COMFY_AUTOGROW_V3", {"template": template}], required=True)
    assert names(spec) == []


def test_each_choice_of_a_dynamic_combo_brings_its_own_inputs() -> None:
    by_factor = {"key": "factor", "inputs": {"required": {"factor": ["FLOAT", {"min": 0.1}]}}}
    by_size = {"key": "size", "inputs": {"required": {"width": ["INT"]}, "optional": {"crop": [["no", "yes"]]}}}
    spec = read_input(
        "mode", ["COMFY_DYNAMICCOMBO_V3", {"options": [by_factor, by_size, {"key": "off"}]}], required=True
    )
    assert spec.choices == ("factor", "size", "off")
    assert [names(spec, choice) for choice in ("factor", "size", "off")] == [
        ["mode.factor"],
        ["mode.width", "mode.crop"],
        [],
    ]


@pytest.mark.parametrize(
    ("declared", "choices"),
    [
        ((["a", "b"],), ("a", "b")),
        ((("a", "b"), {"default": "b"}), ("a", "b")),
        ((range(3),), (0, 1, 2)),
        (("COMBO", {"options": ["a"]}), ("a",)),
        (("COMBO", {"options": None}), None),
        (("COMBO", {"remote": {"route": "/names"}}), None),
    ],
)
def test_the_forms_of_a_list_of_choices(declared: object, choices: object) -> None:
    spec = read_input("mode", declared, required=True)
    assert (spec.type, spec.choices) == ("COMBO", choices)


def test_a_dynamic_slot_takes_the_type_of_its_slot() -> None:
    spec = read_input(
        "image", ["COMFY_DYNAMICSLOT_V3", {"slotType": "IMAGE", "inputs": {"required": {"x": ["INT"]}}}],
        required=False,
    )  # fmt: skip
    assert (spec.link_type, names(spec)) == ("IMAGE", ["image.x"])


def test_a_matched_input_takes_what_its_template_allows() -> None:
    some = {"template": {"template_id": "t", "allowed_types": "IMAGE,MASK"}}
    assert read_input("a", ["COMFY_MATCHTYPE_V3", some], required=True).link_type == "IMAGE,MASK"
    assert read_input("a", ["COMFY_MATCHTYPE_V3", {}], required=True).link_type == "*"
    assert read_input("a", ["COMFY_MULTITYPED_V3", {}], required=True).link_type == "*"


def test_inputs_that_bring_themselves_along_end() -> None:
    options: dict[str, object] = {}
    options["options"] = [{"key": "again", "inputs": {"required": {"x": ("COMFY_DYNAMICCOMBO_V3", options)}}}]
    spec = read_input("x", ("COMFY_DYNAMICCOMBO_V3", options), required=True)
    for _ in range(16):
        (spec,) = spec.inner["again"]
    assert spec.inner == {}


def test_a_raw_link_is_said_by_its_option() -> None:
    assert read_input("value", ("*", {"rawLink": True}), required=True).raw_link
    assert not read_input("value", ("*",), required=True).raw_link
