import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphengine_nodes.explaining.contrastive import contrast, cosines, info_nce, probabilities, symmetric_loss
from graphengine_nodes.explaining.gaussians import standard_noise


@given(st.integers(1, 12), st.floats(0.01, 10), st.floats(-1, 1, width=32))
def test_who_cannot_tell_the_candidates_apart_pays_the_logarithm_of_their_number(
    count: int, temperature: float, value: float
) -> None:
    uniform = torch.full((count, count), value)
    assert symmetric_loss(uniform, temperature).item() == pytest.approx(math.log(count), abs=1e-5)
    assert contrast(uniform, temperature).chance == pytest.approx(math.log(count))


@given(st.integers(2, 10), st.integers(1, 8), st.integers(0, 50))
def test_with_k_negatives_there_are_k_plus_one_candidates(count: int, negatives: int, seed: int) -> None:
    uniform = torch.zeros(count, count)
    wanted = math.log(min(negatives, count - 1) + 1)
    assert info_nce(uniform, negatives, seed).tolist() == pytest.approx([wanted] * count, abs=1e-5)


def test_the_loss_is_that_of_the_formula() -> None:
    logits = torch.tensor([[2.0, 0.0], [1.0, 3.0]])
    first = -math.log(math.exp(2) / (math.exp(2) + math.exp(0)))
    second = -math.log(math.exp(3) / (math.exp(1) + math.exp(3)))
    assert info_nce(logits).tolist() == pytest.approx([first, second])


@given(st.integers(0, 100))
def test_the_symmetric_loss_is_the_same_for_pictures_and_texts_exchanged(seed: int) -> None:
    similarities = standard_noise((5, 5), seed)
    assert symmetric_loss(similarities, 0.5).item() == pytest.approx(symmetric_loss(similarities.T, 0.5).item())


def test_a_low_temperature_makes_sure_and_a_high_one_makes_all_equal() -> None:
    similarities = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    assert probabilities(similarities, 0.01)[0].tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert probabilities(similarities, 1000.0)[0].tolist() == pytest.approx([0.5, 0.5], abs=1e-3)


def test_a_wrong_pair_is_seen_in_loss_and_accuracy() -> None:
    result = contrast(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), 0.1)
    assert result.accuracy == 0.0
    assert result.loss > result.chance
    assert contrast(torch.eye(3), 0.1).accuracy == 1.0


def test_cosines_forget_lengths() -> None:
    values = cosines(torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([[10.0, 0.0], [0.0, -2.0]]))
    assert values.flatten().tolist() == pytest.approx([1.0, 0.0, 0.5**0.5, -(0.5**0.5)])


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"shape \[2, 3\] and \[2, 4\] cannot be compared"):
        cosines(torch.ones(2, 3), torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"as many pictures as texts are needed, in pairs; there are \[2, 3\]"):
        info_nce(torch.ones(2, 3))
    with pytest.raises(ValueError, match="temperature is 0;"):
        probabilities(torch.ones(2, 2), 0.0)
