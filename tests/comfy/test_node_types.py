from typing import Any

import pytest

from graphengine.node.comfy_classes import define
from graphengine_comfy.comfy.cli_args import LatentPreviewMethod, args
from graphengine_comfy.comfy.comfy_types import IO, CheckLazyMixin, ComfyNodeABC, InputTypeDict


@pytest.mark.parametrize("other", ["INT", "MODEL", "anything", "*"])
def test_any_differs_from_no_type(other: str) -> None:
    assert not other != IO.ANY  # noqa: SIM202 (the comparison that validators make)


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        (IO.NUMBER, "INT", False),
        (IO.NUMBER, "STRING", True),
        (IO.INT, "FLOAT,INT", False),
        (IO.PRIMITIVE, IO.NUMBER, False),
        (IO.IMAGE, "MASK", True),
        (IO.IMAGE, 5, True),
    ],
)
def test_types_differ_when_they_have_no_member_in_common(one: IO, other: object, differ: bool) -> None:
    assert (one != other) is differ


def test_type_names_are_texts() -> None:
    assert IO.IMAGE == "IMAGE"
    assert f"{IO.NUMBER}" == "FLOAT,INT"


def test_a_class_that_annotates_its_types_is_read() -> None:
    class Mix(CheckLazyMixin, ComfyNodeABC):
        RETURN_TYPES = (IO.IMAGE,)
        FUNCTION = "run"

        @classmethod
        def INPUT_TYPES(cls) -> InputTypeDict:
            return {"required": {"a": (IO.ANY, {"lazy": True}), "b": (IO.NUMBER, {})}}

        def run(self, a: Any, b: float) -> tuple[Any]:
            return (a,)

    definition = define("Mix", Mix)
    assert [spec.type for spec in definition.inputs.values()] == ["*", "FLOAT,INT"]
    assert definition.outputs[0].type == "IMAGE"
    assert Mix().check_lazy_status(a=None, b=1) == ["a"]


def test_options_have_comfyuis_defaults() -> None:
    assert (args.port, args.cpu, args.output_directory, args.cache_lru) == (8188, False, None, 0)
    assert args.preview_method is LatentPreviewMethod.NoPreviews
