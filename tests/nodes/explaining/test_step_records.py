import pytest
import torch

from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.diffusion.sampling.custom_sampling import sample_custom
from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree, Guider
from graphengine_nodes.diffusion.sampling.ksampler import run_sigmas
from graphengine_nodes.diffusion.sampling.noise import SeededNoise
from graphengine_nodes.diffusion.sampling.samplers import find_sampler
from graphengine_nodes.explaining.step_records import Recorded, distances, sample_recorded, spread
from tests.nodes.diffusion.sampling_cases import MODEL_SAMPLINGS, text, tiny_model


def _ignore(step: int, total: int) -> None:
    """Nobody listens."""


def _go_on() -> None:
    """Nobody stops it."""


def _guider() -> Guider:
    return Guider(tiny_model(), {"positive": [text(1.0)], "negative": [text(0.5)]}, ClassifierFree(3.0))


def _latent() -> Latent:
    return {"samples": torch.full((2, 4, 3, 3), 0.7)}


def _recorded(name: str, *, kept: int = 99, steps: int = 6, denoise: float = 1.0) -> Recorded:
    sampler = find_sampler(name)
    sigmas = run_sigmas(MODEL_SAMPLINGS["eps"], sampler, "karras", steps, denoise)
    return sample_recorded(
        _guider(), noise=SeededNoise(5), sampler=sampler, sigmas=sigmas, latent=_latent(), kept=kept,
        progress=_ignore, check_cancelled=_go_on,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "uni_pc", "dpm_adaptive"]
)
def test_recording_changes_nothing_of_the_result(name: str) -> None:
    sampler = find_sampler(name)
    sigmas = run_sigmas(MODEL_SAMPLINGS["eps"], sampler, "karras", 6)
    plain = sample_custom(_guider(), noise=SeededNoise(5), sampler=sampler, sigmas=sigmas, latent=_latent())
    assert torch.equal(_recorded(name).sampled.output["samples"], plain.output["samples"])


def test_each_step_has_its_level_and_the_last_estimate_is_the_result() -> None:
    recorded = _recorded("euler")
    sigmas = run_sigmas(MODEL_SAMPLINGS["eps"], find_sampler("euler"), "karras", 6)
    assert [step.index for step in recorded.steps] == list(range(6))
    assert [step.sigma for step in recorded.steps] == sigmas[:-1].tolist()
    assert {tuple(step.x.shape) for step in recorded.steps} == {(1, 4, 3, 3)}
    away = distances(recorded.steps, recorded.sampled.output["samples"])
    assert away[-1] == pytest.approx(0.0, abs=1e-4)
    assert away[0] > 1.0


def test_few_steps_are_kept_of_many() -> None:
    assert [step.index for step in _recorded("euler", kept=3, steps=9).steps] == [0, 4, 8]


def test_no_step_is_kept_of_a_run_without_any() -> None:
    recorded = _recorded("euler", denoise=0.0)
    assert recorded.steps == []
    assert torch.equal(recorded.sampled.output["samples"], _latent()["samples"])


@pytest.mark.parametrize(
    ("count", "chosen", "expected"),
    [(0, 4, []), (-1, 4, []), (3, 4, [0, 1, 2]), (9, 3, [0, 4, 8]), (9, 1, [8]), (2, 2, [0, 1])],
)
def test_numbers_are_spread_from_the_first_to_the_last(count: int, chosen: int, expected: list[int]) -> None:
    assert spread(count, chosen) == expected
