import pytest
import torch

from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.latent import mixing
from graphengine_nodes.latent.operation_nodes import LatentApplyOperation, LatentFlip, LatentRotate
from graphengine_nodes.latent.operations import Sharpen, Tonemap


def latent(*values: float, channels: int = 1) -> Latent:
    """A row of values: (1, channels, 1, W)."""
    return {"samples": torch.tensor(values, dtype=torch.float32).reshape(1, channels, 1, -1)}


def values(of: Latent) -> list[float]:
    """All numbers."""
    numbers: list[float] = of["samples"].flatten().tolist()
    return numbers


def zeros(batch: int, height: int, width: int) -> Latent:
    """A latent of one channel."""
    return {"samples": torch.zeros(batch, 1, height, width)}


def test_latents_are_added_subtracted_and_multiplied() -> None:
    assert values(mixing.add(latent(1, 2), latent(10, 20))) == [11, 22]
    assert values(mixing.subtract(latent(1, 2), latent(10, 20))) == [-9, -18]
    assert values(mixing.multiply(latent(1, 2), -0.5)) == [-0.5, -1]


def test_the_second_latent_gets_the_size_and_batch_of_the_first() -> None:
    added = mixing.add(zeros(3, 2, 2), {"samples": torch.arange(2.0).reshape(2, 1, 1, 1).repeat(1, 1, 4, 8)})
    assert added["samples"].mean(dim=(1, 2, 3)).tolist() == [0, 1, 0]


def test_noise_masks_of_the_first_stay() -> None:
    first = latent(1)
    first["noise_mask"] = torch.ones(1, 1, 1)
    assert torch.equal(mixing.add(first, latent(2))["noise_mask"], first["noise_mask"])


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, [3, 0]), (0.0, [0, 1]), (0.5, [2**0.5, 2**0.5])])
def test_directions_and_lengths_are_mixed_apart(ratio: float, expected: list[float]) -> None:
    # (3, 0) and (0, 1): half way the direction is 45 degrees and the length 2.
    mixed = mixing.interpolate(latent(3, 0, channels=2), latent(0, 1, channels=2), ratio)
    assert values(mixed) == pytest.approx(expected)


def test_zeros_have_no_direction_and_stay_zeros() -> None:
    assert values(mixing.interpolate(latent(0), latent(0), 0.5)) == [0]


def test_a_blend_weighs_the_first_with_the_factor() -> None:
    assert values(mixing.blend(latent(1), latent(5), 0.25)) == [4]
    assert mixing.blend(zeros(1, 3, 5), zeros(1, 8, 8), 0.5)["samples"].shape == (1, 1, 3, 5)


# Latents on each other


def test_a_latent_covers_another_from_a_place_in_pixels() -> None:
    assert values(mixing.composite_latents(latent(0, 0, 0), latent(1, 1), 16, 0, 0)) == [0, 0, 1]
    assert values(mixing.composite_latents(latent(0, 0, 0), latent(1, 1), 80, 0, 0)) == [0, 0, 0]


def test_sides_within_the_picture_fade() -> None:
    faded = mixing.composite_latents(latent(*[0] * 8), latent(1, 1, 1, 1), 16, 0, 16)
    assert values(faded) == [0, 0, 0.5, 1, 1, 0.5, 0, 0]
    assert values(mixing.composite_latents(latent(0, 0, 0, 0), latent(1, 1), 0, 0, 16)) == [1, 0.5, 0, 0]


def test_a_mask_in_pixels_says_how_much_is_covered() -> None:
    mask = torch.tensor([[[0.0] * 8 + [1.0] * 8]])
    below, above = zeros(2, 1, 3), latent(1, 1)
    covered = mixing.composite_masked(below, above, 8, 0, mask, resize_source=False)
    assert covered["samples"][:, 0, 0].tolist() == [[0, 0, 1]] * 2


# Parts


