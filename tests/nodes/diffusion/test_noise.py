import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine_nodes.diffusion.sampling.noise import ancestral_noise, brownian_noise, prepare_noise

SIGMA = torch.tensor(1.0)


def test_noise_is_what_the_global_cpu_generator_would_draw() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(42)
        expected = torch.randn(2, 4, 3, 3)
    assert torch.equal(prepare_noise(torch.zeros(2, 4, 3, 3), 42), expected)


def test_noise_of_a_seed_is_pinned() -> None:
    noise = prepare_noise(torch.zeros(1, 1, 1, 4), 42).flatten()
    assert noise.tolist() == pytest.approx([0.3366904, 0.1288094, 0.2344624, 0.2303334], abs=1e-6)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    x = torch.zeros(1, 1, 2, 2)
    prepare_noise(x, 1)
    ancestral_noise(x, 1)(SIGMA, SIGMA / 2)
    brownian_noise(x, 1, torch.tensor([1.0, 0.1]))(SIGMA, SIGMA / 2)
    assert torch.equal(torch.get_rng_state(), before)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=4))
def test_a_sample_gets_the_noise_of_its_place_in_the_batch(batch_index: list[int]) -> None:
    everything = prepare_noise(torch.zeros(7, 4, 2, 2), 5, list(range(7)))
    picked = prepare_noise(torch.zeros(len(batch_index), 4, 2, 2), 5, batch_index)
    assert torch.equal(picked, everything[batch_index])


def test_a_batch_index_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_index \[0\] must hold one index >= 0 for each of the 2 latents"):
        prepare_noise(torch.zeros(2, 4, 2, 2), 5, [0])


def test_the_largest_seed_works() -> None:
    x = torch.zeros(1, 1, 2, 2)
    seed = 2**64 - 1
    assert prepare_noise(x, seed).isfinite().all()
    assert torch.equal(
        ancestral_noise(x, seed)(SIGMA, SIGMA / 2), ancestral_noise(x, 0, seed_offset=0)(SIGMA, SIGMA / 2)
    )
    assert brownian_noise(x, seed, torch.tensor([1.0, 0.1]))(SIGMA, SIGMA / 2).isfinite().all()


def test_ancestral_noise_does_not_repeat_the_initial_noise_by_default() -> None:
    x = torch.zeros(1, 4, 2, 2)
    assert not torch.equal(ancestral_noise(x, 7)(SIGMA, SIGMA / 2), prepare_noise(x, 7))
    assert torch.equal(ancestral_noise(x, 7, seed_offset=0)(SIGMA, SIGMA / 2), prepare_noise(x, 7))


def test_brownian_increments_of_a_divided_step_add_up() -> None:
    x = torch.zeros(1, 1, 4, 4)
    sigmas = torch.tensor([10.0, 4.0, 1.0, 0.0])
    noise = brownian_noise(x, 3, sigmas)
    ten, four, one = sigmas[0], sigmas[1], sigmas[2]
    parts = noise(ten, four) * 6**0.5 + noise(four, one) * 3**0.5
    torch.testing.assert_close(parts, noise(ten, one) * 3.0)


def test_brownian_noise_is_standard_normal() -> None:
    noise = brownian_noise(torch.zeros(1, 1, 100, 100), 3, torch.tensor([10.0, 0.1]))
    drawn = noise(torch.tensor(5.0), torch.tensor(4.0))
    assert float(drawn.std()) == pytest.approx(1.0, abs=0.03)
