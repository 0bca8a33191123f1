from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import (
    Conditioning,
    DiffusionModel,
    Job,
    LatentFormat,
    NetworkCall,
    PlainNetwork,
)
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling
from graphengine_nodes.diffusion.model.pack_model import InnerModel, ModelType
from graphengine_nodes.diffusion.model.pack_sampling import KnownSampling
from graphengine_nodes.diffusion.model.regions import prepare_conditions
from graphengine_nodes.diffusion.sampling.guidance import GuidedDenoiser, Inpainting
from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree

from .sampling_cases import MODEL_SAMPLINGS, RecordingNetwork, text, tiny_model

SAMPLING = MODEL_SAMPLINGS["eps"]
X = torch.linspace(-3, 3, 64).reshape(1, 4, 4, 4)
SIGMA = SAMPLING.sigmas[500]


def run_of(model: DiffusionModel, cfg: float = 3.0, **more: Any) -> GuidedDenoiser:
    """A run with a positive text of 0.5 and a negative one of 0.1."""
    texts: dict[str, Conditioning] = {"positive": [text(0.5)], "negative": [text(0.1)]}
    conditions = {
        side: prepare_conditions(value, model, Job(tuple(X.shape), side=side)) for side, value in texts.items()
    }
    return GuidedDenoiser(model, conditions, ClassifierFree(cfg), **more)


def expected(value: float) -> Tensor:
    """What the recording network denoises X to for a text of this value."""
    return X - SIGMA * torch.tanh(X / (SIGMA**2 + 1).sqrt()) * value


def noted(calls: list[NetworkCall]) -> DiffusionModel:
    """A model that keeps what its network is asked."""

    def network(call: NetworkCall) -> Tensor:
        calls.append(call)
        return RecordingNetwork()(call)

    return DiffusionModel(PlainNetwork(network), SAMPLING, LatentFormat())


def test_what_is_set_on_a_clone_is_not_set_on_the_model() -> None:
    model = tiny_model()
    before = model.clone().model_options
    twin = model.clone()
    twin.set_model_patch(lambda n, options: n, "middle_patch")
    twin.set_model_attn1_replace(lambda q, k, v, options: q, "middle", 0)
    twin.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    twin.add_object_patch("model_sampling", FlowSampling.shifted(3.0))
    twin.add_wrapper_with_key("apply_model", "mine", lambda executor, *args: executor(*args))
    assert model.model_options == before == {"transformer_options": {}}
    assert model.sampling is SAMPLING
    assert twin.sampling.is_flow


def test_a_clone_of_a_clone_keeps_its_patches_apart() -> None:
    first = tiny_model().clone()
    first.set_model_attn2_patch(print)
    second = first.clone()
    second.set_model_attn2_patch(repr)
    assert first.model_options["transformer_options"]["patches"] == {"attn2_patch": [print]}
    assert second.model_options["transformer_options"]["patches"] == {"attn2_patch": [print, repr]}


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("set_model_attn1_patch", "attn1_patch"),
        ("set_model_attn2_patch", "attn2_patch"),
        ("set_model_attn1_output_patch", "attn1_output_patch"),
        ("set_model_attn2_output_patch", "attn2_output_patch"),
        ("set_model_input_block_patch", "input_block_patch"),
        ("set_model_input_block_patch_after_skip", "input_block_patch_after_skip"),
        ("set_model_output_block_patch", "output_block_patch"),
    ],
)
def test_patches_reach_the_network_by_their_place(method: str, place: str) -> None:
    calls: list[NetworkCall] = []
    model = noted(calls).clone()
    getattr(model, method)(print)
    run_of(model)(X, SIGMA)
    assert calls[0].options["patches"] == {place: [print]}


def test_replacements_reach_the_network_by_their_block() -> None:
    calls: list[NetworkCall] = []
    model = noted(calls).clone()
    model.set_model_attn1_replace(print, "middle", 0)
    model.set_model_attn1_replace(repr, "input", 4, 1)
    model.set_model_patch_replace(vars, "dit", "double_block", 7)
    run_of(model)(X, SIGMA)
    replaced = {"attn1": {("middle", 0): print, ("input", 4, 1): repr}, "dit": {("double_block", 7): vars}}
    assert calls[0].options["patches_replace"] == replaced


def test_a_network_is_told_of_sides_and_levels() -> None:
    calls: list[NetworkCall] = []
    levels = torch.tensor([14.0, 3.0, 0.0])
    run_of(noted(calls), sigmas=levels)(X, SIGMA)
    [call] = calls
    assert call.options["cond_or_uncond"] == [0, 1]
    assert torch.equal(call.options["sigmas"], SIGMA.expand(2))
    assert call.options["sample_sigmas"] is levels


# Guidance


