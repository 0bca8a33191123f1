import math

import pytest
import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.image.scaling import scale_images_to_longer_side, scale_images_to_pixels
from graphengine_nodes.image.transforms import (
    crop_images,
    flip,
    pad_for_outpaint,
    resize_and_pad,
    rotate,
    stitch,
)


def grid(*rows: list[float]) -> Tensor:
    """One picture with one channel: (1, H, W, 1)."""
    return torch.tensor(rows)[None, ..., None]


def values(images: Tensor) -> list[list[float]]:
    """The rows of the first picture."""
    rows: list[list[float]] = images[0, ..., 0].tolist()
    return rows


PICTURE = grid([1, 2, 3], [4, 5, 6])


@pytest.mark.parametrize(
    ("size", "place", "expected"),
    [
        ((2, 1), (1, 1), [[5, 6]]),
        ((9, 9), (0, 0), [[1, 2, 3], [4, 5, 6]]),
        ((9, 9), (2, 0), [[3], [6]]),
        ((1, 1), (99, 99), [[6]]),
    ],
)
def test_a_part_ends_where_the_picture_ends(
    size: tuple[int, int], place: tuple[int, int], expected: list[list[float]]
) -> None:
    assert values(crop_images(PICTURE, *size, *place)) == expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [("x-axis: vertically", [[4, 5, 6], [1, 2, 3]]), ("y-axis: horizontally", [[3, 2, 1], [6, 5, 4]])],
)
def test_pictures_are_mirrored(method: str, expected: list[list[float]]) -> None:
    assert values(flip(PICTURE, method, 1, 2)) == expected


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        ("none", [[1, 2, 3], [4, 5, 6]]),
        ("90 degrees", [[4, 1], [5, 2], [6, 3]]),
        ("180 degrees", [[6, 5, 4], [3, 2, 1]]),
        ("270 degrees", [[3, 6], [2, 5], [1, 4]]),
    ],
)
def test_pictures_are_turned_clockwise(rotation: str, expected: list[list[float]]) -> None:
    assert values(rotate(PICTURE, rotation, 1, 2)) == expected


# Padding


def test_the_border_is_grey_and_masked() -> None:
    padded, mask = pad_for_outpaint(torch.zeros(3, 1, 2, 3), left=1, top=0, right=2, bottom=1, feathering=0)
    assert padded.shape == (3, 2, 5, 3)
    assert padded[2, ..., 1].tolist() == [[0.5, 0, 0, 0.5, 0.5], [0.5] * 5]
    assert mask.tolist() == [[[1, 0, 0, 1, 1], [1] * 5]]


def test_the_mask_falls_with_the_square_of_the_distance_to_a_padded_side() -> None:
    _, mask = pad_for_outpaint(torch.zeros(1, 5, 6, 3), left=1, top=0, right=0, bottom=0, feathering=2)
    assert mask[0, 2].tolist() == [1, 1, 0.25, 0, 0, 0, 0]
    _, mask = pad_for_outpaint(torch.zeros(1, 5, 6, 3), left=0, top=0, right=1, bottom=0, feathering=2)
    assert mask[0, 2].tolist() == [0, 0, 0, 0, 0, 0.25, 1]


def test_the_nearest_padded_side_counts() -> None:
    _, mask = pad_for_outpaint(torch.zeros(1, 7, 7, 3), left=1, top=1, right=0, bottom=0, feathering=3)
    distance = [[min(row, column) for column in range(7)] for row in range(7)]
    expected = [[max(0, (3 - near) / 3) ** 2 for near in row] for row in distance]
    assert mask[0, 1:, 1:].tolist() == [pytest.approx(row) for row in expected]


def test_feathering_that_does_not_fit_is_left_out() -> None:
    _, mask = pad_for_outpaint(torch.zeros(1, 4, 9, 3), left=1, top=0, right=0, bottom=0, feathering=2)
    assert mask.sum() == 4


# Side by side


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("right", [[1, 2, 7], [3, 4, 8]]),
        ("left", [[7, 1, 2], [8, 3, 4]]),
    ],
)
def test_pictures_are_put_beside_each_other(direction: str, expected: list[list[float]]) -> None:
    assert values(stitch(grid([1, 2], [3, 4]), grid([7], [8]), direction, match_size=False)) == expected


def test_pictures_are_put_below_each_other_with_black_at_the_sides_of_the_smaller() -> None:
    assert values(stitch(grid([1, 2, 3, 4]), grid([7]), "down", match_size=False)) == [[1, 2, 3, 4], [0, 7, 0, 0]]
    assert values(stitch(grid([1]), grid([7, 8, 9]), "up", match_size=False)) == [[7, 8, 9], [0, 1, 0]]


def test_the_second_picture_gets_the_height_of_the_first() -> None:
    assert stitch(torch.zeros(1, 4, 2, 3), torch.zeros(1, 2, 3, 3), "right").shape == (1, 4, 8, 3)
    assert stitch(torch.zeros(1, 4, 2, 3), torch.zeros(1, 2, 3, 3), "down").shape == (1, 5, 2, 3)


def test_an_odd_space_becomes_even_and_has_the_colour() -> None:
    both = stitch(torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 3), "right", spacing=1, spacing_color="red")
    assert both[0, 0].tolist() == [[0, 0, 0, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1]]


def test_a_shorter_batch_repeats_its_last_picture() -> None:
    three = torch.tensor([0.0, 0.2, 0.4]).reshape(3, 1, 1, 1)
    both = stitch(three, three[:2] + 0.5, "right", match_size=False)
    assert both[:, 0, :, 0].flatten().tolist() == pytest.approx([0, 0.5, 0.2, 0.7, 0.4, 0.7])


def test_without_a_second_picture_nothing_changes() -> None:
    assert stitch(PICTURE, None, "right") is PICTURE


def test_an_unknown_colour_is_refused() -> None:
    with pytest.raises(GraphEngineError, match="'spacing_color': no colour 'pink'"):
        stitch(PICTURE, PICTURE, "right", spacing=2, spacing_color="pink")


# Sizes


@pytest.mark.parametrize(("colour", "border"), [("white", 1), ("black", 0)])
def test_a_picture_stands_in_the_middle_of_its_border(colour: str, border: float) -> None:
    padded = resize_and_pad(torch.full((1, 1, 2, 1), 0.5), 4, 5, colour, "area")
    assert values(padded) == [[border] * 4, [0.5] * 4, [0.5] * 4, [border] * 4, [border] * 4]


@pytest.mark.parametrize(("height", "width"), [(512, 512), (37, 91), (1, 1), (3, 4000)])
def test_the_number_of_pixels_is_about_what_was_asked_for(height: int, width: int) -> None:
    scaled = scale_images_to_pixels(torch.zeros(1, height, width, 1), "nearest-exact", 0.01)
    _, new_height, new_width, _ = scaled.shape
    factor = math.sqrt(10485 / (height * width))
    assert (new_height, new_width) == (round(height * factor), round(width * factor))


@pytest.mark.parametrize(
    ("shape", "expected"), [((4, 8), (5, 10)), ((8, 3), (10, 4)), ((2, 2), (10, 10)), ((1, 99), (1, 10))]
)
def test_the_longer_side_is_what_was_asked_for(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert scale_images_to_longer_side(torch.zeros(1, *shape, 3), "bilinear", 10).shape[1:3] == expected


def test_a_longer_side_of_zero_changes_nothing() -> None:
    assert scale_images_to_longer_side(PICTURE, "area", 0) is PICTURE
