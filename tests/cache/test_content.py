import math
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from graphengine.cache.content import recipe_digest, slot_digests
from graphengine.node.api import ExecutionBlocker


def digest(*items: Any) -> str:
    [found] = slot_digests([items], "recipe")
    return found


VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, -0.0, 0.0, math.inf, "", "1", "N", "\ud800", b"", b"1"),
    *([], [1], (1,), [[1]], {}, {"a": 1}, {"a": [1]}, {1: "a"}, [1, 2], [12]),
    *(torch.zeros(1), torch.zeros(1, 1), torch.zeros(2)),
    *(torch.zeros(1, dtype=torch.int32), torch.zeros(1, dtype=torch.bfloat16)),
    *(numpy.zeros(1, "float32"), numpy.float32(0)),
    *(ExecutionBlocker(), ExecutionBlocker(""), ExecutionBlocker("x")),
]


def test_different_values_have_different_digests() -> None:
    assert len({digest(value) for value in VALUES}) == len(VALUES)


def test_items_and_slots_are_told_apart() -> None:
    assert digest(1, 2) != digest([1, 2])
    assert slot_digests([(1,), (1,)], "recipe") == (digest(1), digest(1))


def test_a_digest_is_the_same_everywhere() -> None:
    assert digest("red fox", 7) == "99779849ac798c3bd7cb1298832c3a4a0a2688a76f05c86cf7b08e3ebd0499c9"


def test_the_bytes_of_a_tensor_count_and_not_how_they_lie_in_memory() -> None:
    wide = torch.arange(12.0).reshape(3, 4)
    assert digest({"samples": wide[:, ::2]}) == digest({"samples": wide[:, ::2].contiguous()})
    assert digest(wide) != digest(wide + 1)
    assert digest(wide.t()) != digest(wide)
    assert digest(numpy.arange(6)[::2]) == digest(numpy.array([0, 2, 4]))


@pytest.mark.parametrize("dtype", ["bool", "complex64", "float8_e4m3fn", "bfloat16", "uint16"])
def test_a_tensor_of_any_dtype_has_a_digest(dtype: str) -> None:
    tensor = torch.zeros(3, dtype=getattr(torch, dtype))
    assert digest(tensor) == digest(tensor.clone()) != recipe_digest("recipe", 0)


def test_nan_equals_itself_since_only_bits_count() -> None:
    assert digest(math.nan) == digest(math.nan)


def test_a_picture_is_known_by_its_pixels_palette_and_info() -> None:
    red = Image.new("RGB", (3, 2), "red")
    assert digest(red) == digest(red.copy()) != recipe_digest("recipe", 0)
    others = [
        Image.new("RGB", (3, 2), "blue"),
        Image.new("RGB", (2, 3), "red"),
        red.convert("P"),
        red.convert("L"),
    ]
    named = red.copy()
    named.info["title"] = "red"
    assert len({digest(picture) for picture in (red, named, *others)}) == 6


@pytest.mark.parametrize("opaque", [object(), torch.nn.Linear(1, 1), {"model": object()}, [1, {"a": (object(),)}]])
def test_for_what_is_no_plain_data_the_recipe_counts(opaque: object) -> None:
    assert slot_digests([(1,), (opaque,)], "r1") == (digest(1), recipe_digest("r1", 1))
    assert recipe_digest("r1", 1) not in (recipe_digest("r2", 1), recipe_digest("r1", 0))


def test_a_value_that_contains_itself_ends() -> None:
    value: list[object] = []
    value.append(value)
    assert digest(value) == recipe_digest("recipe", 0)


def test_nesting_may_be_deep() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert digest(deep) != digest([])