def test_a_cfg_function_combines_the_noise_of_both_sides() -> None:
    seen: dict[str, Any] = {}

    def combine(args: dict[str, Any]) -> Tensor:
        seen.update(args)
        noise: Tensor = args["uncond"] + 2 * (args["cond"] - args["uncond"])
        return noise

    model = tiny_model().clone()
    model.set_model_sampler_cfg_function(combine)
    result = run_of(model, cfg=7.0)(X, SIGMA)
    torch.testing.assert_close(result, expected(0.1 + 2 * 0.4))
    torch.testing.assert_close(seen["cond_denoised"], expected(0.5))
    torch.testing.assert_close(seen["uncond_denoised"], expected(0.1))
    assert seen["cond_scale"] == 7.0
    assert torch.equal(seen["input"], X)
    assert torch.equal(seen["sigma"], SIGMA.expand(1))
    assert seen["model_options"] is model.model_options


def test_a_cfg_function_may_take_the_two_sides_and_the_scale() -> None:
    def combine(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
        return uncond + (scale - 1) * (cond - uncond)

    model = tiny_model().clone()
    model.set_model_sampler_cfg_function(combine)
    torch.testing.assert_close(run_of(model, cfg=3.0)(X, SIGMA), expected(0.1 + 2 * 0.4))


def test_functions_before_and_after_guidance_run_in_their_order() -> None:
    model = tiny_model().clone()
    model.set_model_sampler_pre_cfg_function(lambda args: [args["conds_out"][0] * 2, args["conds_out"][1]])
    model.set_model_sampler_pre_cfg_function(lambda args: [args["conds_out"][0] + 1, args["conds_out"][1]])
    model.set_model_sampler_post_cfg_function(lambda args: args["denoised"] + args["uncond_denoised"])
    model.set_model_sampler_post_cfg_function(lambda args: args["denoised"] / 2)
    cond, uncond = expected(0.5) * 2 + 1, expected(0.1)
    torch.testing.assert_close(run_of(model)(X, SIGMA), (uncond + 3 * (cond - uncond) + uncond) / 2)


@pytest.mark.parametrize("disable", [False, True])
def test_without_guidance_the_negative_side_is_asked_only_when_a_pack_wants_it(disable: bool) -> None:
    seen: list[dict[str, Any]] = []
    model = tiny_model().clone()
    model.set_model_sampler_post_cfg_function(
        lambda args: seen.append(args) or args["denoised"],  # type: ignore[func-returns-value]
        disable_cfg1_optimization=disable,
    )
    torch.testing.assert_close(run_of(model, cfg=1.0)(X, SIGMA), expected(0.5))
    assert (seen[0]["uncond"] is not None) == disable
    torch.testing.assert_close(seen[0]["uncond_denoised"], expected(0.1) if disable else torch.zeros_like(X))


def test_a_function_may_ask_again_with_other_options() -> None:
    calls: list[NetworkCall] = []

    def away(args: dict[str, Any]) -> Tensor:
        options = {**args["model_options"], "transformer_options": {"mark": 1}}
        [cond, nothing] = args["model"].predict([args["cond"], None], args["input"], args["sigma"], options)
        assert not nothing.any()
        denoised: Tensor = args["denoised"] + cond
        return denoised

    model = noted(calls).clone()
    model.set_model_sampler_post_cfg_function(away)
    torch.testing.assert_close(run_of(model, cfg=1.0)(X, SIGMA), 2 * expected(0.5))
    assert [call.options.get("mark") for call in calls] == [None, 1]


def test_a_function_may_ask_for_the_sides_in_its_own_way() -> None:
    def ask(args: dict[str, Any]) -> list[Tensor]:
        made: list[Tensor] = args["model"].predict(args["conds"], args["input"] * 0, args["sigma"], {})
        return made

    model = tiny_model().clone()
    model.set_model_sampler_calc_cond_batch_function(ask)
    assert not run_of(model)(X, SIGMA).any()
    assert not run_of(model, cfg=1.0)(X, SIGMA).any()


# The network and the mask


def test_a_wrapper_stands_around_the_network() -> None:
    seen: list[dict[str, Any]] = []

    def wrapper(apply_model: Any, args: dict[str, Any]) -> Tensor:
        seen.append(args)
        half: Tensor = apply_model(args["input"], args["timestep"], **args["c"]) / 2
        return half

    model = tiny_model().clone()
    model.set_model_unet_function_wrapper(wrapper)
    torch.testing.assert_close(run_of(model, cfg=1.0)(X, SIGMA), expected(0.5) / 2)
    [args] = seen
    assert torch.equal(args["input"], X)
    assert torch.equal(args["timestep"], SIGMA.expand(1))
    assert args["cond_or_uncond"] == [0]
    assert args["c"].keys() == {"c_crossattn", "transformer_options"}


def test_wrappers_of_packs_call_each_other_and_then_the_network() -> None:
    order = []

    def named(name: str) -> Any:
        def wrapper(executor: Any, *args: Any, **options: Any) -> Any:
            order.append((name, type(executor.class_obj).__name__))
            return executor(*args, **options)

        return wrapper

    model = tiny_model().clone()
    model.add_wrapper_with_key("apply_model", "one", named("first"))
    model.add_wrapper_with_key("apply_model", "two", named("second"))
    model.add_wrapper_with_key("apply_model", "gone", named("third"))
    model.remove_wrappers_with_key("apply_model", "gone")
    torch.testing.assert_close(run_of(model, cfg=1.0)(X, SIGMA), expected(0.5))
    assert order == [("first", "InnerModel"), ("second", "InnerModel")]


def test_a_step_that_cannot_be_wrapped_is_named() -> None:
    with pytest.raises(ValueError, match="'outer_sample'"):
        tiny_model().clone().add_wrapper_with_key("outer_sample", "mine", print)


def test_a_mask_function_decides_what_is_kept() -> None:
    seen: list[Any] = []

    def mask_of(sigma: Tensor, mask: Tensor, extra_options: dict[str, Any]) -> Tensor:
        seen.append((sigma, extra_options["sigmas"], extra_options["model"].inner_model.model_sampling.sigma_max))
        return torch.zeros_like(mask)

    model = tiny_model().clone()
    model.set_model_denoise_mask_function(mask_of)
    clean, levels = torch.full_like(X, 0.25), torch.tensor([9.0, 0.0])
    inpainting = Inpainting(torch.ones(1, 1, 4, 4), clean, torch.zeros_like(X))
    assert torch.equal(run_of(model, inpainting=inpainting, sigmas=levels)(X, SIGMA), clean)
    [(sigma, sigmas, highest)] = seen
    assert torch.equal(sigma, SIGMA.expand(1))
    assert sigmas is levels
    assert highest == SAMPLING.sigmas[-1]


# The inside


def test_parts_of_the_inside_are_found_by_name() -> None:
    model = tiny_model()
    sampling = model.get_model_object("model_sampling")
    assert sampling.percent_to_sigma(0.5) == SAMPLING.percent_to_sigma(0.5)
    assert sampling.sigma_min == SAMPLING.sigmas[0]
    assert torch.equal(sampling.calculate_input(SIGMA, X), SAMPLING.scale_input(SIGMA, X))
    assert torch.equal(sampling.calculate_denoised(SIGMA, X, X), SAMPLING.denoised(SIGMA, X, X))
    assert model.get_model_object("latent_format.scale_factor") == 0.18215
    assert model.model.model_type == ModelType.EPS
    assert str(model.load_device) == "cpu"
    with pytest.raises(AttributeError, match=r"no model\.tokenizer"):
        model.get_model_object("tokenizer")


def test_what_a_network_predicts_is_told_by_its_levels() -> None:
    kinds = {
        name: DiffusionModel(PlainNetwork(RecordingNetwork()), sampling, LatentFormat()).model.model_type
        for name, sampling in MODEL_SAMPLINGS.items()
    }
    assert kinds["eps_zsnr"] == ModelType.V_PREDICTION
    assert kinds["flow_shift3"] == ModelType.FLOW
    assert kinds["flux_shift1.15"] == ModelType.FLUX


class Halved:
    """Noise levels that a pack made: those of SD1, told to the network as half their index."""

    sigmas, sigma_min, sigma_max = SAMPLING.sigmas, SAMPLING.sigmas[0], SAMPLING.sigmas[-1]

    def timestep(self, sigma: Tensor) -> Tensor:
        return SAMPLING.timestep(sigma) / 2

    def sigma(self, timestep: Tensor) -> Tensor:
        return SAMPLING.sigma(timestep * 2)

    def percent_to_sigma(self, percent: float) -> float:
        return SAMPLING.percent_to_sigma(percent)

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        return SAMPLING.scale_input(sigma, noise)

    def calculate_denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        return SAMPLING.denoised(sigma, output, x)

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, max_denoise: bool = False) -> Tensor:
        return SAMPLING.noise_scaling(sigma, noise, latent, max_denoise=max_denoise)


