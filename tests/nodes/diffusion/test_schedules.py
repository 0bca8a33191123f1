import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine_nodes.diffusion.sampling.names import SCHEDULERS
from graphengine_nodes.diffusion.sampling.schedules import SCHEDULES, calculate_sigmas

from .sampling_cases import MODEL_SAMPLINGS, reference_cases

# Powers, exponentials and tangents of whole tensors may differ in the last place from one processor to another.
VECTORISED = {"karras", "exponential", "kl_optimal"}


def test_the_names_offered_are_those_implemented() -> None:
    assert list(SCHEDULERS) == list(SCHEDULES)


@pytest.mark.parametrize(
    "case", reference_cases("schedules"), ids=lambda c: f"{c['model_sampling']}-{c['scheduler']}-{c['steps']}"
)
def test_sigmas_equal_the_reference_outputs(case: dict[str, Any]) -> None:
    sigmas = calculate_sigmas(MODEL_SAMPLINGS[case["model_sampling"]], case["scheduler"], case["steps"])
    expected = torch.tensor(case["sigmas"])
    assert sigmas.dtype == torch.float32
    if case["scheduler"] in VECTORISED:
        torch.testing.assert_close(sigmas, expected, rtol=3e-7, atol=0)
    else:
        assert torch.equal(sigmas, expected)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(SCHEDULERS), st.sampled_from(sorted(MODEL_SAMPLINGS)), st.integers(1, 60))
def test_sigmas_fall_from_the_top_of_the_table_to_zero(scheduler: str, family: str, steps: int) -> None:
    sampling = MODEL_SAMPLINGS[family]
    sigmas = calculate_sigmas(sampling, scheduler, steps)
    assert bool((sigmas.diff() < 0).all())
    assert float(sigmas[-1]) == 0.0
    assert float(sigmas[0]) <= float(sampling.sigmas[-1]) * (1 + 1e-3)


def test_an_unshifted_flow_falls_evenly() -> None:
    flow = MODEL_SAMPLINGS["flow_shift1"]
    for scheduler in ("simple", "sgm_uniform"):
        sigmas = calculate_sigmas(flow, scheduler, 4).tolist()
        assert sigmas == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0], abs=1e-3)


def test_ddim_uniform_gives_a_step_more_where_the_steps_do_not_divide_the_table() -> None:
    assert len(calculate_sigmas(MODEL_SAMPLINGS["eps"], "ddim_uniform", 30)) == 32
    assert len(calculate_sigmas(MODEL_SAMPLINGS["eps"], "ddim_uniform", 20)) == 21


def test_beta_drops_levels_that_occur_twice() -> None:
    assert len(calculate_sigmas(MODEL_SAMPLINGS["eps"], "beta", 900)) < 901


def test_a_single_step_of_kl_optimal_starts_at_the_top() -> None:
    sigmas = calculate_sigmas(MODEL_SAMPLINGS["eps"], "kl_optimal", 1)
    assert float(sigmas[0]) == pytest.approx(14.614642, rel=1e-5)
    assert not math.isnan(float(sigmas[1]))


def test_an_unknown_scheduler_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown scheduler 'linear'; known: simple, sgm_uniform"):
        calculate_sigmas(MODEL_SAMPLINGS["eps"], "linear", 4)


def test_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="steps is 0; a schedule needs at least 1"):
        calculate_sigmas(MODEL_SAMPLINGS["eps"], "simple", 0)
