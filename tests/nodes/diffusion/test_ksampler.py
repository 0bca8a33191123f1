from dataclasses import replace
from typing import Any

import pytest
import torch

from graphengine_nodes.diffusion.model.model import DiffusionModel, Latent, PlainNetwork
from graphengine_nodes.diffusion.sampling.custom_sampling import is_max_denoise
from graphengine_nodes.diffusion.sampling.ksampler import cut_sigmas, run_sigmas, sample
from graphengine_nodes.diffusion.sampling.names import SAMPLERS
from graphengine_nodes.diffusion.sampling.noise import prepare_noise
from graphengine_nodes.diffusion.sampling.samplers import find_sampler
from graphengine_nodes.diffusion.sampling.schedules import calculate_sigmas

from .sampling_cases import MODEL_SAMPLINGS, RecordingNetwork, text, tiny_model

EPS = MODEL_SAMPLINGS["eps"]


def empty(batch: int = 1, size: int = 4) -> Latent:
    return {"samples": torch.zeros(batch, 4, size, size)}


def picture(batch: int = 1, size: int = 4) -> Latent:
    return {"samples": torch.linspace(-5, 5, batch * 4 * size * size).reshape(batch, 4, size, size)}


def run(model: DiffusionModel, latent: Latent, **changes: Any) -> Latent:
    arguments: dict[str, Any] = {
        "seed": 42,
        "steps": 6,
        "cfg": 3.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": [text(0.4)],
        "negative": [text(0.1)],
    }
    return sample(model, latent=latent, **{**arguments, **changes})


def test_a_run_from_nothing_is_scaled_noise_through_the_sampler() -> None:
    sampled = run(tiny_model(), empty(), steps=1, cfg=1.0)["samples"]
    sigma = EPS.sigmas[-1]
    x = prepare_noise(torch.zeros(1, 4, 4, 4), 42) * (1 + sigma**2).sqrt()
    denoised = x - sigma * torch.tanh(x / (1 + sigma**2).sqrt()) * 0.4
    torch.testing.assert_close(sampled, denoised / 0.18215, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("sampler_name", SAMPLERS)
@pytest.mark.parametrize("family", ["eps", "eps_zsnr", "flow_shift3"])
def test_every_sampler_runs_reproducibly_on_every_family(sampler_name: str, family: str) -> None:
    model = tiny_model(sampling=MODEL_SAMPLINGS[family])
    first, second = (run(model, picture(), sampler_name=sampler_name, denoise=0.7)["samples"] for _ in range(2))
    assert first.isfinite().all()
    assert torch.equal(first, second)


def test_another_seed_gives_another_latent() -> None:
    assert not torch.equal(run(tiny_model(), empty())["samples"], run(tiny_model(), empty(), seed=43)["samples"])


def test_a_run_in_two_parts_is_the_run_in_one() -> None:
    whole = run(tiny_model(), empty(), steps=8)["samples"]
    first = run(tiny_model(), empty(), steps=8, start_step=0, last_step=5)
    second = run(tiny_model(), first, steps=8, start_step=5, last_step=10000, disable_noise=True)["samples"]
    torch.testing.assert_close(second, whole, rtol=1e-4, atol=1e-4)


def test_full_denoising_leaves_no_noise_at_the_last_step() -> None:
    network = RecordingNetwork()
    noisy = run(tiny_model(), empty(), steps=8, last_step=3)["samples"]
    clean = run(tiny_model(network), empty(), steps=8, last_step=3, force_full_denoise=True)["samples"]
    assert len(network.seen) == 3
    assert clean.std() < noisy.std()


def test_nothing_is_sampled_without_denoising_or_steps_left() -> None:
    network = RecordingNetwork()
    for changes in ({"denoise": 0.0}, {"start_step": 6}, {"start_step": 9000}, {"last_step": 0}):
        assert torch.equal(run(tiny_model(network), picture(), **changes)["samples"], picture()["samples"])
    assert network.seen == []


def test_partial_denoising_runs_the_end_of_a_longer_schedule() -> None:
    whole = calculate_sigmas(EPS, "karras", 10)
    assert torch.equal(run_sigmas(EPS, find_sampler("euler"), "karras", 6, denoise=0.6), whole[-7:])


@pytest.mark.parametrize("denoise", [1e-300, 1e-9, 5e-6])
def test_a_denoise_near_zero_is_refused_before_it_fills_the_memory(denoise: float) -> None:
    with pytest.raises(ValueError, match=f"denoise is {denoise:g}: 6 steps would be the last of a schedule of"):
        run_sigmas(EPS, find_sampler("euler"), "beta", 6, denoise)


def test_partial_denoising_stays_near_the_latent() -> None:
    latent = picture()["samples"]
    near, far = (run(tiny_model(), picture(), steps=10, denoise=d)["samples"] for d in (0.1, 1.0))
    assert (near - latent).abs().mean() < (far - latent).abs().mean()


@pytest.mark.parametrize("name", ["dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"])
def test_some_samplers_leave_out_the_lowest_level(name: str) -> None:
    longer = calculate_sigmas(EPS, "normal", 7)
    sigmas = run_sigmas(EPS, find_sampler(name), "normal", 6)
    assert torch.equal(sigmas, torch.cat([longer[:6], longer[-1:]]))


def test_the_levels_are_cut_at_both_ends() -> None:
    sigmas = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0])
    assert cut_sigmas(sigmas, 1, 3, force_full_denoise=False).tolist() == [3.0, 2.0, 1.0]
    assert cut_sigmas(sigmas, 1, 3, force_full_denoise=True).tolist() == [3.0, 2.0, 0.0]
    assert cut_sigmas(sigmas, 0, 10000, force_full_denoise=True).tolist() == [4.0, 3.0, 2.0, 1.0, 0.0]
    assert cut_sigmas(sigmas, 3, 2, force_full_denoise=False).tolist() == []