def test_levels_of_a_pack_take_the_place_of_the_models() -> None:
    calls: list[NetworkCall] = []
    model, made = noted(calls).clone(), Halved()
    model.add_object_patch("model_sampling", made)
    torch.testing.assert_close(run_of(model)(X, SIGMA), expected(0.1 + 3 * 0.4))
    assert calls[0].timestep.tolist() == [250.0, 250.0]
    assert model.get_model_object("model_sampling") is made
    assert not model.sampling.is_flow


def test_levels_of_ours_come_back_as_they_went() -> None:
    model = tiny_model().clone()
    flow = FlowSampling.shifted(3.0)
    model.add_object_patch("model_sampling", KnownSampling(flow))
    assert model.sampling is flow


@pytest.mark.parametrize(("name", "made"), [("diffusion_model", None), ("diffusion_model.forward", print)])
def test_a_part_that_cannot_be_replaced_is_named(name: str, made: Any) -> None:
    with pytest.raises(ValueError, match=name):
        tiny_model().clone().add_object_patch(name, made)


def test_levels_that_are_none_are_named() -> None:
    with pytest.raises(TypeError, match="int, which has no timestep"):
        tiny_model().clone().add_object_patch("model_sampling", 3)


def test_conditions_are_answered_for_within_a_run_only() -> None:
    with pytest.raises(ValueError, match="within a sampling run"):
        InnerModel(tiny_model()).predict([[]], X, SIGMA, {})