def test_a_part_is_cut_out_in_pixels() -> None:
    source: Latent = {"samples": torch.arange(100.0).reshape(1, 1, 10, 10)}
    part = mixing.crop(source, 16, 8, 8, 0)
    assert part["samples"].tolist() == [[[[1, 2]]]]
    assert mixing.crop(source, 64, 64, 800, 800)["samples"].shape == (1, 1, 8, 8)
    assert mixing.crop(latent(1, 2, 3), 64, 64, 8, 0)["samples"].tolist() == [[[[1, 2, 3]]]]


@pytest.mark.parametrize(("axis", "expected"), [("x", [1, 2, 3, 4]), ("-x", [3, 4, 1, 2])])
def test_latents_are_put_behind_each_other(axis: str, expected: list[float]) -> None:
    assert values(mixing.concatenate(latent(1, 2), latent(3, 4), axis)) == expected


def test_latents_are_put_behind_each_other_in_time() -> None:
    video: Latent = {"samples": torch.zeros(2, 16, 3, 4, 4)}
    once: Latent = {"samples": torch.ones(1, 16, 1, 4, 4)}
    joined = mixing.concatenate(video, once, "t")["samples"]
    assert joined.shape == (2, 16, 4, 4, 4)
    assert joined[:, :, 3].min() == 1
    assert mixing.concatenate(video, video, "-y")["samples"].shape == (2, 16, 3, 8, 4)


@pytest.mark.parametrize(
    ("index", "amount", "expected"),
    [(0, 2, [1, 2]), (1, 99, [2, 3]), (9, 1, [3]), (-1, 5, [3]), (-2, 1, [2]), (-99, 2, [1, 2])],
)
def test_a_part_is_cut_along_an_axis(index: int, amount: int, expected: list[float]) -> None:
    assert values(mixing.cut(latent(1, 2, 3), "x", index, amount)) == expected


def test_a_video_loses_its_start() -> None:
    assert mixing.trim_start({"samples": torch.zeros(1, 16, 5, 2, 2)}, 2)["samples"].shape == (1, 16, 3, 2, 2)


def test_latents_and_videos_are_mirrored_and_turned() -> None:
    source: Latent = {"samples": torch.tensor([[1.0, 2], [3, 4]])[None, None]}
    assert values(LatentFlip().flip(source, "x-axis: vertically")[0]) == [3, 4, 1, 2]
    assert values(LatentFlip().flip(source, "y-axis: horizontally")[0]) == [2, 1, 4, 3]
    assert values(LatentRotate().rotate(source, "90 degrees")[0]) == [3, 1, 4, 2]
    video: Latent = {"samples": torch.zeros(1, 16, 5, 2, 3)}
    assert LatentRotate().rotate(video, "270 degrees")[0]["samples"].shape == (1, 16, 5, 3, 2)


# Operations


def test_tone_mapping_shortens_long_vectors_and_keeps_directions() -> None:
    samples = torch.tensor([[3.0, 0.3], [4.0, 0.4]])[None, :, None]  # two vectors of lengths 5 and 0.5
    mapped = Tonemap(1.0)(latent=samples)
    top = 2.75 + 5 * (4.5**2 / 2) ** 0.5
    assert mapped[0, :, 0, 0].tolist() == pytest.approx([0.6 * 5 * top / (5 + top), 0.8 * 5 * top / (5 + top)])
    assert mapped.norm(dim=1).flatten().tolist() == pytest.approx([5 * top / (5 + top), 0.5 * top / (0.5 + top)])


def test_a_top_of_zero_gives_zeros() -> None:
    assert Tonemap(0.0)(torch.ones(1, 4, 3, 3)).abs().max() < 1e-6


def test_sharpening_changes_no_even_latent() -> None:
    even = torch.full((2, 4, 5, 6), 0.3)
    assert torch.allclose(Sharpen(9, 1.0, 0.1)(even), even, atol=1e-5)
    uneven = torch.randn(1, 4, 5, 6, generator=torch.Generator().manual_seed(1))
    assert not torch.allclose(Sharpen(9, 1.0, 0.1)(uneven), uneven, atol=1e-2)


def test_an_operation_is_applied_to_the_samples() -> None:
    (done,) = LatentApplyOperation().apply(latent(1, 2), lambda latent, **more: latent * 2)
    assert values(done) == [2, 4]
