"""Latents and conditionings of videos from pictures, and what the models make of them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine.node.api import ModelError, NodeContext
from graphengine_nodes.diffusion.conditioning.video_conditioning import joined_vision, ltx_latent, ltx_size
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import Conditioning, Job, Latent, NetworkCall
from graphengine_nodes.diffusion.nodes.video_conditioning_nodes import (
    LTXVConditioning,
    LTXVImgToVideo,
    Wan22ImageToVideoLatent,
    WanFirstLastFrameToVideo,
    WanFunInpaintToVideo,
    WanImageToVideo,
)
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.vae.vae import load_vae_file
from graphengine_nodes.diffusion.vision.vision import VisionOutput
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_dit, tiny_dit_others, tiny_vae
from .diffusers_oracle import converted, module, randn
from .ldm_layout import Shapes

CONDITIONING: Conditioning = [(randn(1, 5, 48), {})]
CONTEXT = NodeContext()
SIZE: dict[str, Any] = {"width": 32, "height": 16, "length": 9, "batch_size": 1, "context": CONTEXT}
SIDES: dict[str, Any] = {"positive": CONDITIONING, "negative": CONDITIONING}


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> VAE:
    path = tmp_path_factory.mktemp("vae") / "wan.safetensors"
    return load_vae_file(open_checkpoint(tiny_dit.write(path, tiny_vae.wan())), "cpu")


def options(conditioning: Conditioning) -> dict[str, Any]:
    return dict(conditioning[0][1])


def run(folder: Path, shapes: Shapes, conditioning: Conditioning, latent: Latent) -> Tensor:
    model = load_model(open_checkpoint(tiny_dit.write(folder / "m.safetensors", shapes)), "cpu")
    return sample(
        model,
        seed=1,
        steps=2,
        cfg=1.0,
        sampler_name="euler",
        scheduler="simple",
        positive=conditioning,
        negative=conditioning,
        latent=latent,
    )["samples"]


def test_wan_begins_with_the_pictures_that_it_is_given(vae: VAE, tmp_path: Path) -> None:
    start = torch.rand(1, 40, 40, 3)
    positive, negative, latent = WanImageToVideo().encode(**SIDES, **SIZE, vae=vae, start_image=start)
    given = options(positive)
    assert latent["samples"].shape == (1, 16, 3, 2, 4)
    assert given["concat_latent_image"].shape == (1, 16, 3, 2, 4)
    assert given["concat_mask"][0, 0, :, 0, 0].tolist() == [0.0, 1.0, 1.0]
    assert options(negative).keys() == given.keys()
    result = run(tmp_path, tiny_dit.wan(channels=36), positive, latent)
    assert result.shape == (1, 16, 3, 2, 4)
    assert result.isfinite().all()


def test_a_vae_of_another_family_is_refused_before_it_encodes() -> None:
    class Pictures:
        """A VAE of Stable Diffusion."""

        latent_channels, downscale, frames = 4, 8, None

        def encode(self, pixels: Tensor, check: Any) -> Tensor:
            raise AssertionError("it encodes")

    vae: Any = Pictures()
    start = torch.rand(1, 40, 40, 3)
    with pytest.raises(ModelError, match=r"encodes pictures to latents of 4 channels.*needs 16 channels"):
        WanImageToVideo().encode(**SIDES, **SIZE, vae=vae, start_image=start)
    with pytest.raises(ModelError, match="needs 128 channels, 32 pixels and 8 frames"):
        ltx_latent(vae, ltx_size(96, 64, 17), 1, start, 1.0, lambda: None)


def test_without_pictures_wan_is_conditioned_on_the_text_alone(vae: VAE) -> None:
    positive, _, latent = WanImageToVideo().encode(**SIDES, **SIZE, vae=vae)
    assert options(positive) == {}
    assert not latent["samples"].any()


def test_wan_begins_and_ends_with_pictures(vae: VAE) -> None:
    pictures: dict[str, Any] = {"start_image": torch.rand(1, 16, 32, 3), "end_image": torch.rand(2, 16, 32, 3)}
    first = VisionOutput(penultimate_hidden_states=torch.ones(1, 3, 4))
    positive, _, _ = WanFirstLastFrameToVideo().encode(
        **SIDES, **SIZE, vae=vae, **pictures, clip_vision_start_image=first, clip_vision_end_image=first
    )
    mask = options(positive)["concat_mask"]
    assert mask.shape == (1, 4, 3, 2, 4)
    # a cell of the latent is four frames; the first one stands for one frame, four times
    assert mask[0, :, :, 0, 0].T.tolist() == [[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]]
    assert options(positive)["clip_vision_output"].penultimate_hidden_states.shape == (1, 6, 4)
    again, _, _ = WanFunInpaintToVideo().encode(**SIDES, **SIZE, vae=vae, **pictures, clip_vision_output=first)
    assert torch.equal(options(again)["concat_latent_image"], options(positive)["concat_latent_image"])
    assert options(again)["clip_vision_output"] is first
    assert joined_vision(None, first) is first


def test_the_mask_of_four_frames_reaches_wan_turned_round(tmp_path: Path) -> None:
    shapes = tiny_dit.wan(channels=36)
    model = load_model(open_checkpoint(tiny_dit.write(tmp_path / "m.safetensors", shapes)), "cpu")
    mask = torch.ones(1, 4, 3, 2, 4)
    mask[:, :, 0] = 0
    mask[:, 2:, 2] = 0
    job = Job((1, 16, 3, 2, 4), latent_format=model.latent_format)
    given = {"concat_latent_image": randn(1, 16, 3, 2, 4), "concat_mask": mask}
    concat = model.network.extras(given, job).spatial["concat"]
    assert concat.shape == (1, 20, 3, 2, 4)
    assert concat[0, :4, :, 0, 0].T.tolist() == [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1]]


def test_wan22_keeps_its_first_frame_and_is_told_so(tmp_path: Path) -> None:
    path = tiny_dit.write(tmp_path / "vae.safetensors", tiny_vae.wan(48, residual=True))
    small = load_vae_file(open_checkpoint(path), "cpu")
    start = torch.rand(1, 32, 32, 3)
    size = {**SIZE, "width": 32, "height": 32}
    (latent,) = Wan22ImageToVideoLatent().encode(**size, vae=small, start_image=start)
    (empty,) = Wan22ImageToVideoLatent().encode(**size, vae=small)
    assert latent["samples"].shape == empty["samples"].shape == (1, 48, 3, 2, 2)
    assert latent["noise_mask"][0, 0, :, 0, 0].tolist() == [0.0, 1.0, 1.0]
    assert torch.allclose(latent["samples"][:, :, :1], small.encode(start))
    result = run(tmp_path, tiny_dit.wan(channels=48, out=48), CONDITIONING, latent)
    assert torch.allclose(result[:, :, 0], latent["samples"][:, :, 0], atol=1e-5)
    assert not torch.allclose(result[:, :, 1], latent["samples"][:, :, 1])


@torch.no_grad()
def test_wan22_is_told_a_time_of_zero_for_frames_that_are_kept(tmp_path: Path) -> None:
    shapes = tiny_dit.wan(channels=48, out=48)
    model = load_model(open_checkpoint(tiny_dit.write(tmp_path / "m.safetensors", shapes)), "cpu")
    state = converted("convert_wan_transformer_to_diffusers", tiny_dit.random_weights(shapes))
    sizes = {"num_attention_heads": 1, "in_channels": 48, "out_channels": 48, "text_dim": 48, "ffn_dim": 256}
    reference = module("WanTransformer3DModel", state, **sizes, num_layers=2)
    x, context = randn(1, 48, 3, 4, 4), randn(1, 7, 48, seed=9)
    mask = torch.ones(1, 1, 3, 4, 4)
    mask[:, :, 0] = 0
    times = torch.tensor([[0.0] * 4 + [700.0] * 8])
    expected = reference(x, times, context).sample
    job = Job(tuple(x.shape), latent_format=model.latent_format, mask=mask)
    extra = model.network.extras({}, job).spatial
    ours = model.network(NetworkCall(x, torch.tensor([700.0]), context, extra))
    assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_ltx_video_begins_with_a_picture(tmp_path: Path) -> None:
    class Encoder:
        """A VAE of LTX-Video that gives ones."""

        latent_channels, downscale, frames = 128, 32, 8

        def encode(self, pixels: Tensor, check: Any) -> Tensor:
            assert pixels.shape == (1, 64, 96, 3)
            return torch.ones(1, 128, 1, 2, 3)

    size: dict[str, Any] = {
        "width": 96,
        "height": 64,
        "length": 17,
        "batch_size": 1,
        "strength": 0.75,
        "context": CONTEXT,
    }
    encoder: Any = Encoder()
    positive, _, latent = LTXVImgToVideo().encode(**SIDES, **size, vae=encoder, image=torch.rand(1, 40, 40, 3))
    assert latent["samples"].shape == (1, 128, 3, 2, 3)
    assert latent["noise_mask"].flatten().tolist() == [0.25, 1.0, 1.0]
    timed, _ = LTXVConditioning().append(positive=positive, negative=positive, frame_rate=24.0)
    assert options(timed)["frame_rate"] == 24.0
    result = run(tmp_path, tiny_dit_others.ltx_video(), timed, latent)
    assert result.isfinite().all()
