"""What a schema shows of itself; the forms are those of a live server's `/object_info`."""

import json
from enum import Enum
from typing import Any

import pytest

from graphengine.node.comfy_classes import define
from graphengine.node.definition import NodeDefinition
from graphengine.node.object_info import definition_to_object_info
from graphengine.node.registry import NodeRegistry
from graphengine_comfy.comfy_api.latest import io


class Mode(Enum):
    SOFT = "soft"
    HARD = "hard"


def node(*inputs: io.Input, outputs: tuple[io.Output, ...] = (), **schema: Any) -> type[io.ComfyNode]:
    class Described(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="Described", inputs=list(inputs), outputs=list(outputs), **schema)

        @classmethod
        def execute(cls, **kwargs: Any) -> io.NodeOutput:
            return io.NodeOutput(kwargs)

    return Described


def declared(*inputs: io.Input) -> Any:
    """The inputs as JSON has them."""
    return json.loads(json.dumps(node(*inputs).INPUT_TYPES()))


@pytest.mark.parametrize(
    ("spec", "form"),
    [
        (
            io.Int.Input("x", default=8, min=1, max=64, step=1),
            ["INT", {"default": 8, "min": 1, "max": 64, "step": 1}],
        ),
        (
            io.Int.Input("x", control_after_generate=True, display_mode=io.NumberDisplay.slider),
            ["INT", {"control_after_generate": True, "display": "slider"}],
        ),
        (
            io.Float.Input("x", default=0.5, step=0.01, round=0.001),
            ["FLOAT", {"default": 0.5, "step": 0.01, "round": 0.001}],
        ),
        (
            io.String.Input("x", multiline=True, dynamic_prompts=True),
            ["STRING", {"multiline": True, "dynamicPrompts": True}],
        ),
        (
            io.String.Input("x", default="a", placeholder="type"),
            ["STRING", {"default": "a", "multiline": False, "placeholder": "type"}],
        ),
        (io.Boolean.Input("x", default=False, label_on="yes"), ["BOOLEAN", {"default": False, "label_on": "yes"}]),
        (io.Combo.Input("x", options=["a", "b"]), ["COMBO", {"multiselect": False, "options": ["a", "b"]}]),
        (
            io.Combo.Input("x", options=Mode, default=Mode.HARD),
            ["COMBO", {"default": "hard", "multiselect": False, "options": ["soft", "hard"]}],
        ),
        (
            io.Combo.Input("x", options=[], upload=io.UploadType.video),
            ["COMBO", {"multiselect": False, "options": [], "video_upload": True}],
        ),
        (
            io.Combo.Input("x", remote=io.RemoteOptions("/models", True), image_folder=io.FolderType.output),
            [
                "COMBO",
                {
                    "multiselect": False,
                    "image_folder": "output",
                    "remote": {"route": "/models", "refresh_button": True, "control_after_refresh": "first"},
                },
            ],
        ),
        (
            io.MultiCombo.Input("x", options=["a"], chip=True),
            ["COMBO", {"multiselect": True, "options": ["a"], "multi_select": {"chip": True}}],
        ),
        (io.Image.Input("x"), ["IMAGE", {}]),
        (io.Custom("RECIPE").Input("x", tooltip="for two"), ["RECIPE", {"tooltip": "for two"}]),
        (
            io.Model.Input("x", lazy=True, raw_link=True, advanced=True, extra_dict={"mine": 1}),
            ["MODEL", {"lazy": True, "rawLink": True, "advanced": True, "mine": 1}],
        ),
        (
            io.Int.Input("x", force_input=True, socketless=False),
            ["INT", {"socketless": False, "forceInput": True}],
        ),
        (io.MultiType.Input("x", types=[io.Image, io.Mask]), ["IMAGE,MASK", {}]),
        (
            io.MultiType.Input(io.Float.Input("x", default=1.0), types=[io.Int, io.Float]),
            ["FLOAT,INT", {"default": 1.0}],
        ),
        (
            io.Autogrow.Input("x", template=io.Autogrow.TemplatePrefix(io.Image.Input("image"), "image", 2, 50)),
            [
                "COMFY_AUTOGROW_V3",
                {
                    "template": {
                        "input": {"required": {"image": ["IMAGE", {}]}},
                        "min": 2,
                        "prefix": "image",
                        "max": 50,
                    }
                },
            ],
        ),
        (
            io.DynamicCombo.Input("x", options=[io.DynamicCombo.Option("on", [io.Int.Input("n", optional=True)])]),
            [
                "COMFY_DYNAMICCOMBO_V3",
                {"options": [{"key": "on", "inputs": {"required": {}, "optional": {"n": ["INT", {}]}}}]},
            ],
        ),
        (
            io.MatchType.Input("x", template=io.MatchType.Template("T", [io.Image, io.Mask])),
            ["COMFY_MATCHTYPE_V3", {"template": {"template_id": "T", "allowed_types": "IMAGE,MASK"}}],
        ),
    ],
)
def test_an_input_has_comfyuis_form(spec: io.Input, form: list[object]) -> None:
    assert declared(spec) == {"required": {"x": form}}


def test_a_dynamic_slot_is_optional_and_names_what_it_brings() -> None:
    slot = io.DynamicSlot.Input(io.Mask.Input("x"), inputs=[io.Float.Input("strength")])
    options = {"slotType": "MASK", "inputs": {"required": {"strength": ["FLOAT", {}]}}, "forceInput": True}
    assert declared(slot) == {"required": {}, "optional": {"x": ["COMFY_DYNAMICSLOT_V3", options]}}


