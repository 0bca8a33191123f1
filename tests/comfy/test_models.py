"""MODEL values as packs see and patch them, and classes of ComfyUI's that stand for families."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graphengine.node.api import GraphEngineError
from graphengine_comfy.comfy import (
    model_base,
    model_patcher,
    model_sampling,
    patcher_extension,
    samplers,
    supported_models,
)
from graphengine_nodes.diffusion.model.model import DiffusionModel, LatentFormat, PlainNetwork
from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling, FlowSampling, ModelSampling
from graphengine_nodes.diffusion.model.model_sampling_variants import ContinuousSampling, CosineSampling
from graphengine_nodes.diffusion.sampling.custom_sampling import sample_custom
from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree, Guider
from graphengine_nodes.diffusion.sampling.noise import SeededNoise
from graphengine_nodes.diffusion.sampling.samplers import find_sampler
from tests.nodes.diffusion.sampling_cases import RecordingNetwork, text

SIGMAS = torch.tensor([9.0, 3.0, 0.0])


def a_model(family: str = "sdxl") -> DiffusionModel:
    return DiffusionModel(PlainNetwork(RecordingNetwork(), family), DiscreteSampling.linear(), LatentFormat())


def sampled(model: DiffusionModel, sampler: Any = None, cfg: float = 3.0) -> Tensor:
    """A run of two steps, guided from a text of 0.1 to one of 0.5."""
    texts: dict[str, Any] = {"positive": [text(0.5)], "negative": [text(0.1)]}
    return sample_custom(
        Guider(model, texts, ClassifierFree(cfg)),
        noise=SeededNoise(1),
        sampler=sampler or find_sampler("euler"),
        sigmas=SIGMAS,
        latent={"samples": torch.zeros(1, 4, 4, 4)},
    ).output["samples"]


# Families


def test_the_inside_of_a_model_is_of_its_family() -> None:
    inside = a_model("sdxl").model
    assert isinstance(inside, model_base.BaseModel)
    assert isinstance(inside, model_base.SDXL)
    assert isinstance(inside, (model_base.SD3, model_base.SDXL))
    assert not isinstance(inside, model_base.SDXLRefiner)
    assert not isinstance(torch.zeros(1), model_base.BaseModel)


def test_a_class_of_a_pack_has_no_instances_of_ours() -> None:
    class Own(model_base.SDXL):  # type: ignore[misc]  # the class is made at run time
        pass

    assert not isinstance(a_model("sdxl").model, Own)
    with pytest.raises(GraphEngineError, match=r"comfy\.model_base\.SDXL of ComfyUI only stands for"):
        Own()


def test_what_a_family_lacks_is_a_placeholder() -> None:
    assert not isinstance(a_model().model, model_base.HunyuanDiT)


@pytest.mark.parametrize(("name", "family"), [("SD15", "sd1"), ("SDXL", "sdxl"), ("Flux", "flux")])
def test_settings_are_of_a_family(name: str, family: str) -> None:
    from tests.nodes.diffusion.weight_cases import model as model_of_weights

    class Weights:
        dtype = torch.float16

        def shapes(self) -> dict[str, tuple[int, ...]]:
            return {"conv_in.weight": (320, 9, 3, 3), "mid_block.attn2.to_k.weight": (1280, 768)}

    weights: Any = Weights()
    inside = model_of_weights(weights, family).model
    assert isinstance(inside.model_config, getattr(supported_models, name))
    assert not isinstance(inside.model_config, supported_models.SD20)
    sizes = {"model_channels": 320, "in_channels": 9, "context_dim": 768, "adm_in_channels": None}
    assert inside.model_config.unet_config == sizes
    assert inside.get_dtype() == torch.float16


# Patchers


def test_a_model_is_a_patcher() -> None:
    model = a_model()
    assert isinstance(model, model_patcher.ModelPatcher)
    assert isinstance(model, model_patcher.CoreModelPatcher)
    assert not isinstance(model.model, model_patcher.ModelPatcher)


def test_a_patcher_of_an_inside_is_the_model() -> None:
    model = a_model()
    again = model_patcher.ModelPatcher(model.model, load_device="cpu", offload_device="cpu")
    assert isinstance(again, DiffusionModel)
    assert again.network is model.network
    assert again is not model


def test_a_patcher_holds_a_module_of_a_pack() -> None:
    module = nn.Linear(3, 2)
    patcher = model_patcher.ModelPatcher(module, load_device="meta", offload_device="cpu")
    assert patcher.model_size() == 8 * 4
    assert patcher.model_dtype() == torch.float32
    assert patcher.is_clone(patcher.clone())
    assert patcher.get_model_object("weight") is module.weight
    assert patcher.patch_model().weight.is_meta

    class Own(model_patcher.ModelPatcher):
        pass

    assert isinstance(Own(module, "cpu", "cpu").clone(), Own)
    assert not isinstance(a_model(), Own)


def test_options_are_patched_in_copies() -> None:
    options: dict[str, Any] = {"transformer_options": {"patches_replace": {"attn1": {("middle", 0): print}}}}
    copy = model_patcher.create_model_options_clone(options)
    model_patcher.set_model_options_patch_replace(copy, repr, "attn1", "middle", 0, 1)
    model_patcher.set_model_options_post_cfg_function(copy, vars, disable_cfg1_optimization=True)
    model_patcher.set_model_options_pre_cfg_function(copy, dir)
    assert options == {"transformer_options": {"patches_replace": {"attn1": {("middle", 0): print}}}}
    replaced = copy["transformer_options"]["patches_replace"]["attn1"]
    assert replaced == {("middle", 0): print, ("middle", 0, 1): repr}
    assert copy["sampler_post_cfg_function"] == [vars]
    assert copy["sampler_pre_cfg_function"] == [dir]
    assert copy["disable_cfg1_optimization"]


# Runs


def test_a_function_after_guidance_may_ask_again() -> None:
    def away(args: dict[str, Any]) -> Tensor:
        [again] = samplers.calc_cond_batch(
            args["model"], [args["cond"]], args["input"], args["sigma"], args["model_options"]
        )
        torch.testing.assert_close(again, args["cond_denoised"])
        denoised: Tensor = args["denoised"] + (args["cond_denoised"] - args["uncond_denoised"])
        return denoised

    model = a_model().clone()
    model.set_model_sampler_post_cfg_function(away)
    torch.testing.assert_close(sampled(model, cfg=3.0), sampled(a_model(), cfg=4.0))


def test_functions_are_told_of_the_levels_of_the_run_and_keep_things_for_its_length() -> None:
    seen: list[int] = []

    def count(args: dict[str, Any]) -> Tensor:
        options = args["model_options"]
        assert torch.equal(options["transformer_options"]["sample_sigmas"], SIGMAS)
        options["count"] = options.get("count", 0) + 1
        seen.append(options["count"])
        denoised: Tensor = args["denoised"]
        return denoised

    model = a_model().clone()
    model.set_model_sampler_post_cfg_function(count)
    sampled(model)
    sampled(model)
    assert seen == [1, 2, 1, 2]
    assert "count" not in model.model_options


def test_a_function_may_guide_by_itself() -> None:
    def twice(args: dict[str, Any]) -> Tensor:
        options: dict[str, Any] = {"transformer_options": {}}
        guided = samplers.sampling_function(
            args["model"], args["input"], args["sigma"], args["uncond"], args["cond"], 5.0, options
        )
        alone = samplers.sampling_function(
            args["model"], args["input"], args["sigma"], None, args["cond"], 5.0, options
        )
        torch.testing.assert_close(alone, args["cond_denoised"])
        return guided

    model = a_model().clone()
    model.set_model_sampler_post_cfg_function(twice)
    torch.testing.assert_close(sampled(model, cfg=3.0), sampled(a_model(), cfg=5.0))


def test_outside_of_a_run_nothing_is_asked() -> None:
    with pytest.raises(ValueError, match="within a sampling run"):
        samplers.sampling_function(a_model().model, torch.zeros(1, 4, 2, 2), torch.ones(1), None, [], 1.0, {})


def test_a_sampler_of_a_pack_sees_and_changes_the_options_of_the_model() -> None:
    seen: list[Any] = []

    def euler(model: Any, x: Tensor, sigmas: Tensor, extra_args: Any, callback: Any, disable: Any) -> Tensor:
        uncond: list[Tensor] = []
        options = model_patcher.create_model_options_clone(extra_args["model_options"])
        seen.append(options.get("mark"))

        def keep(args: dict[str, Any]) -> Tensor:
            uncond.append(args["uncond_denoised"])
            denoised: Tensor = args["denoised"]
            return denoised

        extra_args["model_options"] = model_patcher.set_model_options_post_cfg_function(options, keep, True)
        for sigma, sigma_next in pairwise(sigmas):
            denoised = model(x, sigma * x.new_ones([len(x)]), **extra_args)
            # as CFG++ does, for which the negative side alone is needed
            x = denoised + (x - uncond.pop()) / sigma * sigma_next
        return x

    model = a_model().clone()
    model.model_options["mark"] = 7
    sampler = samplers.KSAMPLER(euler)
    torch.testing.assert_close(sampled(model, sampler), sampled(a_model(), find_sampler("euler_cfg_pp")))
    assert seen == [7]


def test_wrappers_stand_around_conditions_and_network() -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        def wrapper(executor: Any, *args: Any, **options: Any) -> Any:
            order.append(name)
            return executor(*args, **options)

        return wrapper

    model = a_model().clone()
    kinds = patcher_extension.WrappersMP
    model.add_wrapper_with_key(kinds.CALC_COND_BATCH, "mine", named("conditions"))
    patcher_extension.add_wrapper(kinds.APPLY_MODEL, named("network"), model.model_options, is_model_options=True)
    torch.testing.assert_close(sampled(model), sampled(a_model()))
    assert order == ["conditions", "network"] * 2
    assert len(patcher_extension.get_all_wrappers(kinds.APPLY_MODEL, model.model_options, True)) == 1
    assert len(patcher_extension.get_wrappers_with_key(kinds.APPLY_MODEL, None, model.model_options, True)) == 1


def test_packs_are_told_of_runs() -> None:
    told: list[tuple[str, bool]] = []
    model = a_model().clone()
    moments = patcher_extension.CallbacksMP
    model.add_callback(moments.ON_PRE_RUN, lambda of: told.append(("before", of is model)))
    model.add_callback_with_key(moments.ON_CLEANUP, "mine", lambda of: told.append(("after", of is model)))
    model.add_callback_with_key(moments.ON_CLEANUP, "gone", lambda of: told.append(("never", False)))
    model.remove_callbacks_with_key(moments.ON_CLEANUP, "gone")
    sampled(model)
    assert told == [("before", True), ("after", True)]
    with pytest.raises(ValueError, match="'on_detach_after'"):
        model.add_callback(moments.ON_DETACH, print)
    with pytest.raises(ValueError, match="'on_load_after'"):
        patcher_extension.add_callback(moments.ON_LOAD, print, {})


def test_wrappers_can_be_called_by_hand() -> None:
    def add_one(executor: Any, value: int) -> int:
        return int(executor(value)) + 1

    executor = patcher_extension.WrapperExecutor.new_executor(lambda value: value * 10, [add_one, add_one])
    assert executor.execute(3) == 32


def test_tables_of_wrappers_and_callbacks_begin_empty() -> None:
    assert patcher_extension.WrappersMP.init_wrappers()["apply_model"] == {None: []}
    assert patcher_extension.CallbacksMP.init_callbacks()["on_clone"] == {None: []}


# Noise levels

X = torch.linspace(-2, 2, 16).reshape(1, 4, 2, 2)
SIGMA = torch.tensor([0.4])


def made(levels: str, prediction: str, *arguments: Any) -> Any:
    """An instance of a class that derives from both, as packs write it."""
    bases = (getattr(model_sampling, levels), getattr(model_sampling, prediction))
    return type("Made", bases, {})(*arguments)


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        (("ModelSamplingDiscrete", "EPS"), DiscreteSampling.linear()),
        (("ModelSamplingDiscrete", "V_PREDICTION"), DiscreteSampling.linear("v")),
        (("ModelSamplingDiscrete", "X0"), DiscreteSampling.linear("x0")),
        (("ModelSamplingDiscrete", "IMG_TO_IMG"), DiscreteSampling.linear("img_to_img")),
        (
            ("ModelSamplingDiscrete", "V_PREDICTION", None, True),
            DiscreteSampling.linear("v", zero_terminal_snr=True),
        ),
        (("ModelSamplingDiscreteFlow", "CONST"), FlowSampling.shifted(1.0)),
        (("ModelSamplingFlux", "CONST"), FlowSampling.exponentially_shifted(1.15)),
        (("ModelSamplingContinuousEDM", "EPS"), ContinuousSampling.between(0.002, 120.0, "eps")),
        (("ModelSamplingContinuousV", "V_PREDICTION"), ContinuousSampling.between(0.002, 120.0, "v", "arctan")),
        (("StableCascadeSampling", "EPS"), CosineSampling.shifted(1.0)),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_levels_that_a_pack_makes_are_those_of_the_nodes(given: Any, ours: ModelSampling) -> None:
    model = a_model().clone()
    model.add_object_patch("model_sampling", made(*given))
    theirs = model.sampling
    assert torch.equal(theirs.sigmas, ours.sigmas)
    assert theirs.is_flow == ours.is_flow
    torch.testing.assert_close(theirs.timestep(SIGMA), ours.timestep(SIGMA))
    torch.testing.assert_close(theirs.sigma(torch.tensor([0.5])), ours.sigma(torch.tensor([0.5])))
    assert theirs.percent_to_sigma(0.3) == ours.percent_to_sigma(0.3)
    torch.testing.assert_close(theirs.scale_input(SIGMA, X), ours.scale_input(SIGMA, X))
    torch.testing.assert_close(theirs.denoised(SIGMA, X * 2, X), ours.denoised(SIGMA, X * 2, X))
    torch.testing.assert_close(theirs.inverse_noise_scaling(SIGMA, X), ours.inverse_noise_scaling(SIGMA, X))
    for fully in (False, True):
        theirs_noised = theirs.noise_scaling(SIGMA, X, X * 3, max_denoise=fully)
        torch.testing.assert_close(theirs_noised, ours.noise_scaling(SIGMA, X, X * 3, max_denoise=fully))


def test_a_run_over_levels_of_a_pack_is_that_over_ours() -> None:
    model = a_model().clone()
    model.add_object_patch("model_sampling", made("ModelSamplingDiscrete", "V_PREDICTION"))
    velocity = DiffusionModel(PlainNetwork(RecordingNetwork()), DiscreteSampling.linear("v"), LatentFormat())
    torch.testing.assert_close(sampled(model), sampled(velocity))


def test_the_velocity_of_karras_has_the_deviation_of_its_latents() -> None:
    class Config:
        sampling_settings = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5}  # noqa: RUF012 (as packs write it)

    theirs = made("ModelSamplingContinuousEDM", "EDM", Config())
    ours = ContinuousSampling.between(0.002, 80.0, "edm")
    torch.testing.assert_close(theirs.calculate_denoised(SIGMA, X * 2, X), ours.denoised(SIGMA, X * 2, X))
    torch.testing.assert_close(theirs.calculate_input(SIGMA, X), ours.scale_input(SIGMA, X))


def test_parameters_are_set_as_packs_set_them() -> None:
    flow = made("ModelSamplingDiscreteFlow", "CONST")
    flow.set_parameters(shift=3.0, multiplier=1000)
    assert torch.equal(flow.sigmas, FlowSampling.shifted(3.0).sigmas)
    flux = made("ModelSamplingFlux", "CONST")
    flux.set_parameters(shift=0.5)
    assert torch.equal(flux.sigmas, FlowSampling.exponentially_shifted(0.5).sigmas)
    table = made("ModelSamplingDiscrete", "EPS")
    table.set_sigmas(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
    assert table.sigma_max == 4.0
    assert table.timestep(torch.tensor([2.1])).tolist() == [1.0]


@pytest.mark.parametrize("scheduler", samplers.SCHEDULER_NAMES)
@pytest.mark.parametrize("flow", [False, True])
def test_schedules_take_the_levels_that_packs_see(scheduler: str, flow: bool) -> None:
    known, foreign = a_model().clone(), a_model().clone()
    levels = FlowSampling.shifted(1.0) if flow else DiscreteSampling.linear()
    known.add_object_patch("model_sampling", levels)
    foreign.add_object_patch(
        "model_sampling",
        made(*(("ModelSamplingDiscreteFlow", "CONST") if flow else ("ModelSamplingDiscrete", "EPS"))),
    )
    expected = samplers.calculate_sigmas(levels, scheduler, 5)
    for model in (known, foreign):
        seen = model.get_model_object("model_sampling")
        assert torch.equal(samplers.calculate_sigmas(seen, scheduler, 5), expected)


def test_times_are_shifted() -> None:
    assert model_sampling.time_snr_shift(3.0, 0.5) == 0.75
    assert model_sampling.time_snr_shift(1.0, 0.5) == 0.5
    time = torch.tensor([0.25, 0.5])
    torch.testing.assert_close(
        model_sampling.flux_time_shift(1.15, 1.0, time), FlowSampling.exponentially_shifted(1.15).sigma(time)
    )
    torch.testing.assert_close(
        model_sampling.flux_time_shift(0.0, 2.0, torch.tensor(0.25)), torch.tensor(1 / (1 + 3.0**2))
    )
