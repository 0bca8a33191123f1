from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.combining import Guidance, Predictions
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.nodes.guidance_formula_nodes import (
    APG,
    EpsilonScaling,
    FreSca,
    Mahiro,
    PerpNeg,
    RenormCFG,
)
from graphengine_nodes.diffusion.sampling.custom_sampling import sample_custom
from graphengine_nodes.diffusion.sampling.guidance_formulas import (
    EpsilonScaled,
    FrequencyScaled,
    Projected,
    Renormalized,
    scaled_frequencies,
    towards_positive,
)
from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree, Guider
from graphengine_nodes.diffusion.sampling.noise import SeededNoise
from graphengine_nodes.diffusion.sampling.samplers import find_sampler

from .sampling_cases import RecordingNetwork, text, tiny_model

X = torch.linspace(-3, 3, 32).reshape(2, 4, 2, 2)


def predictions(cond: Tensor, uncond: Tensor, cfg: float = 3.0) -> Predictions:
    return Predictions(X, torch.full((2,), 2.0), cond, uncond, cfg)


def sides(cfg: float = 3.0) -> Predictions:
    generator = torch.Generator().manual_seed(5)
    return predictions(torch.randn(X.shape, generator=generator), torch.randn(X.shape, generator=generator), cfg)


def length(x: Tensor) -> Tensor:
    result: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return result


def sampled(model: DiffusionModel, cfg: float = 3.0) -> Tensor:
    """A run of two steps."""
    texts: dict[str, Any] = {"positive": [text(0.5)], "negative": [text(0.1)]}
    sigmas, latent = torch.tensor([9.0, 3.0, 0.0]), torch.zeros(1, 4, 4, 4)
    guider = Guider(model, texts, ClassifierFree(cfg))
    sampler, noise = find_sampler("euler"), SeededNoise(1)
    return sample_custom(guider, noise=noise, sampler=sampler, sigmas=sigmas, latent={"samples": latent}).output[
        "samples"
    ]


# Renormalisation


def test_a_renormalised_prediction_is_no_longer_than_the_positive_one() -> None:
    given = sides(cfg=7.0)
    guided = Renormalized(1.0, 100.0)(given)
    torch.testing.assert_close(length(guided), length(given.cond))
    plain = given.uncond + 7.0 * (given.cond - given.uncond)
    torch.testing.assert_close(
        guided / length(guided).reshape(2, 1, 1, 1), plain / length(plain).reshape(2, 1, 1, 1)
    )


def test_a_prediction_that_is_short_enough_is_left() -> None:
    given = sides(cfg=7.0)
    plain = given.uncond + 7.0 * (given.cond - given.uncond)
    assert torch.equal(Renormalized(100.0, 100.0)(given), plain)
    assert torch.equal(Renormalized(0.0, 100.0)(given), plain)
    zero = predictions(X * 0, X * 0)
    assert not Renormalized(1.0, 100.0)(zero).any()


def test_above_the_truncation_there_is_no_guidance() -> None:
    given = sides()
    assert Renormalized(1.0, 2.0)(given) is given.cond


# Projection


def test_without_limits_projected_guidance_is_guidance_at_one_more() -> None:
    given = sides(cfg=3.0)
    guided = Guidance(before=(Projected(1.0, 0.0, 0.0),))(given)
    torch.testing.assert_close(guided, given.uncond + 4.0 * (given.cond - given.uncond))


def test_the_part_along_the_positive_prediction_is_taken_out() -> None:
    given = sides(cfg=3.0)
    update = Guidance(before=(Projected(0.0, 0.0, 0.0),))(given) - given.cond
    torch.testing.assert_close((update * given.cond).flatten(1).sum(dim=1), torch.zeros(2), atol=1e-4, rtol=0)
    difference = given.cond - given.uncond
    along = (difference * given.cond).flatten(1).sum(dim=1) / length(given.cond) ** 2
    torch.testing.assert_close(update, 3.0 * (difference - along.reshape(2, 1, 1, 1) * given.cond))


def test_the_difference_is_shortened_to_the_threshold() -> None:
    given = sides(cfg=3.0)
    update = Guidance(before=(Projected(1.0, 0.5, 0.0),))(given) - given.cond
    torch.testing.assert_close(length(update), torch.full((2,), 3.0 * 0.5))


