"""Built-in nodes as packs call them, and sampling through ComfyUI's names, on the checkpoint that is shipped."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from graphengine.engine import Engine
from graphengine.node.api import NodeContext, Preview, RunCancelled
from graphengine.packs.stand_ins import Surroundings
from graphengine.settings import load_settings
from graphengine_comfy import _surroundings, latent_preview, nodes
from graphengine_comfy.comfy import sample, samplers, sd
from graphengine_comfy.comfy_extras import nodes_mask, nodes_post_processing
from graphengine_nodes.diffusion.control.control import Control
from tests.comfy.conftest import Called


@pytest.fixture(autouse=True, scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The stand-ins know the built-in nodes and the checkpoint that is shipped."""
    settings = load_settings(
        base_dir=tmp_path_factory.mktemp("base"), no_cache=True, environ=dict(os.environ), device="cpu"
    )
    with Engine.from_settings(settings) as engine:
        _surroundings.connect(Surroundings(engine.folders, engine.registry))
        yield engine
    _surroundings.connect(Surroundings())


# Any: MODEL, conditionings and samples are what nodes give.
@pytest.fixture(scope="module")
def parts(engine: Engine) -> dict[str, Any]:
    """A model, two conditionings, a VAE and a latent, made by node classes."""
    (name,) = nodes.CheckpointLoaderSimple.INPUT_TYPES()["required"]["ckpt_name"][0]
    model, clip, vae = nodes.CheckpointLoaderSimple().load_checkpoint(name)
    positive, negative = (nodes.CLIPTextEncode().encode(clip, text)[0] for text in ("a red square", ""))
    (latent,) = nodes.EmptyLatentImage().generate(64, 64)
    return {"model": model, "positive": positive, "negative": negative, "vae": vae, "latent": latent, "file": name}


def test_nodes_have_the_methods_and_lists_of_comfyui() -> None:
    picture = torch.rand(1, 8, 8, 3)
    (scaled,) = nodes.ImageScale().upscale(picture, "area", 4, 4, "disabled")
    assert torch.allclose(scaled, picture.reshape(1, 4, 2, 4, 2, 3).mean((2, 4)), atol=1e-6)
    scale = nodes.NODE_CLASS_MAPPINGS["ImageScale"]
    assert scale is nodes.ImageScale
    named = {"image": picture, "upscale_method": "area", "width": 4, "height": 4, "crop": "disabled"}
    assert torch.equal(getattr(scale(), scale.FUNCTION)(**named)[0], scaled)
    assert "bicubic" in scale.upscale_methods
    assert scale.crop_methods == ["disabled", "center"]


def test_packs_add_controls_by_the_methods_of_comfyui(parts: dict[str, Any]) -> None:
    control = Control(network=object())  # type: ignore[arg-type]  # nothing is sampled with it
    picture = torch.rand(1, 8, 8, 3)
    (one,) = nodes.ControlNetApply().apply_controlnet(parts["positive"], control, picture, 0.5)
    sides = parts["positive"], parts["negative"]
    both = nodes.ControlNetApplyAdvanced().apply_controlnet(*sides, control, picture, 0.5, 0.1, 0.9, vae=None)
    (told,) = nodes.SetUnionControlNetType().set_controlnet_type(control, "tile")
    assert one[0][1]["control"].strength == 0.5
    assert both[0][0][1]["control"] is both[1][0][1]["control"]
    assert both[0][0][1]["control"].timestep_percent_range == (0.1, 0.9)
    assert told.extra_args == {"control_type": [6]}


def test_packs_derive_from_built_in_nodes() -> None:
    class Darker(nodes.ImageInvert):  # type: ignore[misc]  # made while the engine runs
        FUNCTION = "darken"

        def darken(self, image: torch.Tensor) -> tuple[torch.Tensor]:
            return (super().invert(image)[0] / 2,)

    assert Darker().darken(torch.zeros(1, 1, 1, 3))[0].tolist() == [[[[0.5, 0.5, 0.5]]]]
    assert list(Darker.INPUT_TYPES()["required"]) == ["image"]


