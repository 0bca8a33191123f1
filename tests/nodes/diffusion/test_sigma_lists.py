import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphengine_nodes.diffusion.nodes.sigma_nodes import (
    ExtendIntermediateSigmas,
    FlipSigmas,
    ManualSigmas,
    SamplingPercentToSigma,
    SetFirstSigma,
    SplitSigmas,
    SplitSigmasDenoise,
)
from graphengine_nodes.diffusion.sampling import sigma_lists

from .sampling_cases import MODEL_SAMPLINGS, tiny_model

SIGMAS = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.0])


@given(st.integers(0, 40), st.integers(0, 60))
def test_the_parts_of_a_split_list_share_the_sigma_between(count: int, step: int) -> None:
    sigmas = torch.arange(count, 0, -1, dtype=torch.float32)
    high, low = SplitSigmas().get_sigmas(sigmas, step)
    if step < count:
        assert torch.equal(torch.cat([high[:-1], low]), sigmas)
        assert float(high[-1]) == float(low[0])
    else:
        assert torch.equal(high, sigmas)
        assert len(low) == 0


@pytest.mark.parametrize(
    ("denoise", "high", "low"),
    [
        (1.0, [8.0], [8.0, 4.0, 2.0, 1.0, 0.0]),
        (0.5, [8.0, 4.0, 2.0], [2.0, 1.0, 0.0]),
        (0.0, [8.0, 4.0, 2.0, 1.0, 0.0], [0.0]),
    ],
)
def test_a_list_is_split_by_the_share_of_its_steps(denoise: float, high: list[float], low: list[float]) -> None:
    first, second = SplitSigmasDenoise().get_sigmas(SIGMAS, denoise)
    assert [first.tolist(), second.tolist()] == [high, low]


def test_a_flipped_list_starts_just_above_zero() -> None:
    assert FlipSigmas().get_sigmas(SIGMAS)[0].tolist() == [pytest.approx(0.0001), 1.0, 2.0, 4.0, 8.0]
    assert FlipSigmas().get_sigmas(SIGMAS[:0])[0].tolist() == []
    assert float(SIGMAS[-1]) == 0.0


def test_the_first_sigma_is_set_in_a_copy() -> None:
    assert SetFirstSigma().set_first_sigma(SIGMAS, 136.0)[0].tolist() == [136.0, 4.0, 2.0, 1.0, 0.0]
    assert float(SIGMAS[0]) == 8.0
    with pytest.raises(ValueError, match="sigmas is empty: it has no first sigma to set to 3"):
        SetFirstSigma().set_first_sigma(SIGMAS[:0], 3.0)


@pytest.mark.parametrize(
    ("spacing", "places"),
    [("linear", [0.25, 0.5, 0.75]), ("cosine", [0.3827, 0.7071, 0.9239]), ("sine", [0.0761, 0.2929, 0.6173])],
)
def test_steps_are_extended_at_places_of_a_curve(spacing: str, places: list[float]) -> None:
    [extended] = ExtendIntermediateSigmas().extend(torch.tensor([1.0, 0.0]), 4, -1.0, 0.0, spacing)
    assert extended.tolist() == pytest.approx([1.0, *(1 - place for place in places), 0.0], abs=1e-4)


def test_only_steps_that_start_within_the_range_are_extended() -> None:
    [extended] = ExtendIntermediateSigmas().extend(SIGMAS, 2, 4.0, 2.0, "linear")
    assert extended.tolist() == [8.0, 4.0, 3.0, 2.0, 1.5, 1.0, 0.0]
    for count in (0, 1):
        assert torch.equal(sigma_lists.extend(SIGMAS[:count], 2, -1.0, 0.0, "linear"), SIGMAS[:count])
    with pytest.raises(ValueError, match="spacing is 'cubic'; known: linear, cosine, sine"):
        sigma_lists.extend(SIGMAS, 2, -1.0, 0.0, "cubic")


@pytest.mark.parametrize(
    ("text", "sigmas"),
    [
        ("0.909375, 0.725, 0.421875, 0.0", [0.909375, 0.725, 0.421875, 0.0]),
        ("14;  7.5\n.5 0", [14.0, 7.5, 0.5, 0.0]),
        ("1e-3, 2E1", [0.001, 20.0]),
        ("", []),
        ("none", []),
    ],
)
def test_sigmas_are_read_from_a_text(text: str, sigmas: list[float]) -> None:
    assert ManualSigmas().get_sigmas(text)[0].tolist() == pytest.approx(sigmas)


def test_a_text_of_too_many_sigmas_is_refused() -> None:
    with pytest.raises(ValueError, match="sigmas holds 10001 numbers; at most 10000 are read"):
        sigma_lists.parse("1 " * 10001)


def test_a_percentage_stands_for_a_limit_or_for_the_models_own_end() -> None:
    eps, node = MODEL_SAMPLINGS["eps"], SamplingPercentToSigma()
    ends = [node.get_sigmas(tiny_model(), percent, True)[0] for percent in (0.0, 1.0)]
    assert ends == [float(eps.sigmas[-1]), float(eps.sigmas[0])]
    assert [node.get_sigmas(tiny_model(), percent, False)[0] for percent in (0.0, 1.0)] == [999999999.9, 0.0]
    assert node.get_sigmas(tiny_model(), 0.5, True)[0] == eps.percent_to_sigma(0.5)