def test_momentum_averages_over_the_steps_of_one_run() -> None:
    class Run:
        memory: dict[str, Any]

        def __init__(self) -> None:
            self.memory = {}

    run: Any = Run()
    first = replace(sides(), run=run)
    second = replace(first, sigma=torch.full((2,), 1.0))
    guide = Guidance(before=(Projected(1.0, 0.0, -0.5),))
    difference = first.cond - first.uncond
    torch.testing.assert_close(guide(first), first.cond + 3.0 * difference)
    torch.testing.assert_close(guide(second), first.cond + 3.0 * (difference - 0.5 * difference))
    # at a higher level than before a new pass begins
    torch.testing.assert_close(guide(first), first.cond + 3.0 * difference)


def test_runs_with_momentum_do_not_know_of_each_other() -> None:
    [model] = APG().patch(tiny_model(), eta=1.0, norm_threshold=0.0, momentum=-0.75)
    first = sampled(model)
    assert torch.equal(sampled(model), first)
    assert not torch.allclose(first, sampled(tiny_model()))


# Frequencies


def test_equal_scales_scale_everything() -> None:
    x = torch.randn(1, 2, 6, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(scaled_frequencies(x, 2.0, 2.0, 1), 2 * x, atol=1e-5, rtol=1e-5)


def test_low_frequencies_are_those_within_the_cutoff() -> None:
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)
    x = (checks + 5.0).expand(1, 2, 8, 8)
    torch.testing.assert_close(scaled_frequencies(x, 2.0, 3.0, 1), (3 * checks + 10.0).expand_as(x))
    # a cutoff beyond the picture makes all frequencies low
    torch.testing.assert_close(scaled_frequencies(x, 2.0, 3.0, 10000), 2 * x)


def test_what_guidance_adds_is_scaled_by_frequency() -> None:
    given = sides()
    changed = FrequencyScaled(2.0, 2.0, 20)(given)
    torch.testing.assert_close(changed.cond, given.uncond + 2 * (given.cond - given.uncond))
    assert changed.uncond is given.uncond


def test_without_a_negative_side_the_positive_one_is_scaled() -> None:
    given = sides()
    alone = replace(given, uncond=given.cond)
    changed = FrequencyScaled(2.0, 2.0, 20)(alone)
    torch.testing.assert_close(changed.cond, 2 * given.cond)
    assert changed.uncond is changed.cond


# The others


def test_equal_sides_are_weighed_by_their_cosine() -> None:
    same = torch.ones(X.shape)
    # all directions agree, so w is 4 and the guided prediction is the result
    torch.testing.assert_close(towards_positive(predictions(same, same.clone()), same), same)
    # the negative side points the other way, so w is 0
    torch.testing.assert_close(towards_positive(predictions(same, -same), same), 3 * same)


def test_without_a_negative_side_half_of_both_is_taken() -> None:
    same = torch.ones(X.shape)
    torch.testing.assert_close(towards_positive(predictions(same, same), same), (same + 3 * same) / 2)


def test_the_noise_is_divided() -> None:
    given = sides()
    assert torch.allclose(EpsilonScaled(2.0)(given, given.cond), (X + given.cond) / 2)


def test_the_old_node_gives_what_the_guider_gives() -> None:
    network = RecordingNetwork()
    [model] = PerpNeg().patch(tiny_model(network), [text(0.1)], neg_scale=1.0)
    # the empty text says what the negative one says, so this is plain guidance
    torch.testing.assert_close(sampled(model), sampled(tiny_model()), rtol=1e-4, atol=1e-4)
    assert [len(x) for x, _, _ in network.seen] == [2, 1, 2, 1]


@pytest.mark.parametrize(
    "patch",
    [
        lambda model: PerpNeg().patch(model, [text(0.3)], 1.0),
        lambda model: RenormCFG().patch(model, 100.0, 0.5),
        lambda model: APG().patch(model, 0.5, 5.0, 0.0),
        lambda model: FreSca().patch(model, 1.0, 1.25, 1),
        lambda model: Mahiro().patch(model),
        lambda model: EpsilonScaling().patch(model, 1.5),
    ],
)
def test_nodes_change_the_run_and_leave_the_model(patch: Any) -> None:
    model = tiny_model()
    [patched] = patch(model)
    assert model.guidance == Guidance()
    assert not torch.allclose(sampled(patched), sampled(model), atol=1e-4)


def test_a_later_node_takes_the_place_of_a_packs_function() -> None:
    model = tiny_model().clone()
    model.set_model_sampler_cfg_function(lambda args: args["uncond"])
    [patched] = RenormCFG().patch(model, 100.0, 0.0)
    torch.testing.assert_close(sampled(patched), sampled(tiny_model()))
    assert "sampler_cfg_function" in model.model_options