def test_classes_of_comfy_extras_are_those_of_the_engine() -> None:
    grown = nodes_mask.GrowMask.execute(torch.eye(3)[None], expand=1, tapered_corners=True)[0]
    assert grown.shape == (1, 3, 3)
    assert nodes_post_processing.Blur is nodes.NODE_CLASS_MAPPINGS["ImageBlur"]


def test_every_way_to_sample_gives_the_same(parts: dict[str, Any]) -> None:
    model, latent = parts["model"], parts["latent"]["samples"]
    both = parts["positive"], parts["negative"]
    noise = sample.prepare_noise(latent, 7)
    wanted = nodes.common_ksampler(model, 7, 3, 4.0, "euler", "normal", *both, parts["latent"])[0]["samples"]
    run = sample.sample(model, noise, 3, 4.0, "euler", "normal", *both, latent, seed=7)
    sigmas = samplers.calculate_sigmas(model.sampling, "normal", 3)
    custom = sample.sample_custom(
        model, noise, 4.0, samplers.sampler_object("euler"), sigmas, *both, latent, seed=7
    )
    guider = samplers.CFGGuider(model)
    guider.set_conds(*both)
    guider.set_cfg(4.0)
    guided = guider.sample(noise, latent, samplers.ksampler("euler"), sigmas, seed=7)
    (node,) = nodes.KSampler().sample(model, 7, 3, 4.0, "euler", "normal", *both, parts["latent"], 1.0)
    for samples in (run, custom, guided, node["samples"]):
        assert torch.equal(samples, wanted)


