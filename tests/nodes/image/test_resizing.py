from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine.errors import GraphEngineError
from graphengine_nodes.image.resizing import resized
from graphengine_nodes.image.resizing_nodes import (
    BatchImagesNode,
    ResizeImageMaskNode,
    ResizeImagesByLongerEdge,
    ResizeImagesByShorterEdge,
)


def picture(batch: int, height: int, width: int, channels: int = 3) -> Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(8))


@pytest.mark.parametrize(
    ("way", "settings", "size"),
    [
        ("scale by multiplier", {"multiplier": 1.5}, (30, 60)),
        ("scale dimensions", {"width": 10, "height": 30, "crop": "center"}, (30, 10)),
        ("scale dimensions", {"width": 0, "height": 30, "crop": "disabled"}, (30, 60)),
        ("scale longer dimension", {"longer_size": 100}, (50, 100)),
        ("scale shorter dimension", {"shorter_size": 10}, (10, 20)),
        ("scale shorter dimension", {"shorter_size": 0}, (20, 40)),
        ("scale width", {"width": 20}, (10, 20)),
        ("scale height", {"height": 40}, (40, 80)),
        ("scale total pixels", {"megapixels": 0.01}, (72, 145)),
        ("match size", {"match": torch.zeros(1, 7, 9), "crop": "center"}, (7, 9)),
        ("scale to multiple", {"multiple": 16}, (16, 32)),
        ("scale to multiple", {"multiple": 64}, (64, 64)),
    ],
)
def test_every_way_gives_its_size_for_pictures_and_masks(
    way: str, settings: dict[str, Any], size: tuple[int, int]
) -> None:
    images = picture(2, 20, 40)
    node, choice = ResizeImageMaskNode(), {"resize_type": way, **settings}
    (made,) = node.resize(images, choice, "bilinear")
    assert made.shape == (2, *size, 3)
    (mask,) = node.resize(images[..., 0], choice, "bilinear")
    assert torch.allclose(mask, made[..., 0], atol=1e-5)


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
def test_masks_are_scaled_by_every_method(method: str) -> None:
    made = resized(torch.ones(1, 6, 6), "scale by multiplier", method, {"multiplier": 2.0})
    assert torch.allclose(made, torch.ones(1, 12, 12), atol=1e-3)


@pytest.mark.parametrize(
    ("node", "inputs", "size"),
    [
        (ResizeImagesByLongerEdge, {"longer_edge": 100}, (50, 100)),
        (ResizeImagesByShorterEdge, {"shorter_edge": 10}, (10, 20)),
    ],
)
def test_older_nodes_name_the_edge(node: type[Any], inputs: dict[str, int], size: tuple[int, int]) -> None:
    (made,) = node().resize(picture(2, 20, 40), **inputs)
    assert made.shape == (2, *size, 3)


def test_what_cannot_be_scaled_is_named() -> None:
    with pytest.raises(GraphEngineError, match="input 'resize_type' is 'bigger'; known: scale by multiplier"):
        resized(picture(1, 2, 2), "bigger", "area", {})
    with pytest.raises(GraphEngineError, match=r"shape \[2, 2\], which is no picture and no mask"):
        resized(torch.ones(2, 2), "scale width", "area", {"width": 4})


def test_pictures_are_joined_in_the_order_of_their_inputs() -> None:
    first, second, third = picture(1, 4, 6), picture(2, 4, 6), picture(1, 8, 12, 4)
    (joined,) = BatchImagesNode().join({"image10": third, "image0": first, "image2": second})
    assert joined.shape == (4, 4, 6, 4)
    assert torch.equal(joined[:1, ..., :3], first)
    assert torch.equal(joined[1:3, ..., :3], second)
    assert torch.equal(joined[:3, ..., 3], torch.ones(3, 4, 6))
    with pytest.raises(GraphEngineError, match="no picture is connected"):
        BatchImagesNode().join({})
