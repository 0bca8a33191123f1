"""Guides of LTX-Video: where they stand in the latent and in time, and what the network makes of them."""

import json
import warnings
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.node.api import GraphEngineError, NodeContext
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel, Job, Latent, NetworkCall
from graphengine_nodes.diffusion.nodes.ltx_guide_nodes import LTXVAddGuide, LTXVCropGuides
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_dit, tiny_dit_others
from .diffusers_oracle import converted, module, randn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import LTXConditionPipeline, LTXPipeline

HEIGHT, WIDTH = 2, 3
TEXT: Conditioning = [(randn(1, 5, 48), {"frame_rate": 24.0})]


class Encoder:
    """A VAE of LTX-Video whose latent frames are numbered from 1 on."""

    latent_channels, downscale, frames = 128, 32, 8

    def encode(self, pixels: Tensor, check: Any) -> Tensor:
        assert pixels.shape[1:] == (HEIGHT * 32, WIDTH * 32, 3)
        frames = (len(pixels) - 1) // 8 + 1
        numbers = torch.arange(1.0, frames + 1).view(1, 1, -1, 1, 1)
        return numbers.expand(1, 128, -1, HEIGHT, WIDTH)


def empty(frames: int = 5) -> Latent:
    return {"samples": torch.zeros(1, 128, frames, HEIGHT, WIDTH)}


def guided(
    latent: Latent, pictures: int, frame: int, strength: float = 1.0, text: Conditioning = TEXT
) -> tuple[Conditioning, Conditioning, Latent]:
    encoder: Any = Encoder()
    return LTXVAddGuide().generate(
        positive=text,
        negative=text,
        vae=encoder,
        latent=latent,
        image=torch.rand(pictures, 20, 30, 3),
        frame_idx=frame,
        strength=strength,
        context=NodeContext(),
    )


def frames_told(conditioning: Conditioning) -> list[float]:
    """The frame of the video that each guide's latent frame begins with."""
    told: Tensor = conditioning[0][1]["keyframe_idxs"]
    return told[0, 0].reshape(-1, HEIGHT * WIDTH)[:, 0].tolist()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    path = tmp_path_factory.mktemp("ltx") / "m.safetensors"
    told = {"config": json.dumps({"transformer": {"causal_temporal_positioning": True}})}
    save_file(tiny_dit.random_weights(tiny_dit_others.ltx_video()), path, told)
    return load_model(open_checkpoint(path), "cpu")


def test_a_picture_stands_behind_the_video_and_knows_its_time() -> None:
    positive, negative, latent = guided(empty(), 1, 20, 0.75)
    assert latent["samples"].shape == (1, 128, 6, HEIGHT, WIDTH)
    assert latent["samples"][0, 0, :, 0, 0].tolist() == [0, 0, 0, 0, 0, 1]
    assert latent["noise_mask"][0, 0, :, 0, 0].tolist() == [1, 1, 1, 1, 1, 0.25]
    places = positive[0][1]["keyframe_idxs"]
    assert places.shape == (1, 3, HEIGHT * WIDTH)
    assert places[0].tolist() == [[20] * 6, [0, 0, 0, 32, 32, 32], [0, 32, 64, 0, 32, 64]]
    assert torch.equal(negative[0][1]["keyframe_idxs"], places)
    assert positive[0][1]["frame_rate"] == 24.0
    assert "keyframe_idxs" not in TEXT[0][1]


@pytest.mark.parametrize(("frame", "expected"), [(-1, 32), (-33, 0), (-9999, 0), (7, 7)])
def test_a_time_below_zero_counts_from_the_end(frame: int, expected: int) -> None:
    assert frames_told(guided(empty(), 1, frame)[0]) == [expected]


def test_of_a_longer_guide_two_latent_frames_stand_behind_and_the_rest_in_the_video() -> None:
    positive, _, latent = guided(empty(), 20, 13, 0.5)  # 17 pictures, from frame 8 on
    assert latent["samples"][0, 0, :, 0, 0].tolist() == [0, 0, 0, 3, 0, 1, 2]
    assert latent["noise_mask"][0, 0, :, 0, 0].tolist() == [1, 1, 1, 0.5, 1, 0.5, 0.5]
    assert frames_told(positive) == [8, 9]


def test_several_guides_are_added_and_cropped_together() -> None:
    start = empty()
    positive, _, latent = guided(start, 1, 0)
    positive, negative, latent = guided(latent, 1, -1, text=positive)
    assert frames_told(positive) == [0, 32]  # the end is that of the video, not of the guides
    assert latent["samples"].shape[2] == 7
    bare, other, cropped = LTXVCropGuides().crop(positive=positive, negative=negative, latent=latent)
    assert torch.equal(cropped["samples"], start["samples"])
    assert cropped["noise_mask"].shape == (1, 1, 5, HEIGHT, WIDTH)
    assert bare[0][1] == other[0][1] == {"frame_rate": 24.0}