def test_a_sampler_of_a_pack_is_a_sampler(parts: dict[str, Any]) -> None:
    def plain_euler(
        model: Any,
        x: torch.Tensor,
        sigmas: torch.Tensor,
        extra_args: Any,
        callback: Any,
        disable: Any,
        scale: float,
    ) -> torch.Tensor:
        for i in range(len(sigmas) - 1):
            denoised = model(x, sigmas[i] * x.new_ones([len(x)]), **extra_args)
            callback({"i": i, "x": x, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": denoised})
            x = x + (x - denoised) / sigmas[i] * (sigmas[i + 1] - sigmas[i]) * scale
        return x

    model, latent = parts["model"], parts["latent"]["samples"]
    noise, sigmas = sample.prepare_noise(latent, 1), samplers.calculate_sigmas(model.sampling, "karras", 3)
    seen: list[tuple[int, int]] = []
    own, ours = (
        sample.sample_custom(
            model, noise, 2.0, sampler, sigmas, parts["positive"], parts["negative"], latent,
            callback=lambda step, x0, x, total: seen.append((step, total)),
        )
        for sampler in (samplers.KSAMPLER(plain_euler, {"scale": 1.0}), samplers.sampler_object("euler"))
    )  # fmt: skip
    assert torch.allclose(own, ours, atol=1e-5)
    assert seen == [(0, 3), (1, 3), (2, 3)] * 2


def test_part_of_a_run_and_a_partial_denoise_are_those_of_the_node(parts: dict[str, Any]) -> None:
    both = parts["positive"], parts["negative"]
    part = samplers.KSampler(parts["model"], 4, "cpu", "dpm_2", "normal", denoise=0.5)
    assert len(part.sigmas) == 5
    latent = torch.full((1, 4, 8, 8), 0.3)
    noise = sample.prepare_noise(latent, 3)
    made = part.sample(noise, *both, 2.0, latent, start_step=1, last_step=3, force_full_denoise=True, seed=3)
    wanted = nodes.common_ksampler(
        parts["model"], 3, 4, 2.0, "dpm_2", "normal", *both, {"samples": latent}, denoise=0.5, start_step=1,
        last_step=3, force_full_denoise=True,
    )[0]["samples"]  # fmt: skip
    assert torch.equal(made, wanted)


def test_an_interrupt_ends_a_run(parts: dict[str, Any], called: Called) -> None:
    with called(NodeContext(is_cancelled=lambda: True)), pytest.raises(RunCancelled):
        nodes.common_ksampler(
            parts["model"], 1, 2, 1.0, "euler", "normal", parts["positive"], parts["negative"], parts["latent"]
        )


def test_names_that_packs_add_can_be_chosen_by_them() -> None:
    handler = samplers.SchedulerHandler(lambda n, sigma_min, sigma_max: torch.linspace(3, 0, n + 1), use_ms=False)
    samplers.SCHEDULER_HANDLERS["straight"] = handler
    try:
        model_sampling = type("Levels", (), {"sigmas": torch.tensor([0.1, 9.0])})()
        assert samplers.calculate_sigmas(model_sampling, "straight", 3).tolist() == [3, 2, 1, 0]
    finally:
        del samplers.SCHEDULER_HANDLERS["straight"]
    with pytest.raises(ValueError, match="no scheduler 'straight'; known: simple"):
        samplers.calculate_sigmas(None, "straight", 3)


def test_an_empty_latent_gets_the_channels_of_the_model(parts: dict[str, Any]) -> None:
    assert sample.fix_empty_latent_channels(parts["model"], torch.zeros(1, 16, 8, 8)).shape == (1, 4, 8, 8)
    assert sample.fix_empty_latent_channels(parts["model"], torch.ones(1, 16, 8, 8)).shape == (1, 16, 8, 8)


def test_a_checkpoint_is_loaded_by_its_path(engine: Engine, parts: dict[str, Any]) -> None:
    path = engine.folders.path("checkpoints", parts["file"])
    model, clip, vae, nothing = sd.load_checkpoint_guess_config(str(path), output_clip=False)
    assert (type(model), clip, nothing) == (type(parts["model"]), None, None)
    assert isinstance(vae, sd.VAE)
    latent = parts["latent"]["samples"]
    assert torch.equal(vae.decode(latent), nodes.VAEDecode().decode(samples=parts["latent"], vae=parts["vae"])[0])


def test_steps_are_reported_through_the_callback_of_a_preview(called: Called) -> None:
    told: list[tuple[int, int]] = []
    kept: dict[str, Any] = {}
    with called(NodeContext(on_progress=lambda value, total: told.append((value, total)))):
        callback = latent_preview.prepare_callback(None, 2, kept)
        callback(0, torch.zeros(1), torch.ones(1), 2)
    assert told == [(1, 2)]
    assert kept["x0"].item() == 0


def test_steps_of_our_models_are_shown_as_our_samplers_show_them(called: Called, parts: dict[str, Any]) -> None:
    shown: list[Preview] = []
    with called(NodeContext(on_preview=shown.append)):
        latent_preview.prepare_callback(parts["model"], 1)(0, torch.zeros(1, 4, 2, 3), torch.ones(1), 1)
        previewer = latent_preview.get_previewer("cpu", parts["model"].latent_format)
    assert callable(shown[0].image)
    picture = shown[0].image()
    assert (picture.size, picture.getpixel((0, 0))) == ((3, 2), (128, 128, 128))
    assert previewer is not None
    assert previewer.decode_latent_to_preview(torch.zeros(1, 4, 2, 3)).tobytes() == picture.tobytes()


def test_a_latent_is_shown_in_the_colours_of_its_format() -> None:
    colours = type("Format", (), {"latent_rgb_factors": [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]})
    previewer = latent_preview.get_previewer("cpu", colours)
    assert previewer is not None
    name, image, side = previewer.decode_latent_to_preview_image("JPEG", torch.ones(1, 2, 3, 4))
    assert (name, image.size, image.getpixel((0, 0)), side) == ("JPEG", (4, 3), (255, 127, 0), 512)
    assert latent_preview.get_previewer("cpu", object()) is None
