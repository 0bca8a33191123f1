import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.control.control import Control, ControlNet, applied
from graphengine_nodes.diffusion.control.loading import load_control
from graphengine_nodes.diffusion.model.control_network import StrengthType
from graphengine_nodes.diffusion.model.model import (
    Conditioning,
    DiffusionModel,
    Job,
    Latent,
    NetworkCall,
    Residuals,
)
from graphengine_nodes.diffusion.sampling.ksampler import run_sigmas, sample
from graphengine_nodes.diffusion.sampling.noise import prepare_noise
from graphengine_nodes.diffusion.sampling.samplers import find_sampler
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint
from graphengine_nodes.image.scaling import resize

from . import control_cases as cases

PICTURE = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
TEXT = torch.randn(1, 5, cases.CONTEXT, generator=torch.Generator().manual_seed(2))
EMPTY = torch.randn(1, 5, cases.CONTEXT, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    return cases.model(tmp_path_factory.mktemp("unet"))


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Control:
    return load(tmp_path_factory.mktemp("control"), cases.weights(cases.control_shapes()))


def load(folder: Path, tensors: Mapping[str, Tensor], name: str = "canny.safetensors") -> Control:
    save_file(dict(tensors), folder / name)
    return load_control(open_checkpoint(folder / name), "cpu")


def call_of(x: Tensor, *, groups: int = 1, context: Tensor = TEXT) -> NetworkCall:
    options = {"cond_or_uncond": list(range(groups))}
    return NetworkCall(x, torch.full((len(x),), 300.0), context.expand(len(x), -1, -1), options=options)


def residuals(control: Control, model: DiffusionModel, call: NetworkCall) -> Residuals:
    job = Job(tuple(call.x.shape), network=model.network, latent_format=model.latent_format)
    found = control.prepared(job, model.sampling).residuals(call.x, torch.ones(len(call.x)), call)
    assert found is not None
    return found


def run(model: DiffusionModel, positive: Conditioning, **changes: Any) -> Tensor:
    arguments: dict[str, Any] = {
        "seed": 5,
        "steps": 4,
        "cfg": 3.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "negative": [(EMPTY, {})],
        "latent": {"samples": torch.zeros(1, 4, 8, 8)},
    }
    return sample(model, positive=positive, **{**arguments, **changes})["samples"]


def steered(control: Control, **options: Any) -> Conditioning:
    return [(TEXT, {"control": control, "control_apply_to_uncond": True, **options})]


def test_the_residuals_are_exactly_those_of_diffusers(control: Control, model: DiffusionModel) -> None:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    found = residuals(applied(control, PICTURE, 1.0, (0.0, 1.0)), model, call_of(x))
    oracle = cases.oracle(cases.weights(cases.control_shapes()))
    with torch.no_grad():
        down, middle = oracle(x, torch.tensor([300.0]), TEXT, PICTURE.movedim(-1, 1), return_dict=False)
    assert len(found.output) == 12
    for ours, theirs in zip(found.output, down, strict=True):
        assert ours is not None
        assert torch.equal(ours, theirs)
    assert torch.equal(torch.stack([value for value in found.middle if value is not None])[0], middle)


@pytest.mark.parametrize("prefix", ["control_model.", "controlnet."])
def test_a_prefix_before_all_names_is_dropped(
    prefix: str, control: Control, model: DiffusionModel, tmp_path: Path
) -> None:
    tensors = cases.weights(cases.control_shapes())
    prefixed = load(tmp_path, {prefix + name: value for name, value in tensors.items()})
    call = call_of(torch.randn(1, 4, 8, 8))
    ours, theirs = (
        residuals(applied(each, PICTURE, 1.0, (0, 1)), model, call).output[3] for each in (prefixed, control)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_layout_of_diffusers_is_read_too(control: Control, model: DiffusionModel, tmp_path: Path) -> None:
    oracle = cases.oracle(cases.weights(cases.control_shapes()))
    loaded = load(tmp_path, oracle.state_dict())
    call = call_of(torch.randn(1, 4, 8, 8))
    ours, theirs = (
        residuals(applied(each, PICTURE, 1.0, (0, 1)), model, call).output for each in (loaded, control)
    )
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def by_hand(model: DiffusionModel, oracle: Any, *, strength: float, until: float = 1.0) -> Tensor:
    """Euler's method with cfg 3, written out, over diffusers' own UNet and ControlNet."""
    sampling, unet = model.sampling, model.network.component.ready()
    sigmas = run_sigmas(sampling, find_sampler("euler"), "normal", 4)
    x = prepare_noise(torch.zeros(1, 4, 8, 8), 5) * torch.sqrt(1 + sigmas[0] ** 2)
    hint, last = PICTURE.movedim(-1, 1), sampling.percent_to_sigma(until)
    for sigma, following in itertools.pairwise(sigmas):
        scaled = (x / torch.sqrt(sigma**2 + 1)).expand(2, -1, -1, -1)
        time, text = sampling.timestep(sigma.reshape(1)).expand(2), torch.cat([TEXT, EMPTY])
        added: dict[str, Any] = {}
        if float(sigma) >= last:
            down, middle = oracle(scaled, time, text, hint, strength, return_dict=False)
            added = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        cond, uncond = unet(scaled, time, text, return_dict=False, **added)[0].chunk(2)
        x = x + (uncond + 3.0 * (cond - uncond)) * (following - sigma)
    return x / 0.18215


@pytest.mark.parametrize(("strength", "until"), [(1.0, 1.0), (0.6, 1.0), (1.0, 0.5)])
def test_a_run_is_the_same_as_one_written_by_hand(
    strength: float, until: float, control: Control, model: DiffusionModel
) -> None:
    oracle = cases.oracle(cases.weights(cases.control_shapes()))
    ours = run(model, steered(applied(control, PICTURE, strength, (0.0, until))))
    with torch.no_grad():
        theirs = by_hand(model, oracle, strength=strength, until=until)
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-5


def test_no_strength_is_no_control(control: Control, model: DiffusionModel) -> None:
    ours = run(model, steered(applied(control, PICTURE, 0.0, (0.0, 1.0))))
    torch.testing.assert_close(ours, run(model, [(TEXT, {})]), rtol=1e-6, atol=1e-6)


def test_a_range_that_ends_leaves_the_later_steps_alone(control: Control, model: DiffusionModel) -> None:
    chain = applied(control, PICTURE, 1.0, (0.0, 0.5)).prepared(Job((1, 4, 8, 8)), model.sampling)
    border = model.sampling.percent_to_sigma(0.5)
    assert [chain.applies(sigma) for sigma in (99.0, border * 1.01, border * 0.99, 0.1)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_range_that_begins_late_leaves_the_first_steps_alone(control: Control, model: DiffusionModel) -> None:
    chain = applied(control, PICTURE, 1.0, (0.5, 1.0)).prepared(Job((1, 4, 8, 8)), model.sampling)
    border = model.sampling.percent_to_sigma(0.5)
    assert [chain.applies(sigma) for sigma in (14.0, border * 1.01, border * 0.99, 0.0)] == [
        False,
        False,
        True,
        True,
    ]


def test_chained_controls_add_up(control: Control, model: DiffusionModel, tmp_path: Path) -> None:
    other = load(tmp_path, cases.weights(cases.control_shapes(), seed=9), "depth.safetensors")
    call = call_of(torch.randn(1, 4, 8, 8))
    first = applied(control, PICTURE, 1.0, (0, 1))
    alone = [residuals(each, model, call) for each in (first, applied(other, 1 - PICTURE, 0.5, (0, 1)))]
    both = residuals(applied(other, 1 - PICTURE, 0.5, (0, 1), previous=first), model, call)
    for together, a, b in zip(both.output, alone[0].output, alone[1].output, strict=True):
        assert a is not None
        assert b is not None
        torch.testing.assert_close(together, a + b)


def test_a_control_after_another_ones_range_still_adds_it(control: Control, model: DiffusionModel) -> None:
    early = applied(control, PICTURE, 1.0, (0.0, 0.2))
    late = applied(control, PICTURE, 1.0, (0.8, 1.0), previous=early)
    chain = late.prepared(Job((1, 4, 8, 8), network=model.network), model.sampling)
    call = call_of(torch.randn(1, 4, 8, 8))
    assert [chain.applies(sigma) for sigma in (14.0, 2.0, 0.05)] == [True, False, True]
    at_start, at_end = (chain.residuals(call.x, torch.tensor([sigma]), call) for sigma in (14.0, 0.05))
    assert at_start is not None
    assert at_end is not None
    torch.testing.assert_close(at_start.output[0], at_end.output[0])


def test_the_picture_is_cut_and_scaled_to_the_latent(control: Control, model: DiffusionModel) -> None:
    wide = torch.rand(1, 50, 130, 3)
    fitted = resize(wide.movedim(-1, 1), 64, 64, "nearest-exact", "center").movedim(1, -1)
    call = call_of(torch.randn(1, 4, 8, 8))
    ours, theirs = (residuals(applied(control, each, 1.0, (0, 1)), model, call) for each in (wide, fitted))
    torch.testing.assert_close(ours.output[0], theirs.output[0], rtol=0, atol=0)


def test_several_pictures_go_round_in_each_group_of_the_batch(control: Control, model: DiffusionModel) -> None:
    pictures = torch.rand(2, 64, 64, 3)
    x = torch.randn(1, 4, 8, 8).expand(6, -1, -1, -1)
    found = residuals(applied(control, pictures, 1.0, (0, 1)), model, call_of(x, groups=2)).output[0]
    assert found is not None
    each = [
        residuals(applied(control, pictures[n : n + 1], 1.0, (0, 1)), model, call_of(x[:1])).output[0]
        for n in range(2)
    ]
    for place, number in enumerate((0, 1, 0, 0, 1, 0)):
        torch.testing.assert_close(found[place : place + 1], each[number], rtol=1e-4, atol=1e-5)


def test_the_negative_side_is_controlled_only_where_the_positive_one_says_so(
    control: Control, model: DiffusionModel
) -> None:
    ready = applied(control, PICTURE, 1.0, (0.0, 1.0))
    both = run(model, steered(ready))
    one = run(model, [(TEXT, {"control": ready})])
    spelled_out = run(model, [(TEXT, {"control": ready})], negative=[(EMPTY, {"control": ready})])
    torch.testing.assert_close(both, spelled_out, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(both, one, atol=1e-3)


def test_residuals_can_be_means_and_grow_towards_the_last_block(control: Control, model: DiffusionModel) -> None:
    call = call_of(torch.randn(1, 4, 8, 8))
    plain = residuals(applied(control, PICTURE, 1.0, (0, 1)), model, call)
    changed = applied(control, PICTURE, 0.5, (0, 1))
    changed.global_average_pooling = True
    changed.strength_type = StrengthType.LINEAR_UP
    found = residuals(changed, model, call)
    for place, (ours, theirs) in enumerate(zip(found.output, plain.output, strict=True)):
        assert theirs is not None
        mean = theirs.mean(dim=(2, 3), keepdim=True).expand_as(theirs)
        torch.testing.assert_close(ours, mean * 0.5 ** (12 - place))


def test_a_file_named_shuffle_has_residuals_that_are_means(tmp_path: Path) -> None:
    tensors = cases.weights(cases.control_shapes())
    assert load(tmp_path, tensors, "control_v11e_sd15_shuffle_fp16.safetensors").global_average_pooling
    assert not load(tmp_path, tensors, "shuffle_not.safetensors").global_average_pooling


def test_a_copy_has_settings_of_its_own(control: Control) -> None:
    copied = control.copy().set_cond_hint(PICTURE.movedim(-1, 1), 0.3, (0.1, 0.9))
    copied.set_extra_arg("control_type", [1])
    assert isinstance(copied, ControlNet)
    assert copied.network is control.network
    assert (control.cond_hint_original, control.strength, control.extra_args) == (None, 1.0, {})


def test_the_text_of_the_control_can_be_another(control: Control, model: DiffusionModel) -> None:
    ready = applied(control, PICTURE, 1.0, (0.0, 1.0))
    call = replace(call_of(torch.randn(1, 4, 8, 8)), extra={"cross_attn_controlnet": EMPTY})
    theirs = residuals(ready, model, call_of(call.x, context=EMPTY))
    torch.testing.assert_close(residuals(ready, model, call).output[3], theirs.output[3], rtol=0, atol=0)
    ours = run(model, [(TEXT, {"control": ready, "cross_attn_controlnet": EMPTY})])
    assert not torch.allclose(ours, run(model, [(TEXT, {"control": ready})]), atol=1e-4)


def test_a_control_of_another_width_is_refused_with_both_widths(model: DiffusionModel, tmp_path: Path) -> None:
    other = load(tmp_path, cases.weights(cases.control_shapes((32, 64, 64, 64))), "wide.safetensors")
    with pytest.raises(ModelError, match=r"'wide\.safetensors'.*\[32, 64, 64, 64\].*\[32, 32, 64, 64\]"):
        run(model, steered(applied(other, PICTURE, 1.0, (0.0, 1.0))))


def test_a_control_of_another_family_is_refused_with_both_families(model: DiffusionModel, tmp_path: Path) -> None:
    other = load(tmp_path, cases.weights(cases.control_shapes(context=768)), "sd15.safetensors")
    with pytest.raises(ValueError, match=r"'sd15\.safetensors' was made for SD1\.x.*width 768.*has 48"):
        run(model, steered(applied(other, PICTURE, 1.0, (0.0, 1.0))))


def test_a_control_without_a_picture_says_so(control: Control, model: DiffusionModel) -> None:
    with pytest.raises(ValueError, match=r"'canny\.safetensors' was given no picture"):
        run(model, steered(control))


def test_a_control_that_follows_itself_is_refused(control: Control, model: DiffusionModel) -> None:
    ready = applied(control, PICTURE, 1.0, (0.0, 1.0))
    ready.set_previous_controlnet(ready)
    with pytest.raises(ValueError, match="its own chain"):
        run(model, steered(ready))


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("input_hint_block.2.weight", r"hint\.blocks\.0\.weight"),
        ("zero_convs.5.0.bias", r"network\.controlnet_down_blocks\.5\.bias"),
    ],
)
def test_damaged_weights_are_named(broken: str, named: str, model: DiffusionModel, tmp_path: Path) -> None:
    tensors = cases.weights(cases.control_shapes())
    tensors[broken][0] = float("nan")
    damaged = load(tmp_path, tensors, "damaged.safetensors")
    with pytest.raises(ModelError, match=r"'damaged\.safetensors' is damaged.*" + named):
        run(model, steered(applied(damaged, PICTURE, 1.0, (0.0, 1.0))))


def test_a_picture_with_values_that_are_not_finite_is_refused(control: Control, model: DiffusionModel) -> None:
    with pytest.raises(ModelError, match=r"'canny\.safetensors' makes values that are not finite of its picture"):
        run(model, steered(applied(control, PICTURE * float("inf"), 1.0, (0.0, 1.0))))


@pytest.mark.parametrize(
    "missing", ["input_hint_block.0.weight", "zero_convs.3.0.bias", "input_blocks.1.0.in_layers.2.weight"]
)
def test_a_missing_tensor_is_named(missing: str, tmp_path: Path) -> None:
    tensors = cases.weights(cases.control_shapes())
    del tensors[missing]
    with pytest.raises(ModelError, match=r"canny\.safetensors.* lacks (the )?tensor"):
        load(tmp_path, tensors)


def test_something_else_is_no_control(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'canny\.safetensors' holds no ControlNet"):
        load(tmp_path, {"weight": torch.zeros(2)})


@pytest.mark.parametrize(("channels", "error"), [(4, None), (1, None), (2, "sees 3 channels, the picture has 2")])
def test_pictures_with_other_channels_are_fitted_or_refused(
    channels: int, error: str | None, control: Control, model: DiffusionModel
) -> None:
    ready = applied(control, torch.rand(1, 8, 8, channels), 1.0, (0, 1))
    if error is None:
        found = residuals(ready, model, call_of(torch.randn(1, 4, 8, 8)))
        assert found.output[0] is not None
    else:
        with pytest.raises(ValueError, match=error):
            residuals(ready, model, call_of(torch.randn(1, 4, 8, 8)))


def test_an_area_is_shown_the_whole_picture_in_its_size(control: Control, model: DiffusionModel) -> None:
    latent: Latent = {"samples": torch.zeros(1, 4, 16, 16)}
    ready = applied(control, PICTURE, 1.0, (0.0, 1.0))
    area = run(
        model, [(TEXT, {}), (TEXT, {"control": ready, "area": (8, 8, 0, 0), "strength": 1.0})], latent=latent
    )
    assert area.isfinite().all()
    plain = run(model, [(TEXT, {}), (TEXT, {"area": (8, 8, 0, 0), "strength": 1.0})], latent=latent)
    assert not torch.allclose(area[..., :4, :4], plain[..., :4, :4], atol=1e-3)
