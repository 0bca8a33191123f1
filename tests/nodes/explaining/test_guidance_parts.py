import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphengine.node.api import RunCancelled
from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.explaining.guidance_parts import Parts, angle, strengths, take_apart
from tests.nodes.diffusion.sampling_cases import text, tiny_model


def _ignore(step: int, total: int) -> None:
    """Nobody listens."""


def _go_on() -> None:
    """Nobody stops it."""


def _latent() -> Latent:
    return {"samples": torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(2))}


def _parts(cfg: float, sigmas: list[float]) -> list[Parts]:
    """Of a model whose predicted noise is tanh(scaled x), times 1 for the positive text and 0.25 for the other."""
    return take_apart(
        tiny_model(), [text(1.0)], [text(0.25)], _latent(), sigmas, cfg=cfg, seed=4, progress=_ignore,
        check_cancelled=_go_on,
    )  # fmt: skip


@given(st.floats(0, 20), st.floats(0.05, 14))
def test_guidance_is_the_positive_side_cfg_times_and_the_negative_one_minus_cfg_times(
    cfg: float, sigma: float
) -> None:
    (parts,) = _parts(cfg, [sigma])
    assert torch.allclose(parts.guided, cfg * parts.cond + (1 - cfg) * parts.uncond, atol=1e-3 * (1 + cfg))


def test_the_parts_measure_what_the_network_says() -> None:
    measured = strengths(_parts(3.0, [2.0])[0], 3.0)
    assert measured.sigma == 2.0
    assert measured.uncond == pytest.approx(measured.cond / 4, rel=1e-5)
    assert measured.difference == pytest.approx(measured.cond * 3 / 4, rel=1e-5)
    assert measured.guided == pytest.approx(measured.cond * 2.5, rel=1e-5)  # 3 * 1 - 2 * 0.25
    assert measured.angle == pytest.approx(0.0, abs=0.01)
    assert measured.share == pytest.approx(2 * 0.75 / 2.5, rel=1e-5)


def test_every_level_above_zero_is_asked_with_the_same_noise() -> None:
    high, low = _parts(2.0, [4.0, 1.0, 0.0])
    assert (high.sigma, low.sigma) == (4.0, 1.0)
    clean = _latent()["samples"] * 0.18215
    assert torch.allclose((high.x - clean) / 4, low.x - clean, atol=1e-5)


def test_both_sides_are_asked_at_cfg_1_too() -> None:
    (parts,) = _parts(1.0, [1.0])
    assert not torch.equal(parts.cond, parts.uncond)
    assert strengths(parts, 1.0).share == 0.0


def test_it_can_be_stopped() -> None:
    def stop() -> None:
        raise RunCancelled

    with pytest.raises(RunCancelled):
        take_apart(
            tiny_model(), [text(1.0)], [text(0.0)], _latent(), [1.0], cfg=2.0, seed=0, progress=_ignore,
            check_cancelled=stop,
        )  # fmt: skip


@given(st.floats(0, 180))
def test_an_angle_is_the_one_that_the_vectors_were_made_with(degrees: float) -> None:
    turned = torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))], dtype=torch.float64)
    assert angle(torch.tensor([2.0, 0.0]), turned) == pytest.approx(degrees, abs=1e-4)


def test_nothing_has_no_angle() -> None:
    assert angle(torch.zeros(3), torch.ones(3)) == 0.0
