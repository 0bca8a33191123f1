import pytest
import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.image.compositing import composite_images, join_alpha, porter_duff, split_alpha


def row(*values: float) -> Tensor:
    """One picture of one row with three equal channels."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, -1, 1).repeat(1, 1, 1, 3)


def greys(images: Tensor) -> list[float]:
    """The first channel of all pixels."""
    values: list[float] = images[..., 0].flatten().tolist()
    return values


@pytest.mark.parametrize(
    ("x", "expected"), [(0, [1, 1, 0, 0]), (2, [0, 0, 1, 1]), (3, [0, 0, 0, 1]), (4, [0] * 4), (99, [0] * 4)]
)
def test_what_reaches_beyond_the_picture_is_cut_off(x: int, expected: list[float]) -> None:
    assert greys(composite_images(row(0, 0, 0, 0), row(1, 1), x, 0)) == expected
    assert greys(composite_images(row(0, 0, 0, 0), row(1, 1), x, 0, torch.ones(1, 1, 2))) == expected


def test_a_mask_says_how_much_the_source_covers() -> None:
    mask = torch.tensor([[[0.0, 0.25, 1.0]]])
    assert greys(composite_images(row(1, 1, 1), row(0, 0, 0), 0, 0, mask)) == [1, 0.75, 0]


def test_a_mask_of_another_size_is_scaled_to_the_source() -> None:
    mask = torch.tensor([[[0.0, 1.0]]])
    done = composite_images(row(0, 0, 0, 0), row(1, 1, 1, 1), 0, 0, mask)
    assert greys(done) == [0, 0.25, 0.75, 1]


def test_the_source_can_get_the_size_of_the_destination() -> None:
    assert greys(composite_images(row(0, 0, 0, 0), row(1), 0, 0, resize_source=True)) == [1, 1, 1, 1]


def test_source_and_mask_are_repeated_for_every_picture() -> None:
    below = torch.zeros(3, 1, 1, 3)
    source = torch.tensor([0.2, 0.4]).reshape(2, 1, 1, 1).repeat(1, 1, 1, 3)
    assert greys(composite_images(below, source, 0, 0)) == pytest.approx([0.2, 0.4, 0.2])
    halves = torch.tensor([1.0, 0.5]).reshape(2, 1, 1)
    assert greys(composite_images(below, source, 0, 0, halves)) == pytest.approx([0.2, 0.2, 0.2])


def test_the_destination_stays_as_it_is() -> None:
    below = row(0, 0)
    composite_images(below, row(1), 0, 0)
    assert greys(below) == [0, 0]


def test_the_destination_decides_about_alpha() -> None:
    clear, plain = torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 3)
    assert composite_images(clear, plain, 0, 0)[0, 0, 0].tolist() == [0, 0, 0, 1]
    assert composite_images(plain, clear, 0, 0).shape == (1, 1, 1, 3)


# Alpha channels


def test_alpha_is_one_minus_the_mask() -> None:
    joined = join_alpha(row(0.5, 0.5), torch.tensor([[[0.0, 0.75]]]))
    assert joined[0, 0].tolist() == [[0.5, 0.5, 0.5, 1], [0.5, 0.5, 0.5, 0.25]]


def test_a_mask_of_another_size_becomes_alpha_of_the_size_of_the_picture() -> None:
    assert join_alpha(torch.zeros(3, 5, 7, 3), torch.zeros(2, 1, 1)).shape == (2, 5, 7, 4)


def test_splitting_gives_back_what_was_joined() -> None:
    mask = torch.tensor([[[0.25, 1.0]]])
    images, alpha = split_alpha(join_alpha(row(0.5, 1), mask))
    assert greys(images) == [0.5, 1]
    assert torch.equal(alpha, mask)


def test_a_picture_without_alpha_is_opaque() -> None:
    _, mask = split_alpha(torch.ones(2, 1, 3, 3))
    assert torch.equal(mask, torch.zeros(2, 1, 3))


# Porter and Duff: source 0.8 with alpha 0.5 above destination 0.4 with alpha 0.25.
S, SA, D, DA = 0.8 * 0.5, 0.5, 0.4 * 0.25, 0.25


@pytest.mark.parametrize(
    ("mode", "colour", "alpha"),
    [
        ("ADD", S + D, SA + DA),
        ("CLEAR", 0, 0),
        ("DARKEN", 0.75 * S + 0.5 * D + D, 0.625),
        ("DST", D, DA),
        ("DST_ATOP", 0.5 * D + 0.75 * S, SA),
        ("DST_IN", 0.5 * D, 0.125),
        ("DST_OUT", 0.5 * D, 0.125),
        ("DST_OVER", D + 0.75 * S, DA + 0.75 * SA),
        ("LIGHTEN", 0.75 * S + 0.5 * D + S, 0.625),
        ("MULTIPLY", S * D, 0.125),
        ("OVERLAY", 2 * S * D, 0.625),
        ("SCREEN", S + D - S * D, 0.625),
        ("SRC", S, SA),
        ("SRC_ATOP", 0.25 * S + 0.5 * D, DA),
        ("SRC_IN", 0.25 * S, 0.125),
        ("SRC_OUT", 0.75 * S, 0.375),
        ("SRC_OVER", S + 0.5 * D, 0.625),
        ("XOR", 0.75 * S + 0.5 * D, 0.75 * SA + 0.5 * DA),
    ],
)
def test_a_mode_mixes_premultiplied_colours(mode: str, colour: float, alpha: float) -> None:
    images, mask = porter_duff(row(0.8), torch.tensor([[[1 - SA]]]), row(0.4), torch.tensor([[[1 - DA]]]), mode)
    assert greys(images) == pytest.approx([min(1, colour / alpha) if alpha else 0])
    assert mask.flatten().tolist() == pytest.approx([1 - alpha])


def test_all_get_the_size_of_the_destination_and_the_shortest_batch() -> None:
    images, mask = porter_duff(
        torch.ones(3, 4, 4, 3), torch.zeros(3, 2, 2), torch.zeros(2, 5, 3, 3), torch.zeros(3, 1, 1), "SRC_OVER"
    )
    assert (images.shape, mask.shape) == ((2, 5, 3, 3), (2, 5, 3))
    assert torch.allclose(images, torch.tensor(1.0))


def test_pictures_with_and_without_alpha_are_not_mixed() -> None:
    clear = torch.zeros(1, 1, 1)
    with pytest.raises(GraphEngineError, match="'source' and 'destination' have 4 and 3 channels"):
        porter_duff(torch.zeros(1, 1, 1, 4), clear, torch.zeros(1, 1, 1, 3), clear, "SRC")


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(GraphEngineError, match="no mode 'PLUS'"):
        porter_duff(row(0), torch.zeros(1, 1, 1), row(0), torch.zeros(1, 1, 1), "PLUS")
