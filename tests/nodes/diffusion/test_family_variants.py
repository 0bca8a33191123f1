"""Inpainting, editing, unCLIP and velocity variants of Stable Diffusion's families, and files that are broken."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.families.families import find_family, load_checkpoint, load_clip, load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel, Job, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling
from graphengine_nodes.diffusion.model.model_sampling_variants import ContinuousSampling
from graphengine_nodes.diffusion.text.text_encode import require_clip
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, open_checkpoint

from . import tiny_models
from .family_cases import TIMES, WRITERS, ask, blocks, noise, reference


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    folder = tmp_path_factory.mktemp("families")
    return {name: open_checkpoint(write(folder / f"{name}.safetensors")) for name, write in WRITERS.items()}


def test_an_inpainting_model_is_shown_mask_and_masked_picture(tmp_path: Path) -> None:
    path = tiny_models.sd1_checkpoint(tmp_path / "inpaint.safetensors", in_channels=9)
    model = load_model(open_checkpoint(path), "cpu")
    module = reference(
        open_checkpoint(path),
        heads=8,
        in_channels=9,
        block_out_channels=(32, 64, 96),
        layers_per_block=1,
        cross_attention_dim=64,
        **blocks(True, True, False),
    )
    x, context, latent = noise(1, 4, 8, 8), noise(1, 77, 64), noise(1, 4, 8, 8) + 1
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:4] = 1
    job = Job(tuple(x.shape), latent=latent, mask=mask)
    expected = module(torch.cat([x, mask, latent], dim=1), TIMES[:1], context).sample
    assert torch.allclose(ask(model, x, context, job), expected, atol=1e-5)
    given: dict[str, Any] = {"concat_mask": mask, "concat_latent_image": latent / 0.18215}
    assert torch.allclose(ask(model, x, context, **given), expected, atol=1e-5)


def test_an_inpainting_model_without_a_mask_paints_everything_over_grey(tmp_path: Path) -> None:
    path = tiny_models.sd1_checkpoint(tmp_path / "inpaint.safetensors", in_channels=9)
    model = load_model(open_checkpoint(path), "cpu")
    extras = model.network.extras({}, Job((2, 4, 8, 8), latent=noise(2, 4, 8, 8)))
    concat = extras.spatial["concat"]
    assert concat.shape == (2, 5, 8, 8)
    assert concat[1, :, 3, 4].tolist() == pytest.approx([1.0, 0.8223, -0.6876, 0.6364, 0.1380])


def test_masks_and_pictures_of_another_size_are_brought_to_the_latents(tmp_path: Path) -> None:
    path = tiny_models.sd1_checkpoint(tmp_path / "inpaint.safetensors", in_channels=9)
    model = load_model(open_checkpoint(path), "cpu")
    mask = torch.zeros(64, 64)
    mask[:, 32:] = 0.7
    options = {"concat_mask": mask, "concat_latent_image": torch.ones(1, 4, 4, 4)}
    concat = model.network.extras(options, Job((3, 4, 8, 8), latent_format=model.latent_format)).spatial["concat"]
    assert concat.shape == (3, 5, 8, 8)
    assert concat[2, 0, 0].tolist() == [0.0] * 4 + [1.0] * 4
    assert torch.allclose(concat[:, 1:], torch.full((3, 4, 8, 8), 0.18215))


def test_an_editing_model_is_shown_the_picture_on_the_scale_of_the_vae(tmp_path: Path) -> None:
    path = tiny_models.sd1_checkpoint(tmp_path / "edit.safetensors", in_channels=8)
    model = load_model(open_checkpoint(path), "cpu")
    picture, job = noise(1, 4, 8, 8), Job((2, 4, 8, 8))
    shown = model.network.extras({"concat_latent_image": picture}, job).spatial["concat"]
    assert torch.equal(shown, picture.expand(2, -1, -1, -1))
    assert model.network.extras({}, job).spatial["concat"].abs().sum() == 0
    x, context = noise(1, 4, 8, 8), noise(1, 77, 64)
    assert ask(model, x, context, concat_latent_image=picture).shape == x.shape


@pytest.mark.parametrize(("velocity", "prediction"), [(True, "v"), (False, "eps")])
def test_what_sd2_predicts_follows_from_the_spread_of_one_bias(
    velocity: bool, prediction: str, tmp_path: Path
) -> None:
    path = tiny_models.sd2_checkpoint(tmp_path / "sd2.safetensors", velocity=velocity)
    assert discrete(load_model(open_checkpoint(path), "cpu")).prediction == prediction


def discrete(model: DiffusionModel) -> DiscreteSampling:
    assert isinstance(model.sampling, DiscreteSampling)
    return model.sampling


@pytest.mark.parametrize(("marks", "last"), [(("v_pred",), 14.6146), (("v_pred", "ztsnr"), 4518.76)])
def test_sdxl_files_say_by_marks_that_they_predict_the_velocity(
    marks: tuple[str, ...], last: float, tmp_path: Path
) -> None:
    path = tiny_models.sdxl_checkpoint(tmp_path / "v.safetensors", {mark: torch.zeros(0) for mark in marks})
    sampling = discrete(load_model(open_checkpoint(path), "cpu"))
    assert sampling.prediction == "v"
    assert float(sampling.sigmas[-1]) == pytest.approx(last, rel=1e-4)


def test_sdxl_without_sizes_is_told_those_of_the_latent(checkpoints: dict[str, Checkpoint]) -> None:
    model = load_model(checkpoints["sdxl"], "cpu")
    pooled, job = noise(1, 128), Job((1, 4, 8, 16), latent_format=model.latent_format)
    given = {"width": 128, "height": 64, "target_width": 128, "target_height": 64, "crop_w": 0, "crop_h": 0}
    by_default = model.network.extras({"pooled_output": pooled}, job).values["y"]
    assert torch.equal(by_default, model.network.extras({"pooled_output": pooled, **given}, job).values["y"])
    with pytest.raises(ValueError, match="no pooled text state"):
        model.network.extras({}, job)


def test_text_of_another_family_is_named_before_anything_is_computed(checkpoints: dict[str, Checkpoint]) -> None:
    model = load_model(checkpoints["sdxl"], "cpu")
    with pytest.raises(ValueError, match="64 numbers per token, but the model takes 192"):
        ask(model, noise(1, 4, 8, 8), noise(1, 77, 64), pooled_output=noise(1, 128))


def test_a_pooled_state_of_another_family_is_named(checkpoints: dict[str, Checkpoint]) -> None:
    model = load_model(checkpoints["sdxl"], "cpu")
    with pytest.raises(ValueError, match="makes a vector of 1600 numbers, but the model takes 1664"):
        model.network.extras({"pooled_output": noise(1, 64)}, Job((1, 4, 8, 8)))


@pytest.mark.parametrize("channels", [8, 9])
def test_a_picture_of_another_vae_is_named(channels: int, tmp_path: Path) -> None:
    path = tiny_models.sd1_checkpoint(tmp_path / "edit.safetensors", in_channels=channels)
    model, job = load_model(open_checkpoint(path), "cpu"), Job((1, 4, 8, 8), mask=torch.ones(1, 1, 8, 8))
    with pytest.raises(ValueError, match="picture has 16 channels, but the model's has 4"):
        model.network.extras({"concat_latent_image": noise(1, 16, 8, 8)}, job)


def test_the_x4_upscaler_computes_what_diffusers_computes(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(tiny_models.upscaler_checkpoint(tmp_path / "x4.safetensors"))
    assert find_family(checkpoint).name == "sd_x4"
    model = load_model(checkpoint, "cpu")
    module = reference(
        checkpoint,
        heads=8,
        in_channels=7,
        out_channels=4,
        block_out_channels=(32, 64, 128),
        layers_per_block=1,
        cross_attention_dim=192,
        use_linear_projection=True,
        only_cross_attention=(True, True, False),
        num_class_embeds=1000,
        **blocks(False, True, True),
    )
    x, context, picture = noise(2, 4, 8, 8), noise(2, 77, 192), noise(1, 3, 8, 8)
    shown = picture.expand(2, -1, -1, -1)
    expected = module(torch.cat([x, shown], dim=1), TIMES, context, class_labels=torch.tensor([0, 0])).sample
    assert torch.allclose(ask(model, x, context, concat_image=picture), expected, atol=1e-5)
    patches = {"attn1_patch": [lambda n, context, value, options: (n, context, value)]}
    extra = {"concat": shown, "y": torch.zeros(2, 1)}
    hooked = NetworkCall(x, TIMES, context, extra, options={"patches": patches})
    assert torch.allclose(model.network(hooked), expected, atol=1e-5)
    assert discrete(model).prediction == "v"
    assert (model.latent_format.scale_factor, model.latent_format.downscale) == (0.08333, 4)


def test_the_x4_upscaler_is_told_how_much_noise_is_in_its_picture(tmp_path: Path) -> None:
    model = load_model(open_checkpoint(tiny_models.upscaler_checkpoint(tmp_path / "x4.safetensors")), "cpu")
    options = {"concat_image": torch.ones(1, 3, 4, 4), "noise_augmentation": 0.5}
    extras = model.network.extras(options, Job((2, 4, 8, 8), seed=14))
    assert extras.values["y"].tolist() == [[175.0]]
    drawn = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    signal = torch.cumprod(1 - torch.linspace(0.01, 0.02**0.5, 1000, dtype=torch.float64) ** 2, 0)[175].float()
    shown = extras.spatial["concat"]
    assert torch.allclose(shown[1:], signal.sqrt() + (1 - signal).sqrt() * drawn, atol=1e-5)
    assert model.network.extras({}, Job((2, 4, 8, 8))).spatial["concat"].abs().sum() == 0


class Seen:
    """A CLIP_VISION_OUTPUT of given embeddings."""

    def __init__(self, *embeddings: Tensor) -> None:
        self.image_embeds = torch.stack(embeddings)


def test_an_unclip_model_is_told_pictures_with_noise_of_a_level(tmp_path: Path) -> None:
    path = tiny_models.unclip_checkpoint(tmp_path / "unclip.safetensors")
    checkpoint = open_checkpoint(path)
    assert find_family(checkpoint).name == "sd2_unclip"
    model = load_model(checkpoint, "cpu")
    job = Job((1, 4, 8, 8), seed=14)
    embedding = torch.linspace(-1, 1, 64)
    clean = model.network.extras(
        {
            "unclip_conditioning": [
                {"clip_vision_output": Seen(embedding), "strength": 2.0, "noise_augmentation": 0.0}
            ]
        },
        job,
    ).values["y"]
    assert clean.shape == (1, 128)
    assert torch.allclose(clean[0, :64], embedding * 2, atol=0.15)  # the first level has little noise in it
    assert torch.allclose(clean[0, 64:96], torch.full((32,), 2.0))  # cosines of level 0
    noisy = {"clip_vision_output": Seen(embedding), "strength": 1.0, "noise_augmentation": 1.0}
    level = model.network.extras({"unclip_conditioning": [noisy]}, job).values["y"]
    drawn = torch.randn(1, 64, generator=torch.Generator().manual_seed(4))
    assert torch.allclose(level[:, :64], drawn * 0.5 + 0.25, atol=1e-2)  # all noise, on the scale of the data
    assert model.network.extras({}, job).values["y"].abs().sum() == 0
    x, context = noise(1, 4, 8, 8), noise(1, 77, 64)
    assert ask(model, x, context, job, unclip_conditioning=[noisy, noisy]).isfinite().all()


def test_a_picture_of_another_vision_model_is_refused(tmp_path: Path) -> None:
    model = load_model(open_checkpoint(tiny_models.unclip_checkpoint(tmp_path / "unclip.safetensors")), "cpu")
    entry = {"clip_vision_output": Seen(torch.zeros(80)), "strength": 1.0, "noise_augmentation": 0.0}
    with pytest.raises(ValueError, match="the picture's embedding has 80 numbers, but the model takes 64"):
        model.network.extras({"unclip_conditioning": [entry]}, Job((1, 4, 8, 8)))


def test_sdxl_takes_pictures_in_place_of_the_pooled_state(checkpoints: dict[str, Checkpoint]) -> None:
    model = load_model(checkpoints["sdxl"], "cpu")
    entry = {"clip_vision_output": Seen(torch.ones(128)), "strength": 0.5, "noise_augmentation": 0.0}
    job = Job((1, 4, 8, 8), latent_format=model.latent_format)
    options = {"pooled_output": noise(1, 128), "unclip_conditioning": [entry]}
    vector = model.network.extras(options, job).values["y"]
    assert vector.shape == (1, 128 + 6 * 256)
    assert torch.allclose(vector[:, :128], torch.full((1, 128), 0.5), atol=0.1)


def test_weights_of_eight_bits_are_computed_with_in_float32(tmp_path: Path) -> None:
    half = open_checkpoint(tiny_models.sd1_checkpoint(tmp_path / "half.safetensors"))
    tensors = {name: half.tensor(info).to(torch.float8_e4m3fn) for name, info in half.entries.items()}
    save_file(tensors, tmp_path / "eight.safetensors")
    save_file({name: tensor.float() for name, tensor in tensors.items()}, tmp_path / "full.safetensors")
    x, context = noise(1, 4, 8, 8), noise(1, 77, 64)
    eight, full = (open_checkpoint(tmp_path / f"{name}.safetensors") for name in ("eight", "full"))
    assert torch.equal(ask(load_model(eight, "cpu"), x, context), ask(load_model(full, "cpu"), x, context))
    clips = [require_clip(load_clip(checkpoint, "cpu")).encode("cat").states for checkpoint in (eight, full)]
    assert torch.equal(*clips)


@pytest.mark.parametrize("channels", [5, 7])
def test_a_unet_of_other_channels_is_refused_by_their_number(channels: int, tmp_path: Path) -> None:
    path = tiny_models.sd1_checkpoint(tmp_path / "odd.safetensors", in_channels=channels)
    with pytest.raises(ModelError, match=rf"'odd\.safetensors' has a UNet of {channels} input channels"):
        load_model(open_checkpoint(path), "cpu")


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_with_half_of_its_tensors_is_named(
    name: str, checkpoints: dict[str, Checkpoint], tmp_path: Path
) -> None:
    checkpoint = checkpoints[name]
    kept = sorted(checkpoint.entries)[: len(checkpoint.entries) // 2]
    save_file({key: checkpoint.tensor(checkpoint.entries[key]) for key in kept}, tmp_path / "half.safetensors")
    with pytest.raises(ModelError, match=r"model file 'half\.safetensors'"):
        load_checkpoint(open_checkpoint(tmp_path / "half.safetensors"), "cpu")


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("model.diffusion_model.middle_block.0.in_layers.2.bias", "mid_block.resnets.0.conv1.bias"),
        ("cond_stage_model.transformer.text_model.final_layer_norm.bias", "text_model.final_layer_norm.bias"),
    ],
)
def test_weights_that_are_no_numbers_are_named_with_their_file(lost: str, named: str, tmp_path: Path) -> None:
    whole = open_checkpoint(tiny_models.sd1_checkpoint(tmp_path / "whole.safetensors"))
    tensors = {name: whole.tensor(info).clone() for name, info in whole.entries.items()}
    tensors[lost][3] = float("nan")
    save_file(tensors, tmp_path / "broken.safetensors")
    model, clip, _ = load_checkpoint(open_checkpoint(tmp_path / "broken.safetensors"), "cpu")
    with pytest.raises(ModelError, match=r"'broken\.safetensors' is damaged") as error:
        ask(model, noise(1, 4, 8, 8), require_clip(clip).encode("cat").states)
    assert error.value.message.endswith(f"in {named}")


def test_a_result_that_is_no_number_is_left_to_the_sampler_when_the_weights_are_fine(tmp_path: Path) -> None:
    model = load_model(open_checkpoint(tiny_models.sd1_checkpoint(tmp_path / "sd1.safetensors")), "cpu")
    assert ask(model, noise(1, 4, 8, 8) * float("nan"), noise(1, 77, 64)).isnan().any()


def test_cosxl_predicts_the_velocity_at_the_levels_that_its_file_names(tmp_path: Path) -> None:
    marks = {"edm_vpred.sigma_max": torch.tensor(120.0), "edm_vpred.sigma_min": torch.tensor(0.01)}
    path = tiny_models.sdxl_checkpoint(tmp_path / "cosxl.safetensors", marks, in_channels=8)
    model = load_model(open_checkpoint(path), "cpu")
    assert isinstance(model.sampling, ContinuousSampling)
    assert model.sampling.prediction == "v"
    assert model.sampling.sigmas[[0, -1]].tolist() == pytest.approx([0.01, 120.0], rel=1e-5)
    picture, job = noise(1, 4, 8, 8), Job((1, 4, 8, 8), latent_format=model.latent_format)
    options = {"concat_latent_image": picture, "pooled_output": noise(1, 128)}
    assert torch.equal(model.network.extras(options, job).spatial["concat"], picture * 0.13025)


def test_playground_is_an_edm_model_with_latents_normalised_by_channel(tmp_path: Path) -> None:
    marks = {"edm_mean": torch.zeros(4), "edm_std": torch.ones(4)}
    model = load_model(open_checkpoint(tiny_models.sdxl_checkpoint(tmp_path / "p.safetensors", marks)), "cpu")
    assert isinstance(model.sampling, ContinuousSampling)
    assert (model.sampling.prediction, model.sampling.sigma_data) == ("edm", 0.5)
    latent = noise(1, 4, 2, 2)
    scaled = model.latent_format.process_in(latent)
    assert torch.allclose(scaled[0, 1], (latent[0, 1] - 1.886) * 0.5 / 5.9022)
    assert torch.allclose(model.latent_format.process_out(scaled), latent, atol=1e-5)
