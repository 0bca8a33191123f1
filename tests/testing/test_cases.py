"""The inputs that nodes are called with are those of their types, ranges and choices."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.node.comfy_classes import define
from graphengine.testing.cases import CORNERS, Cases, corner_cases, sizes
from graphengine.testing.engines import temporary_engine
from graphengine.testing.models import NoValue, Values


class Takes:
    """Takes one input of each kind."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        grown = {"input": {"optional": {"picture": ["IMAGE", {}]}}, "prefix": "picture", "min": 1, "max": 50}
        return {
            "required": {
                "image": ("IMAGE",),
                "mask": ("MASK",),
                "latent": ("LATENT",),
                "text": ("STRING", {"default": "a tree"}),
                "count": ("INT", {"default": 3, "min": 2, "max": 5}),
                "strength": ("FLOAT", {"default": 0.5, "min": 0.25, "max": 0.75}),
                "mode": (["first", "second", "third"], {"default": "second"}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1}),
            },
            "optional": {"pictures": ("COMFY_AUTOGROW_V3", {"template": grown})},
        }

    def run(self, **values: Any) -> tuple[Any]:
        return (values["image"],)


class TakesTheUnknown(Takes):
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"point": ("POINT_OF_NOBODY",)}}


@pytest.fixture(scope="module")
def cases() -> Iterator[Cases]:
    with TemporaryDirectory() as folder, temporary_engine(Path(folder)) as engine:
        yield Cases(Values(engine), engine.folders)


def test_the_corners_are_one_pixel_an_odd_size_a_batch_of_three_and_odd_texts(cases: Cases) -> None:
    made = [case.inputs for case in corner_cases(cases, define("Takes", Takes))]
    assert [tuple(inputs["image"].shape) for inputs in made] == [
        (1, 32, 32, 3),
        (1, 1, 1, 3),
        (1, 5, 7, 3),
        (3, 8, 16, 3),
    ]
    assert [tuple(inputs["mask"].shape[1:]) for inputs in made] == [(32, 32), (1, 1), (5, 7), (8, 16)]
    assert made[0]["text"] == "a tree"
    assert made[1]["text"] == ""
    assert not made[2]["text"].isascii()
    assert [inputs["count"] for inputs in made] == [3, 2, 5, 3]
    assert [inputs["mode"] for inputs in made] == ["second", "second", "third", "third"]
    assert made[2]["seed"] == 2**64 - 1


def test_an_input_that_grows_is_given_a_few_times(cases: Cases) -> None:
    [*_, last] = corner_cases(cases, define("Takes", Takes))
    grown = [name for name in last.inputs if name.startswith("pictures.")]
    assert grown == ["pictures.picture0", "pictures.picture1", "pictures.picture2"]


@given(data=st.data())
def test_generated_inputs_lie_in_their_ranges(cases: Cases, data: st.DataObject) -> None:
    size = data.draw(sizes())
    draw: Any = data.draw  # of the same use as what a composite is given
    inputs = cases.drawn(define("Takes", Takes), size, draw).inputs
    assert tuple(inputs["image"].shape) == (size[2], size[1], size[0], 3)
    assert 2 <= inputs["count"] <= 5
    assert 0.25 <= inputs["strength"] <= 0.75
    assert inputs["mode"] in ("first", "second", "third")
    assert 0 <= inputs["seed"] < 2**64


def test_a_type_that_nobody_makes_is_told(cases: Cases) -> None:
    with pytest.raises(NoValue, match="input 'point': there is no value of type POINT_OF_NOBODY"):
        cases.corner(define("TakesTheUnknown", TakesTheUnknown), CORNERS[0])
