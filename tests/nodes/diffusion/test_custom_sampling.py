from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphengine.node.api import NodeContext
from graphengine_nodes.diffusion.model.model import Conditioning, Latent, LatentFormat, NetworkCall, PlainNetwork
from graphengine_nodes.diffusion.nodes.custom_sampling_nodes import (
    AddNoise,
    BasicGuider,
    CFGGuider,
    DisableNoise,
    RandomNoise,
    SamplerCustom,
    SamplerCustomAdvanced,
)
from graphengine_nodes.diffusion.sampling.custom_sampling import Sampled, add_noise, sample_custom
from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree, Guider, PositiveOnly
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.sampling.names import SAMPLERS
from graphengine_nodes.diffusion.sampling.noise import NoNoise, SeededNoise
from graphengine_nodes.diffusion.sampling.samplers import find_sampler
from graphengine_nodes.diffusion.sampling.schedules import calculate_sigmas
from graphengine_nodes.diffusion.sampling.sigma_lists import flip, split

from .sampling_cases import MODEL_SAMPLINGS, RecordingNetwork, text, tiny_model

POSITIVE: Conditioning = [text(0.4)]
NEGATIVE: Conditioning = [text(0.1)]


def empty() -> Latent:
    return {"samples": torch.zeros(1, 4, 4, 4)}


def picture() -> Latent:
    return {"samples": torch.linspace(-5, 5, 64).reshape(1, 4, 4, 4)}


def guider(family: str = "eps", cfg: float = 3.0, network: RecordingNetwork | None = None) -> Guider:
    model = tiny_model(network, MODEL_SAMPLINGS[family])
    return Guider(model, {"positive": POSITIVE, "negative": NEGATIVE}, ClassifierFree(cfg))


def run(sigmas: Tensor, latent: Latent, guider: Guider, sampler: str = "euler", **changes: Any) -> Sampled:
    arguments: dict[str, Any] = {"noise": SeededNoise(7), "sampler": find_sampler(sampler), **changes}
    return sample_custom(guider, sigmas=sigmas, latent=latent, **arguments)


@pytest.mark.parametrize("sampler_name", ["euler", "euler_cfg_pp", "dpmpp_sde", "lcm"])
def test_the_parts_put_together_are_ksampler(sampler_name: str) -> None:
    model = tiny_model()
    arguments: dict[str, Any] = {"positive": POSITIVE, "negative": NEGATIVE, "cfg": 3.0}
    whole = sample(
        model, seed=7, steps=5, sampler_name=sampler_name, scheduler="karras", latent=picture(), **arguments
    )
    sampler, sigmas = find_sampler(sampler_name), calculate_sigmas(model.sampling, "karras", 5)
    shared: dict[str, Any] = {"sampler": sampler, "sigmas": sigmas, "latent_image": picture()}
    context = NodeContext()
    custom, _ = SamplerCustom().sample(
        model=model, add_noise=True, noise_seed=7, **arguments, **shared, context=context
    )
    [guided], [noise] = CFGGuider().get_guider(model, **arguments), RandomNoise().get_noise(7)
    advanced, _ = SamplerCustomAdvanced().sample(noise=noise, guider=guided, **shared, context=context)
    assert torch.equal(custom["samples"], whole["samples"])
    assert torch.equal(advanced["samples"], whole["samples"])


def test_a_basic_guider_is_guidance_of_one() -> None:
    sigmas = calculate_sigmas(MODEL_SAMPLINGS["eps"], "normal", 4)
    [basic] = BasicGuider().get_guider(tiny_model(), POSITIVE)
    assert torch.equal(
        run(sigmas, empty(), basic).output["samples"], run(sigmas, empty(), guider(cfg=1.0)).output["samples"]
    )


