import pytest
import torch
from torch import Tensor

from graphengine_nodes.image.scaling import resize, scale_images, scale_images_by, scale_images_for_kontext


def _row(*values: float) -> Tensor:
    """One picture of one row with one channel: (1, 1, 1, W)."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("nearest-exact", [0.0, 0.0, 1.0, 1.0]),
        ("bilinear", [0.0, 0.25, 0.75, 1.0]),
        ("area", [0.0, 0.0, 1.0, 1.0]),
        ("bicubic", [-0.10546875, 0.2265625, 0.7734375, 1.10546875]),
        ("lanczos", [0.0, 59 / 255, 196 / 255, 1.0]),
    ],
)
def test_twice_the_width(method: str, values: list[float]) -> None:
    assert resize(_row(0, 1), 4, 1, method).flatten().tolist() == pytest.approx(values)


@pytest.mark.parametrize("method", ["area", "bilinear"])
def test_half_the_width(method: str) -> None:
    assert resize(_row(0, 0.5, 0.25, 0.75), 2, 1, method).flatten().tolist() == [0.25, 0.5]


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos", "bislerp"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_method_gives_the_size_that_was_asked_for(method: str, channels: int) -> None:
    samples = torch.full((2, channels, 4, 6), 0.6)
    scaled = resize(samples, 9, 5, method)
    assert scaled.shape == (2, channels, 5, 9)
    assert torch.allclose(scaled, torch.tensor(0.6), atol=1e-6)


def test_lanczos_cuts_colours_to_eight_bits() -> None:
    assert resize(_row(0.999, 0.999), 2, 1, "lanczos").flatten().tolist() == pytest.approx([254 / 255] * 2)


@pytest.mark.parametrize(
    ("width", "height", "columns", "rows"),
    [(2, 2, [1, 2], [0, 1]), (4, 1, [0, 1, 2, 3], [0, 1]), (1, 2, [1, 2], [0, 1]), (8, 4, [0, 1, 2, 3], [0, 1])],
)
def test_cropping_keeps_the_middle(width: int, height: int, columns: list[int], rows: list[int]) -> None:
    # 4 x 2 pixels; each holds 10 * row + column. Only whole pixels are cut, half a row is none.
    samples = torch.tensor([[0.0, 1, 2, 3], [10, 11, 12, 13]]).reshape(1, 1, 2, 4)
    kept = samples[..., rows, :][..., columns]
    expected = resize(kept, width, height, "area")
    assert torch.equal(resize(samples, width, height, "area", "center"), expected)


def test_without_cropping_the_proportions_change() -> None:
    samples = torch.tensor([[0.0, 1, 2, 3], [10, 11, 12, 13]]).reshape(1, 1, 2, 4)
    assert resize(samples, 2, 2, "area").tolist() == [[[[0.5, 2.5], [10.5, 12.5]]]]


# Directions and lengths


def test_bislerp_turns_the_direction_and_changes_the_length_linearly() -> None:
    # Two pixels: (1, 0) and (0, 3). The middle of three points at 45 degrees and has the length 2.
    samples = torch.tensor([[1.0, 0.0], [0.0, 3.0]]).reshape(1, 2, 1, 2)
    middle = resize(samples, 3, 1, "bislerp")[0, :, 0, 1]
    assert middle.tolist() == pytest.approx([2**0.5, 2**0.5])


def test_bislerp_mixes_linearly_where_no_arc_is_defined() -> None:
    parallel = torch.tensor([[1.0, 3.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    opposite = torch.tensor([[1.0, -1.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    assert resize(parallel, 3, 1, "bislerp")[0, :, 0, 1].tolist() == [2, 0]
    assert resize(opposite, 3, 1, "bislerp")[0, :, 0, 1].tolist() == [0, 0]


def test_bislerp_changes_nothing_at_the_same_size() -> None:
    samples = torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(resize(samples, 5, 3, "bislerp"), samples, atol=1e-6)


def test_bislerp_keeps_the_norm_of_noise_where_bilinear_shrinks_it() -> None:
    samples = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    samples = samples / samples.norm(dim=1, keepdim=True)
    assert torch.allclose(resize(samples, 24, 24, "bislerp").norm(dim=1), torch.tensor(1.0), atol=1e-4)
    assert resize(samples, 24, 24, "bilinear").norm(dim=1).mean() < 0.9


def test_bislerp_keeps_the_type_of_numbers() -> None:
    assert resize(torch.ones(1, 4, 2, 2, dtype=torch.float16), 4, 4, "bislerp").dtype == torch.float16


# IMAGE values


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [(3, 5, (1, 5, 3, 3)), (8, 0, (1, 4, 8, 3)), (0, 1, (1, 1, 2, 3)), (1, 0, (1, 1, 1, 3)), (0, 0, (1, 2, 4, 3))],
)
def test_a_size_of_zero_follows_from_the_other_one(width: int, height: int, shape: tuple[int, ...]) -> None:
    assert scale_images(torch.zeros(1, 2, 4, 3), "bilinear", width, height).shape == shape


@pytest.mark.parametrize(
    ("factor", "shape"), [(2.0, (1, 4, 8, 3)), (0.5, (1, 1, 2, 3)), (0.01, (1, 1, 1, 3)), (1.4, (1, 3, 6, 3))]
)
def test_a_factor_scales_both_sides(factor: float, shape: tuple[int, ...]) -> None:
    assert scale_images_by(torch.zeros(1, 2, 4, 3), "area", factor).shape == shape


def test_channels_stay_last() -> None:
    image = torch.tensor([[[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]])
    assert scale_images_by(image, "nearest-exact", 2)[0, :, :, 0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((9, 9), (1024, 1024)), ((1, 50), (672, 1568)), ((50, 1), (1568, 672)), ((20, 30), (832, 1248))],
)
def test_the_nearest_proportions_of_kontext_are_chosen(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert scale_images_for_kontext(torch.zeros(1, *shape, 3)).shape == (1, *expected, 3)
