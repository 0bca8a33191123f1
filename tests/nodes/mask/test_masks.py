import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.mask.masks import (
    colour_to_mask,
    combine,
    crop_mask,
    feather,
    grow,
    image_to_mask,
    mask_to_image,
    solid_mask,
    threshold,
)


def mask(*rows: list[float]) -> Tensor:
    """One mask: (1, H, W)."""
    return torch.tensor(rows, dtype=torch.float32)[None]


def noise(*shape: int) -> Tensor:
    """Values in 0..1, the same in every run."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def test_a_solid_mask_has_one_value() -> None:
    assert solid_mask(0.25, 3, 2).tolist() == [[[0.25] * 3] * 2]


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (4, 2, 3), (4, 1, 2, 3)])
def test_a_mask_becomes_a_grey_picture(shape: tuple[int, ...]) -> None:
    values = noise(*shape)
    images = mask_to_image(values)
    assert images.shape == (values.numel() // 6, 2, 3, 3)
    assert all(torch.equal(images[..., channel].flatten(), values.flatten()) for channel in range(3))


@pytest.mark.parametrize(("channel", "value"), [("red", 0.1), ("green", 0.2), ("blue", 0.3), ("alpha", 0.4)])
def test_a_channel_becomes_a_mask(channel: str, value: float) -> None:
    images = torch.tensor([0.1, 0.2, 0.3, 0.4]).repeat(3, 2, 1, 1)
    assert torch.allclose(image_to_mask(images, channel), torch.tensor(value))


def test_a_picture_without_alpha_has_no_such_mask() -> None:
    with pytest.raises(GraphEngineError, match="'channel': the pictures have no channel 'alpha', they have 3"):
        image_to_mask(torch.zeros(1, 1, 1, 3), "alpha")


def test_a_colour_is_compared_in_eight_bits() -> None:
    images = torch.tensor([[[[1.0, 0.5, 0.0], [1.0, 0.502, 0.001], [1.0, 0.49, 0.0], [1.2, 0.5, -1.0]]]])
    assert colour_to_mask(images, 0xFF8000).tolist() == [[[1, 1, 0, 1]]]


@pytest.mark.parametrize(
    ("place", "size", "expected"),
    [((1, 0), (1, 1), [[2]]), ((0, 1), (9, 9), [[4, 5, 6]]), ((2, 0), (5, 2), [[3], [6]])],
)
def test_a_part_ends_where_the_mask_ends(
    place: tuple[int, int], size: tuple[int, int], expected: list[list[float]]
) -> None:
    assert crop_mask(mask([1, 2, 3], [4, 5, 6]), *place, *size)[0].tolist() == expected


def test_a_part_outside_of_the_mask_is_refused() -> None:
    with pytest.raises(GraphEngineError, match=r"\(3, 0\) lies outside of the mask of 3 x 1 pixels"):
        crop_mask(mask([1, 2, 3]), 3, 0, 1, 1)


def test_only_what_is_above_the_value_is_kept() -> None:
    assert threshold(mask([0.0, 0.5, 0.51]), 0.5).tolist() == [[[0, 0, 1]]]


# Feathering


def test_the_left_and_the_top_fall_off_linearly() -> None:
    assert feather(torch.ones(1, 1, 6), 4, 0, 0, 0).tolist() == [[[0.25, 0.5, 0.75, 1, 1, 1]]]
    assert feather(torch.ones(1, 3, 1), 0, 2, 0, 0).flatten().tolist() == [0.5, 1, 1]


def test_the_right_and_the_bottom_fall_off_one_place_further_out() -> None:
    assert feather(torch.ones(1, 1, 6), 0, 0, 4, 0).tolist() == [[[0.25, 1, 1, 1, 0.75, 0.5]]]
    assert feather(torch.ones(1, 4, 1), 0, 0, 0, 2).flatten().tolist() == [0.5, 1, 1, 1]


def test_all_sides_are_multiplied() -> None:
    assert feather(torch.ones(3, 2, 2), 2, 2, 0, 0)[2].tolist() == [[0.25, 0.5], [0.5, 1]]


def test_no_side_is_longer_than_the_mask() -> None:
    assert feather(torch.ones(1, 1, 2), 99, 0, 0, 0).tolist() == [[[0.5, 1]]]
    assert feather(torch.ones(1, 1, 1), 5, 5, 5, 5).tolist() == [[[1]]]


# Growing

POINT = mask([0, 0, 0, 0, 0], [0, 0, 0.5, 0, 0], [0, 0, 0, 0, 0])


def test_a_point_becomes_a_square_or_one_on_its_corner() -> None:
    assert grow(POINT, 1, tapered_corners=False)[0].tolist() == [[0, 0.5, 0.5, 0.5, 0]] * 3
    tapered = [[0, 0, 0.5, 0, 0], [0, 0.5, 0.5, 0.5, 0], [0, 0, 0.5, 0, 0]]
    assert grow(POINT, 1, tapered_corners=True)[0].tolist() == tapered


@pytest.mark.parametrize("tapered", [True, False])
@pytest.mark.parametrize("by", [-3, -1, 0, 1, 3])
def test_growing_is_the_same_as_in_scipy_step_by_step(by: int, tapered: bool) -> None:
    values = noise(3, 7, 5)
    corner = 0 if tapered else 1
    footprint = np.array([[corner, 1, corner], [1, 1, 1], [corner, 1, corner]])
    expected = []
    for single in values.numpy():
        for _ in range(abs(by)):
            single = (ndimage.grey_erosion if by < 0 else ndimage.grey_dilation)(single, footprint=footprint)
        expected.append(single)
    assert np.array_equal(grow(values, by, tapered_corners=tapered).numpy(), np.stack(expected))


@pytest.mark.parametrize("tapered", [True, False])
def test_growing_without_end_fills_the_mask(tapered: bool) -> None:
    assert grow(POINT, 16384, tapered_corners=tapered).tolist() == [[[0.5] * 5] * 3]
    assert grow(POINT, -16384, tapered_corners=tapered).tolist() == [[[0] * 5] * 3]


# Two masks as one


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("multiply", [0, 0, 0.25, 0.8]),
        ("add", [0.2, 0.9, 1, 1]),
        ("subtract", [0.2, 0, 0, 0.2]),
        ("and", [0, 0, 0, 1]),
        ("or", [0, 1, 0, 1]),
        ("xor", [0, 1, 0, 0]),
    ],
)
def test_an_operation_combines_two_masks(operation: str, expected: list[float]) -> None:
    # 0.5 is rounded to the even number 0.
    first, second = mask([0.2, 0.0, 0.5, 1.0]), mask([0.0, 0.9, 0.5, 0.8])
    assert combine(first, second, 0, 0, operation).flatten().tolist() == pytest.approx(expected)


def test_a_mask_beyond_the_other_is_cut_off() -> None:
    assert combine(mask([0, 0, 0]), mask([1, 1]), 2, 0, "add").tolist() == [[[0, 0, 1]]]
    assert combine(mask([0, 0, 0]), mask([1, 1]), 0, 7, "add").tolist() == [[[0, 0, 0]]]


def test_one_mask_is_combined_with_a_batch() -> None:
    assert combine(torch.zeros(3, 1, 2), mask([1, 0]), 0, 0, "add")[:, 0].tolist() == [[1, 0]] * 3


def test_the_destination_stays_as_it_is() -> None:
    destination = torch.zeros(1, 1, 2)
    combine(destination, mask([1, 1]), 0, 0, "or")
    assert destination.sum() == 0


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(GraphEngineError, match="no operation 'nand'"):
        combine(mask([0]), mask([0]), 0, 0, "nand")