def test_the_second_output_is_the_last_prediction_and_the_first_what_noise_is_left_in() -> None:
    sigmas = torch.tensor([4.0, 2.0])
    output, denoised = run(sigmas, picture(), guider())
    clean = run(torch.tensor([4.0, 0.0]), picture(), guider()).output
    torch.testing.assert_close(denoised["samples"], clean["samples"])
    assert output["samples"].std() > denoised["samples"].std()


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(["eps", "eps_zsnr", "flow_shift3", "flux_shift1.15"]),
    st.sampled_from(["euler", "heun", "dpm_2"]),
    st.integers(0, 6),
)
def test_runs_over_both_parts_of_a_split_list_are_the_run_over_the_whole(
    family: str, sampler: str, step: int
) -> None:
    whole = calculate_sigmas(MODEL_SAMPLINGS[family], "simple", 7)[1:]
    first, second = split(whole, step)
    begun = run(first, picture(), guider(family), sampler).output
    ended = run(second, begun, guider(family), sampler, noise=NoNoise()).output
    expected = run(whole, picture(), guider(family), sampler).output
    torch.testing.assert_close(ended["samples"], expected["samples"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_sigma_leaves_the_latent_and_one_gives_it_its_noise(sampler: str) -> None:
    network = RecordingNetwork()
    given_latent = picture()
    untouched = run(torch.tensor([]), given_latent, guider(network=network), sampler)
    assert torch.equal(untouched.output["samples"], picture()["samples"])
    untouched.output["samples"].add_(1)
    assert torch.equal(given_latent["samples"], picture()["samples"])
    noise = SeededNoise(7).generate_noise(picture())
    noised = run(torch.tensor([2.0]), picture(), guider(network=network), sampler).output["samples"]
    torch.testing.assert_close(noised, picture()["samples"] + 2.0 * noise / 0.18215, rtol=1e-5, atol=1e-5)
    zero = run(torch.tensor([0.0]), picture(), guider(network=network), sampler).output["samples"]
    torch.testing.assert_close(zero, picture()["samples"])
    assert network.seen == []


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ([4.0, float("nan"), 0.0], r"sigmas\[1\] is nan; a noise level is a number of at least 0"),
        ([float("inf"), 0.0], r"sigmas\[0\] is inf"),
        ([4.0, -1.0], r"sigmas\[1\] is -1"),
        ([4.0, 0.0, 0.0], r"sigmas\[1\] is 0 before the list of 3 ends; no step can start there"),
        ([[4.0, 0.0]], r"sigmas has the shape \(1, 2\); a list of numbers is needed"),
    ],
)
def test_sigmas_that_no_run_can_follow_are_named(sigmas: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(torch.tensor(sigmas), picture(), guider())


def test_a_flow_run_that_would_end_in_noise_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="sigmas ends at 1, where a flow model's x is noise alone"):
        run(torch.tensor([1.0]), picture(), guider("flow_shift3"))


def test_a_sampler_that_needs_a_negative_prediction_is_named_where_there_is_none() -> None:
    basic = Guider(tiny_model(), {"positive": POSITIVE}, PositiveOnly())
    with pytest.raises(
        ValueError, match="sampler 'euler_cfg_pp' needs the prediction for a negative conditioning"
    ):
        run(torch.tensor([4.0, 0.0]), picture(), basic, "euler_cfg_pp")


def test_euler_goes_up_flipped_sigmas_and_back_again() -> None:
    sigmas = torch.linspace(0.3, 0.0, 61)
    up = run(flip(sigmas), picture(), guider(), noise=NoNoise()).output
    down = run(sigmas, up, guider(), noise=NoNoise()).output
    assert not torch.allclose(up["samples"], picture()["samples"], atol=0.1)
    torch.testing.assert_close(down["samples"], picture()["samples"], rtol=0, atol=0.02)


def test_an_ancestral_sampler_says_that_it_cannot_follow_rising_sigmas() -> None:
    with pytest.raises(ValueError, match="'euler_ancestral' gave values that are not finite: sigmas rises"):
        run(torch.tensor([1.0, 2.0, 4.0]), picture(), guider(), "euler_ancestral")


