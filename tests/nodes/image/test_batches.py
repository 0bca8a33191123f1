import pytest
import torch

from graphengine.node.api import GraphEngineError
from graphengine_nodes.image.batches import (
    empty_images,
    images_from_batch,
    join_images,
    rebatch_images,
    repeat_images,
    repeat_to_batch,
)


def numbered(count: int, height: int = 1, width: int = 1, channels: int = 1) -> torch.Tensor:
    """Pictures that hold their numbers 0, 1, 2, …"""
    return torch.arange(count, dtype=torch.float32).reshape(-1, 1, 1, 1).repeat(1, height, width, channels)


def test_a_colour_is_read_as_red_green_blue() -> None:
    images = empty_images(3, 2, batch_size=2, color=0xFF8000)
    assert images.shape == (2, 2, 3, 3)
    assert images[1, 1, 2].tolist() == pytest.approx([1, 128 / 255, 0])


def test_empty_pictures_do_not_share_memory_with_each_other() -> None:
    images = empty_images(1, 1, batch_size=2)
    images[0] = 1
    assert images[1].sum() == 0


def test_pictures_of_another_size_get_the_size_of_the_first() -> None:
    first, second = torch.zeros(2, 2, 2, 3), torch.ones(1, 4, 8, 3)
    joined = join_images(first, second)
    assert joined.shape == (3, 2, 2, 3)
    assert joined.sum(dim=(1, 2, 3)).tolist() == [0, 0, 12]


def test_the_middle_of_pictures_with_other_proportions_is_kept() -> None:
    wide = torch.tensor([5.0, 1.0, 1.0, 5.0]).reshape(1, 1, 4, 1).repeat(1, 2, 1, 1)
    assert join_images(torch.zeros(1, 2, 2, 1), wide)[1].flatten().tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("channels", "more"), [(3, 4), (4, 3)])
def test_pictures_without_alpha_become_opaque_beside_others(channels: int, more: int) -> None:
    joined = join_images(torch.zeros(1, 1, 1, channels), torch.zeros(1, 1, 1, more))
    opaque = 0 if channels == 3 else 1
    assert joined[opaque, 0, 0].tolist() == [0, 0, 0, 1]
    assert joined[1 - opaque, 0, 0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("index", "length", "expected"),
    [(0, 1, [0]), (1, 2, [1, 2]), (1, 99, [1, 2]), (2, 1, [2]), (50, 1, [2]), (50, 5, [2])],
)
def test_what_is_not_in_the_batch_is_left_out_but_the_last_picture_stays(
    index: int, length: int, expected: list[float]
) -> None:
    assert images_from_batch(numbered(3), index, length).flatten().tolist() == expected


def test_a_batch_is_repeated_as_a_whole() -> None:
    assert repeat_images(numbered(2), 3).flatten().tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("size", "expected"), [(1, [0]), (3, [0, 1, 2]), (5, [0, 1, 2, 0, 1]), (7, [0, 1, 2, 0, 1, 2, 0])]
)
def test_a_batch_is_repeated_or_cut_to_a_number(size: int, expected: list[float]) -> None:
    assert repeat_to_batch(numbered(3), size).flatten().tolist() == expected


def test_pictures_are_put_into_batches_of_another_size_in_their_order() -> None:
    batches = rebatch_images([numbered(3), numbered(2) + 3], 2)
    assert [batch.flatten().tolist() for batch in batches] == [[0, 1], [2, 3], [4]]


def test_pictures_of_different_sizes_make_no_batch() -> None:
    with pytest.raises(GraphEngineError, match=r"input 'images'.*\[\(1, 1, 1\), \(1, 2, 1\)\]"):
        rebatch_images([numbered(1), numbered(1, width=2)], 2)
