import pytest
import torch

from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.latent.batches import (
    join_latents,
    latents_from_batch,
    rebatch_latents,
    repeat_latents,
    with_seed_behavior,
)


def latent(*values: float, size: int = 1) -> Latent:
    """One value for each latent: (B, 1, size, size)."""
    samples = torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1)
    return {"samples": samples.repeat(1, 1, size, size)}


def values(of: Latent) -> list[float]:
    """The first number of each latent."""
    numbers: list[float] = of["samples"].flatten(1)[:, 0].tolist()
    return numbers


def test_joined_latents_keep_their_places() -> None:
    second = latent(3)
    second["batch_index"] = [7]
    joined = join_latents(latent(1, 2), second)
    assert values(joined) == [1, 2, 3]
    assert joined["batch_index"] == [0, 1, 7]


def test_latents_of_another_size_are_scaled_to_the_first() -> None:
    joined = join_latents(latent(1, size=2), {"samples": torch.ones(3, 1, 4, 8)})
    assert joined["samples"].shape == (4, 1, 2, 2)
    video = join_latents({"samples": torch.zeros(1, 1, 3, 2, 2)}, {"samples": torch.ones(1, 1, 3, 4, 4)})
    assert video["samples"].shape == (2, 1, 3, 2, 2)
    assert video["samples"][1].min() == 1


@pytest.mark.parametrize(
    ("index", "length", "expected", "places"),
    [(0, 1, [1], [0]), (1, 9, [2, 3], [1, 2]), (9, 1, [3], [2])],
)
def test_picked_latents_know_where_they_were(
    index: int, length: int, expected: list[float], places: list[int]
) -> None:
    picked = latents_from_batch(latent(1, 2, 3), index, length)
    assert values(picked) == expected
    assert picked["batch_index"] == places


def test_places_are_picked_as_well() -> None:
    source = latent(1, 2, 3)
    source["batch_index"] = [5, 6, 9]
    assert latents_from_batch(source, 1, 2)["batch_index"] == [6, 9]


@pytest.mark.parametrize(
    ("masks", "expected"), [([0.5], [0.5]), ([0.1, 0.2, 0.3], [0.2, 0.3]), ([0.1, 0.2], [0.2, 0.1])]
)
def test_noise_masks_are_picked_as_well(masks: list[float], expected: list[float]) -> None:
    source = latent(1, 2, 3)
    source["noise_mask"] = torch.tensor(masks).reshape(-1, 1, 1, 1)
    assert latents_from_batch(source, 1, 2)["noise_mask"].flatten().tolist() == pytest.approx(expected)


def test_repeated_latents_get_places_behind_the_others() -> None:
    source = latent(1, 2)
    assert "batch_index" not in repeat_latents(source, 2)
    source["batch_index"] = [4, 6]
    source["noise_mask"] = torch.tensor([0.0, 1.0]).reshape(2, 1, 1)
    repeated = repeat_latents(source, 3)
    assert values(repeated) == [1, 2, 1, 2, 1, 2]
    assert repeated["batch_index"] == [4, 6, 7, 9, 10, 12]
    assert repeated["noise_mask"].flatten().tolist() == [0, 1, 0, 1, 0, 1]


def test_one_noise_mask_serves_every_repetition() -> None:
    source = latent(1, 2)
    source["noise_mask"] = torch.ones(1, 1, 4, 4)
    assert repeat_latents(source, 3)["noise_mask"].shape == (1, 1, 4, 4)


def test_a_video_is_repeated_as_well() -> None:
    assert repeat_latents({"samples": torch.zeros(1, 4, 3, 2, 2)}, 2)["samples"].shape == (2, 4, 3, 2, 2)


def test_all_get_the_noise_of_the_first_or_each_its_own() -> None:
    source = latent(1, 2, 3)
    assert with_seed_behavior(source, "fixed")["batch_index"] == [0, 0, 0]
    source["batch_index"] = [4, 5, 6]
    assert with_seed_behavior(source, "fixed")["batch_index"] == [4, 4, 4]
    assert "batch_index" not in with_seed_behavior(source, "random")
    assert source["batch_index"] == [4, 5, 6]


def test_latents_are_put_into_batches_of_one_shape() -> None:
    batches = rebatch_latents([latent(1, 2, 3), latent(4), latent(5, size=2), latent(6)], 2)
    assert [values(batch) for batch in batches] == [[1, 2], [3, 4], [5], [6]]
    assert [batch["batch_index"] for batch in batches] == [[0, 1], [2, 3], [4], [5]]
    assert all("noise_mask" not in batch for batch in batches)


def test_masks_go_along_in_pixels_and_are_whole_where_there_was_none() -> None:
    masked = latent(1)
    masked["noise_mask"] = torch.zeros(1, 1, 1, 1)
    first, second = rebatch_latents([masked, latent(2), latent(3)], 2)
    assert first["noise_mask"].shape == (2, 1, 8, 8)
    assert first["noise_mask"].mean(dim=(1, 2, 3)).tolist() == [0, 1]
    assert "noise_mask" not in second