def test_without_guides_there_is_nothing_to_crop() -> None:
    latent = empty()
    assert LTXVCropGuides().crop(positive=TEXT, negative=TEXT, latent=latent) == (TEXT, TEXT, latent)


@pytest.mark.parametrize(("pictures", "frame"), [(1, 33), (17, 24), (49, 0)])
def test_a_guide_beyond_the_video_is_refused(pictures: int, frame: int) -> None:
    with pytest.raises(GraphEngineError, match=f"frame_idx {frame} goes beyond the video of 33 frames"):
        guided(empty(), pictures, frame)


def test_guides_of_another_latent_are_refused(model: DiffusionModel) -> None:
    positive, _, latent = guided(empty(), 1, 0)
    other: Latent = {"samples": torch.zeros(1, 128, 5, 4, 5)}
    with pytest.raises(GraphEngineError, match="guides with 6 cells, which do not fit the latent of 5 frames"):
        LTXVCropGuides().crop(positive=positive, negative=positive, latent=other)
    with pytest.raises(ValueError, match="guides have 6 cells"):
        model.network.extras(positive[0][1], Job(tuple(other["samples"].shape)))
    with pytest.raises(GraphEngineError, match="guides are for videos"):
        guided({"samples": latent["samples"][:, :, 0]}, 1, 0)


@torch.no_grad()
def test_the_network_sees_guides_as_in_the_pipeline_of_diffusers(model: DiffusionModel) -> None:
    weights = tiny_dit.random_weights(tiny_dit_others.ltx_video())
    state = converted("convert_ltx_transformer_checkpoint_to_diffusers", weights)
    sizes = {"attention_head_dim": 2, "cross_attention_dim": 64, "num_layers": 2, "caption_channels": 48}
    reference = module("LTXVideoTransformer3DModel", state, **sizes)
    positive, _, latent = guided(empty(3), 9, 8, 0.75)
    x, cpu = randn(1, 128, 5, HEIGHT, WIDTH), torch.device("cpu")

    def places(frames: int, start: int) -> Tensor:
        ids = LTXConditionPipeline._prepare_video_ids(1, frames, HEIGHT, WIDTH, device=cpu)
        scaled: Tensor = LTXConditionPipeline._scale_video_ids(ids, 32, 8, start, device=cpu)
        return scaled.float()

    coordinates = torch.cat([places(3, 0), places(2, 8)], dim=2)
    coordinates[:, 0] /= 24.0
    times = torch.tensor([[700.0] * 18 + [175.0] * 12])
    tokens = reference(
        LTXPipeline._pack_latents(x), TEXT[0][0], times, torch.ones(1, 5), video_coords=coordinates
    ).sample
    expected = LTXPipeline._unpack_latents(tokens, 5, HEIGHT, WIDTH)
    job = Job(tuple(x.shape), mask=latent["noise_mask"])
    extras = model.network.extras(positive[0][1], job)
    call = NetworkCall(x, torch.tensor([0.7]), TEXT[0][0], {**extras.values, **extras.spatial})
    assert (model.network(call) - expected).abs().max() <= 1e-4 * expected.abs().max()


def sampled(model: DiffusionModel, positive: Conditioning, negative: Conditioning, latent: Latent) -> Latent:
    return sample(
        model,
        seed=1,
        steps=2,
        cfg=3.0,
        sampler_name="euler",
        scheduler="simple",
        positive=positive,
        negative=negative,
        latent=latent,
    )


def test_a_guide_that_is_kept_fully_comes_out_as_it_went_in(model: DiffusionModel) -> None:
    positive, negative, latent = guided(empty(3), 1, -1)
    result = sampled(model, positive, negative, latent)
    assert torch.allclose(result["samples"][:, :, -1], torch.ones(1, 128, HEIGHT, WIDTH), atol=1e-5)
    _, _, video = LTXVCropGuides().crop(positive=positive, negative=negative, latent=result)
    assert video["samples"].shape == (1, 128, 3, HEIGHT, WIDTH)
    assert video["samples"].isfinite().all()


def test_the_same_guide_at_another_time_gives_another_video(model: DiffusionModel) -> None:
    first, last = (sampled(model, *guided(empty(3), 1, frame))["samples"] for frame in (0, -1))
    assert not torch.allclose(first[:, :, :-1], last[:, :, :-1])
