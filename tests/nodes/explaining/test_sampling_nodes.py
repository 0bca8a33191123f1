import pytest
import torch

from graphengine.errors import ModelError
from graphengine.node.api import NodeContext
from graphengine_nodes.diffusion.model.model import Conditioning, Latent
from graphengine_nodes.diffusion.sampling.custom_sampling import sample_custom
from graphengine_nodes.diffusion.sampling.guiders import Guider, PositiveOnly
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.sampling.noise import SeededNoise
from graphengine_nodes.diffusion.sampling.samplers import find_sampler
from graphengine_nodes.explaining.sampling_nodes import (
    ExplainForwardNoise,
    ExplainGuidance,
    ExplainKSampler,
    ExplainNoiseLevels,
    ExplainSamplerCustom,
)
from tests.nodes.diffusion.sampling_cases import MODEL_SAMPLINGS, text, tiny_model

from .toy_vae import toy_vae

POSITIVE: Conditioning = [text(1.0)]
NEGATIVE: Conditioning = [text(0.25)]


def _latent() -> Latent:
    return {"samples": torch.randn(1, 4, 2, 3, generator=torch.Generator().manual_seed(2))}


def test_noise_levels_are_shown_with_the_sigmas_of_the_run() -> None:
    node = ExplainNoiseLevels()
    chart, picture, table, sigmas, first = node.show(tiny_model(), "euler", "karras", 4, 0.5)
    assert (len(sigmas), first) == (5, sigmas[0].item())
    assert [line.split()[0] for line in table.splitlines()] == ["part", *["skipped"] * 4, *["step"] * 4, "end"]
    assert chart.shape == (1, 330, 1200, 3)
    assert picture.shape[0] == 1


def test_given_sigmas_replace_the_schedule() -> None:
    given = torch.tensor([0.9, 0.4, 0.0])
    model = tiny_model(sampling=MODEL_SAMPLINGS["flow_shift3"])
    _, _, table, sigmas, _ = ExplainNoiseLevels().show(model, "euler", "karras", 20, 0.5, given)
    assert torch.allclose(sigmas, given)
    assert table.splitlines()[1].split() == ["step", "1", "0.9000", "900", "0.01220", "0.1104", "-19.1"]


def test_denoise_zero_has_no_level_and_is_shown_all_the_same() -> None:
    _, _, table, sigmas, first = ExplainNoiseLevels().show(tiny_model(), "euler", "karras", 4, 0.0)
    assert (len(table.splitlines()), len(sigmas), first) == (1, 0, 0.0)


def test_sigmas_that_are_no_noise_levels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sigmas\[0\] is -1"):
        ExplainNoiseLevels().show(tiny_model(), "euler", "karras", 4, 1.0, torch.tensor([-1.0, 0.0]))


def test_a_picture_is_shown_with_the_noise_of_some_levels() -> None:
    sigmas = torch.tensor([10.0, 5.0, 2.0, 1.0, 0.0])
    strip, pictures, latents = ExplainForwardNoise().noise(
        tiny_model(), toy_vae(), _latent(), sigmas, 1, 3, NodeContext()
    )
    assert (strip.ndim, pictures.shape, latents["samples"].shape) == (4, (3, 16, 24, 3), (3, 4, 2, 3))
    assert torch.allclose(latents["samples"][2], _latent()["samples"][0], atol=1e-5)


def test_there_is_nothing_to_noise_without_a_level() -> None:
    with pytest.raises(ValueError, match="sigmas is empty"):
        ExplainForwardNoise().noise(tiny_model(), toy_vae(), _latent(), torch.zeros(0), 1, 3, NodeContext())


def test_guidance_is_shown_for_each_level_and_decoded_for_some() -> None:
    chart, pictures, table, share, angle = ExplainGuidance().take_apart(
        tiny_model(), toy_vae(), POSITIVE, NEGATIVE, _latent(), torch.tensor([4.0, 1.0, 0.5, 0.0]), 3.0, 1, 2,
        NodeContext(),
    )  # fmt: skip
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["4.0000", "1.0000", "0.5000"]
    assert share == pytest.approx(0.6, rel=1e-4)
    assert angle == pytest.approx(0.0, abs=0.01)
    assert (chart.shape[2], pictures.ndim) == (1200, 4)


def test_guidance_needs_a_level_above_zero() -> None:
    with pytest.raises(ValueError, match="no noise level above 0"):
        ExplainGuidance().take_apart(
            tiny_model(), toy_vae(), POSITIVE, NEGATIVE, _latent(), torch.zeros(1), 3.0, 1, 2, NodeContext()
        )


def test_the_sampler_that_shows_its_steps_gives_what_ksampler_gives() -> None:
    shown = ExplainKSampler().sample(
        tiny_model(),
        toy_vae(),
        7,
        5,
        3.0,
        "dpmpp_2m",
        "karras",
        POSITIVE,
        NEGATIVE,
        _latent(),
        0.6,
        3,
        NodeContext(),
    )
    plain = sample(
        tiny_model(), seed=7, steps=5, cfg=3.0, sampler_name="dpmpp_2m", scheduler="karras", positive=POSITIVE,
        negative=NEGATIVE, latent=_latent(), denoise=0.6,
    )  # fmt: skip
    latent, strip, denoised, noisy, chart, table = shown
    assert torch.equal(latent["samples"], plain["samples"])
    assert denoised.shape == noisy.shape == (3, 16, 24, 3)
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["1", "3", "5"]
    assert strip.shape[0] == chart.shape[0] == 1


def test_parts_of_ones_own_are_shown_as_ksampler_shows_its_own() -> None:
    sigmas = torch.tensor([4.0, 1.0, 0.0])
    guider = Guider(tiny_model(), {"positive": POSITIVE}, PositiveOnly())
    sampler, noise = find_sampler("euler"), SeededNoise(3)
    latent, _, denoised, _, _, table = ExplainSamplerCustom().sample(
        noise, guider, sampler, sigmas, _latent(), toy_vae(), 8, NodeContext()
    )
    plain = sample_custom(guider, noise=noise, sampler=sampler, sigmas=sigmas, latent=_latent())
    assert torch.equal(latent["samples"], plain.output["samples"])
    assert (len(denoised), table.splitlines()[1].split()[:2]) == (2, ["1", "4.0000"])


def test_a_run_without_a_step_shows_its_result() -> None:
    latent, _, denoised, _, _, table = ExplainKSampler().sample(
        tiny_model(), toy_vae(), 7, 5, 3.0, "euler", "karras", POSITIVE, NEGATIVE, _latent(), 0.0, 3, NodeContext()
    )
    assert torch.equal(latent["samples"], _latent()["samples"])
    assert (denoised.shape, table) == ((1, 16, 24, 3), "no step was taken")


def test_a_checkpoint_without_vae_is_named() -> None:
    with pytest.raises(ModelError, match="the checkpoint holds no VAE"):
        ExplainForwardNoise().noise(tiny_model(), None, _latent(), torch.ones(1), 1, 3, NodeContext())


def test_many_steps_are_shown_in_several_rows() -> None:
    def height(pictures: int) -> int:
        _, strip, *_ = ExplainKSampler().sample(
            tiny_model(), toy_vae(), 7, 12, 3.0, "euler", "karras", POSITIVE, NEGATIVE, _latent(), 1.0, pictures,
            NodeContext(),
        )  # fmt: skip
        return strip.shape[1]

    assert height(12) > 1.5 * height(10)