def test_a_level_that_comes_twice_is_named_when_a_sampler_cannot_bear_it() -> None:
    with pytest.raises(ValueError, match="sigmas holds 2 twice in a row"):
        run(torch.tensor([4.0, 2.0, 2.0, 1.0, 0.0]), picture(), guider(), "dpmpp_2m_sde")


def broken(call: NetworkCall) -> Tensor:
    return torch.full_like(call.x, float("nan"))


@pytest.mark.parametrize(
    ("sampler", "message"),
    [("euler", "the model's weights may be damaged"), ("dpm_adaptive", "no step size can be chosen")],
)
def test_a_model_that_gives_no_numbers_is_told_of(sampler: str, message: str) -> None:
    blind = Guider(replace(tiny_model(), network=PlainNetwork(broken)), {"positive": POSITIVE}, PositiveOnly())
    with pytest.raises(ValueError, match=message):
        run(torch.tensor([4.0, 1.0, 0.0]), picture(), blind, sampler)


def test_a_latent_that_holds_no_numbers_is_told_of() -> None:
    latent: Latent = {"samples": torch.full((1, 4, 4, 4), float("nan"))}
    with pytest.raises(ValueError, match="the latent holds such values already"):
        run(torch.tensor([4.0, 0.0]), latent, guider())


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"latent_image has the shape \(0, 4, 4, 4\): there is nothing to sample"):
        run(torch.tensor([4.0, 0.0]), {"samples": torch.zeros(0, 4, 4, 4)}, guider())


# Noise


def test_noise_is_added_at_the_level_that_the_sigmas_go_through() -> None:
    noise = SeededNoise(7).generate_noise(picture())
    for sigmas, level in (([9.0, 4.0, 2.0], 7.0), ([3.0], 3.0)):
        [noisy] = AddNoise().add_noise(tiny_model(), SeededNoise(7), torch.tensor(sigmas), picture())
        torch.testing.assert_close(noisy["samples"], picture()["samples"] + level * noise / 0.18215)
    assert add_noise(tiny_model(), SeededNoise(7), torch.tensor([]), picture())["samples"].equal(
        picture()["samples"]
    )


def test_noise_alone_may_be_added_to_a_flow_latent() -> None:
    model = tiny_model(sampling=MODEL_SAMPLINGS["flow_shift1"])
    noisy = add_noise(model, SeededNoise(7), torch.tensor([1.0]), picture())["samples"]
    torch.testing.assert_close(noisy, SeededNoise(7).generate_noise(picture()) / 0.18215)


def test_no_noise_is_zero_everywhere() -> None:
    [noise] = DisableNoise().get_noise()
    assert noise.seed == 0
    assert not noise.generate_noise(picture()).any()


def test_a_picture_becomes_a_video_of_one_frame_for_a_model_of_videos() -> None:
    model = replace(tiny_model(), latent_format=LatentFormat(dimensions=3))
    made = run(torch.tensor([4.0, 1.0, 0.0]), picture(), Guider(model, {"positive": POSITIVE}, PositiveOnly()))
    assert made.output["samples"].shape == (1, 4, 1, 4, 4)


def test_a_video_is_refused_by_a_model_of_pictures() -> None:
    video: Latent = {"samples": torch.zeros(1, 4, 2, 4, 4)}
    with pytest.raises(ValueError, match=r"shape \(1, 4, 2, 4, 4\); the model works on 4 dimensions"):
        run(torch.tensor([4.0, 1.0, 0.0]), video, guider())


def test_a_batch_that_does_not_fit_into_memory_is_sampled_in_parts_with_the_same_result() -> None:
    class Small(RecordingNetwork):
        def __call__(self, call: NetworkCall) -> Tensor:
            if len(call.x) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().__call__(call)

    levels = torch.tensor([4.0, 1.0, 0.0])
    whole = run(levels, picture(), guider())
    parts = run(levels, picture(), guider(network=Small()))
    torch.testing.assert_close(parts.output["samples"], whole.output["samples"])