def test_only_the_top_of_the_table_counts_as_full_noise() -> None:
    assert [is_max_denoise(EPS, sigma) for sigma in (14.6, 14.61464, 20.0)] == [False, True, True]


def test_what_the_mask_keeps_comes_back_unchanged() -> None:
    mask = torch.zeros(1, 32, 32)
    mask[..., 16:] = 1.0
    latent: Latent = {**picture(), "noise_mask": mask}
    sampled = run(tiny_model(), latent)
    torch.testing.assert_close(sampled["samples"][..., :1], latent["samples"][..., :1], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(sampled["samples"][..., 2:], latent["samples"][..., 2:], atol=0.1)
    assert sampled["noise_mask"] is mask


def test_a_sample_of_a_batch_can_be_repeated_alone() -> None:
    batch = run(tiny_model(), {**empty(3), "batch_index": [0, 1, 2]})["samples"]
    alone = run(tiny_model(), {**empty(1), "batch_index": [1]})["samples"]
    torch.testing.assert_close(alone[0], batch[1])


def test_the_given_latent_is_left_alone() -> None:
    latent = picture()
    run(tiny_model(), latent, denoise=0.0)["samples"].add_(1)
    run(tiny_model(), latent)["samples"].add_(1)
    assert torch.equal(latent["samples"], picture()["samples"])


def test_an_empty_latent_gets_the_channels_of_the_model() -> None:
    sampled = run(tiny_model(), {"samples": torch.zeros(1, 16, 4, 4)})["samples"]
    assert sampled.shape == (1, 4, 4, 4)


def test_a_latent_of_another_kind_of_model_is_refused() -> None:
    with pytest.raises(ValueError, match="the latent has 16 channels, the model works on 4"):
        run(tiny_model(), {"samples": torch.ones(1, 16, 4, 4)})


def test_an_unknown_sampler_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown sampler 'plms'; known: euler, euler_cfg_pp"):
        run(tiny_model(), empty(), sampler_name="plms")


@pytest.mark.parametrize("sampler_name", [name for name in SAMPLERS if name != "dpm_adaptive"])
def test_progress_ends_with_all_steps_done(sampler_name: str) -> None:
    seen: list[tuple[int, int]] = []
    run(tiny_model(), empty(), sampler_name=sampler_name, progress=lambda step, total: seen.append((step, total)))
    assert seen[-1] == (6, 6)
    assert seen == sorted(set(seen))
    if sampler_name != "dpm_fast":
        assert len(seen) == 6


def test_a_cancelled_run_stops_before_the_next_evaluation() -> None:
    network = RecordingNetwork()

    class Stop(Exception):
        pass

    def check() -> None:
        if len(network.seen) == 3:
            raise Stop

    with pytest.raises(Stop):
        run(tiny_model(network), empty(), sampler_name="heun", check_cancelled=check)
    assert len(network.seen) == 3


def test_the_weights_are_made_ready_once_and_only_for_sampling() -> None:
    loads: list[str] = []

    class Weighty(PlainNetwork):
        def load(self) -> None:
            loads.append("load")

    model = replace(tiny_model(), network=Weighty(RecordingNetwork()))
    run(model, picture(), denoise=0.0)
    assert loads == []
    run(model, picture())
    assert loads == ["load"]


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    for sampler_name in ("euler_ancestral", "dpmpp_2m_sde"):
        run(tiny_model(), empty(), sampler_name=sampler_name)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_noise_of_the_steps_can_be_that_of_older_versions() -> None:
    newer = run(tiny_model(), empty(), sampler_name="euler_ancestral")["samples"]
    older = run(tiny_model(), empty(), sampler_name="euler_ancestral", noise_seed_offset=0)["samples"]
    assert not torch.equal(newer, older)