def test_the_order_of_options_is_comfyuis() -> None:
    spec = io.Combo.Input("x", options=["a"], default="a", tooltip="t")
    assert list(spec.as_dict()) == ["tooltip", "default", "multiselect", "options"]


def test_object_info_shows_outputs_as_comfyui_does() -> None:
    outputs = (
        io.Latent.Output(),
        io.Int.Output("n", display_name="count", tooltip="how many", is_output_list=True),
    )
    described = define("Described", node(io.Int.Input("x"), outputs=outputs, category="c", is_deprecated=True))
    info = definition_to_object_info(described)
    assert {name: info[name] for name in ("output", "output_name", "output_is_list", "output_tooltips")} == {
        "output": ["LATENT", "INT"],
        "output_name": ["LATENT", "count"],
        "output_is_list": [False, True],
        "output_tooltips": [None, "how many"],
    }
    assert (info["category"], info["deprecated"], info["experimental"], info["output_node"]) == (
        "c",
        True,
        False,
        False,
    )


def hidden(definition: NodeDefinition) -> dict[str, str]:
    return dict(definition.hidden)


def test_output_nodes_and_api_nodes_are_given_hidden_values_unasked() -> None:
    assert hidden(define("Described", node(is_output_node=True, hidden=[io.Hidden.prompt]))) == {
        "prompt": "PROMPT",
        "extra_pnginfo": "EXTRA_PNGINFO",
    }
    assert hidden(define("Described", node(is_api_node=True))) == {
        "auth_token_comfy_org": "AUTH_TOKEN_COMFY_ORG",
        "api_key_comfy_org": "API_KEY_COMFY_ORG",
    }


def test_a_hidden_value_gives_way_to_an_input_of_its_name(flow: NodeRegistry) -> None:
    definition = flow["V3Hidden"]
    assert list(definition.inputs) == ["prompt"]
    assert definition.hidden["hidden.prompt"] == "PROMPT"


def test_the_flags_of_a_schema_reach_the_definition(flow: NodeRegistry) -> None:
    assert flow["V3Sum"].input_is_list
    assert flow["V3List"].outputs[0].is_list
    assert flow["V3NotIdempotent"].not_idempotent
    assert flow["V3Show"].is_output
    assert flow["V3Int"].display_name == "A whole number"
    assert flow["V3Add"].display_name == "V3Add"


def test_what_an_author_does_not_write_is_not_there(flow: NodeRegistry) -> None:
    written = {
        name: [
            has
            for has in ("VALIDATE_INPUTS", "IS_CHANGED", "check_lazy_status")
            if hasattr(_class(flow, name), has)
        ]
        for name in ("V3Int", "V3Checked", "V3ChangedBy", "V3Switch", "V3SwitchAsync")
    }
    assert written == {
        "V3Int": [],
        "V3Checked": ["VALIDATE_INPUTS"],
        "V3ChangedBy": ["IS_CHANGED"],
        "V3Switch": ["check_lazy_status"],
        "V3SwitchAsync": ["check_lazy_status"],
    }
    assert flow["V3Checked"].checked_by_node == {"value"}
    assert flow["V3ChangedBy"].has_fingerprint


def _class(flow: NodeRegistry, name: str) -> type[Any]:
    load = flow[name].load
    assert load is not None
    return load()


def test_two_inputs_with_the_same_id_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'Described' has inputs with the same id: \['x'\]"):
        node(io.Int.Input("x"), io.Mask.Input("x")).INPUT_TYPES()


def test_outputs_without_an_id_are_given_one() -> None:
    schema = node(outputs=(io.Int.Output(), io.Image.Output("picture"))).GET_SCHEMA()
    assert [output.id for output in schema.outputs] == ["_0_INT_", "picture"]


@pytest.mark.parametrize("bounds", [(3, 2), (0, 101), (-1, 5), (0, 0)])
def test_an_autogrow_has_1_to_100_inputs(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="it can have 1 to 100"):
        io.Autogrow.TemplatePrefix(io.Int.Input("n"), "n", *bounds)


def test_an_autogrow_by_names_cannot_need_more_than_it_names() -> None:
    with pytest.raises(ValueError, match="an Autogrow of 3 to 2 inputs"):
        io.Autogrow.TemplateNames(io.Int.Input("n"), ["a", "b"], min=3)


def test_authors_make_socket_types_by_decorator() -> None:
    @io.comfytype(io_type="BREAD")
    class Bread:
        Type = bytes

    @io.comfytype(io_type="TOAST")
    class Toast(io.ComfyTypeIO):
        class Input(io.Input):
            def __init__(self, id: str, seconds: int) -> None:
                super().__init__(id, extra_dict={"seconds": seconds})

    bread: Any = Bread  # a type checker does not see what a decorator makes of a class
    found = declared(bread.Input("bread"), Toast.Input("toast", 90))["required"]
    assert found == {"bread": ["BREAD", {}], "toast": ["TOAST", {"seconds": 90}]}
    assert (bread.Output().get_io_type(), Toast.Output().get_io_type()) == ("BREAD", "TOAST")


def test_choices_are_asked_anew_each_time() -> None:
    files = ["a.png"]

    class Load(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="Load", inputs=[io.Combo.Input("file", options=files)])

    assert Load.INPUT_TYPES()["required"]["file"][1]["options"] == ["a.png"]
    files.append("b.png")
    assert Load.INPUT_TYPES()["required"]["file"][1]["options"] == ["a.png", "b.png"]
