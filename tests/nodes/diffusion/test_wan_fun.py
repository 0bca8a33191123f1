"""Wan's Fun series: the rays of a camera, control videos and references, in the nodes and in the network."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from graphengine.node.api import GraphEngineError, NodeContext
from graphengine_nodes.diffusion.dit.latent_formats import WAN21
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel, Job, Latent, NetworkCall
from graphengine_nodes.diffusion.nodes.wan_fun_nodes import (
    Wan22FunControlToVideo,
    WanCameraEmbedding,
    WanCameraImageToVideo,
    WanFunControlToVideo,
    WanPhantomSubjectToVideo,
)
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.vae.vae import load_vae_file
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_dit, tiny_vae
from .diffusers_oracle import converted, module, randn
from .ldm_layout import Shapes

TEXT: Conditioning = [(randn(1, 5, 48), {})]
SIZE: dict[str, Any] = {"width": 32, "height": 16, "length": 9, "batch_size": 1, "context": NodeContext()}
SIDES: dict[str, Any] = {"positive": TEXT, "negative": TEXT}
PLAIN = {"num_attention_heads": 1, "text_dim": 48, "ffn_dim": 256, "num_layers": 2}
OWN = ("control_adapter.", "ref_conv.")


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> VAE:
    path = tmp_path_factory.mktemp("vae") / "wan.safetensors"
    return load_vae_file(open_checkpoint(tiny_dit.write(path, tiny_vae.wan())), "cpu")


def loaded(folder: Path, shapes: Shapes) -> DiffusionModel:
    return load_model(open_checkpoint(tiny_dit.write(folder / "m.safetensors", shapes)), "cpu")


def camera(pose: str, **more: Any) -> Tensor:
    sizes = {"width": 32, "height": 16, "length": 9, **more}
    embedding, *told = WanCameraEmbedding().run(camera_pose=pose, **sizes)
    assert told == [sizes["width"], sizes["height"], sizes["length"]]
    return embedding


def by_frame(embedding: Tensor) -> Tensor:
    """Moment and direction of every frame's rays, (frames, 6, H, W); the first frame stands four times."""
    return embedding[0].transpose(0, 1).reshape(-1, 6, *embedding.shape[-2:])


def test_a_camera_that_stands_still_sees_the_same_rays_through_one_point() -> None:
    frames = by_frame(camera("Static"))
    assert frames.shape == (12, 6, 16, 32)
    assert torch.equal(frames, frames[:1].expand_as(frames))
    assert not frames[:, :3].any()
    assert torch.allclose(frames[:, 3:].norm(dim=1), torch.ones(12, 16, 32))


def test_rays_lead_through_the_middle_of_each_pixel_of_a_picture_cut_from_16_by_9() -> None:
    x, y, z = by_frame(camera("Static"))[0, 3:, 2, 7]
    # a width of twice the height is wider than 16 : 9, so that the height was cut
    fx, fy = 0.5 * 32, 32 / (1280 / 720) * 0.5
    assert float(x / z) == pytest.approx((7.5 - 16) / fx)
    assert float(y / z) == pytest.approx((2.5 - 8) / fy)
    x, y, z = by_frame(camera("Static", width=16, height=32, fx=0.25, cy=0.75))[0, 3:, 2, 7]
    assert float(x / z) == pytest.approx((7.5 - 8) / (0.25 * 32 * 1280 / 720))
    assert float(y / z) == pytest.approx((2.5 - 24) / 16)


@pytest.mark.parametrize(
    ("pose", "place"),
    [
        ("Pan Up", (0, -1.5, 0)),
        ("Pan Down", (0, 1.5, 0)),
        ("Pan Left", (-1.5, 0, 0)),
        ("Pan Right", (1.5, 0, 0)),
        ("Zoom In", (0, 0, 3)),
        ("Zoom Out", (0, 0, -3)),
    ],
)
def test_a_camera_moves_where_its_pose_says(pose: str, place: tuple[float, float, float]) -> None:
    frames = by_frame(camera(pose, speed=2.0))
    assert torch.equal(frames[0], frames[3])  # the first frame stands for four
    last, origin = frames[-1], torch.tensor(place) * 8 / 9 * 2.0
    moment = torch.linalg.cross(origin[:, None, None].expand_as(last[3:]), last[3:], dim=0)
    assert torch.allclose(last[:3], moment, atol=1e-5)
    assert torch.allclose(last[3:], frames[0, 3:], atol=1e-6)


@pytest.mark.parametrize(("pose", "sign"), [("Anti Clockwise (ACW)", -1), ("ClockWise (CW)", 1)])
def test_a_camera_turns_around_its_view(pose: str, sign: int) -> None:
    first, last = by_frame(camera(pose))[[0, -1], 3:]
    angle = sign * 8 / 9 * math.pi / 3
    turned = math.cos(angle) * first[0] - math.sin(angle) * first[1]
    assert torch.allclose(last[0], turned, atol=1e-6)
    assert torch.allclose(last[2], first[2], atol=1e-6)


def test_a_lens_without_focal_length_is_refused() -> None:
    with pytest.raises(GraphEngineError, match=r"'fx' and 'fy' are 0 and 0\.5"):
        camera("Static", fx=0.0)


def test_a_camera_and_a_first_picture_condition_a_video(vae: VAE, tmp_path: Path) -> None:
    rays, start = camera("Zoom In"), torch.rand(1, 16, 32, 3)
    positive, negative, latent = WanCameraImageToVideo().encode(
        **SIDES, **SIZE, vae=vae, start_image=start, camera_conditions=rays
    )
    told = positive[0][1]
    assert told["camera_conditions"] is rays is negative[0][1]["camera_conditions"]
    assert torch.allclose(told["concat_latent_image"][:, :, :1], vae.encode(start))
    assert WAN21.process_in(told["concat_latent_image"][:, :, 1:]).abs().max() < 1e-6
    assert told["concat_mask"][0, :, :, 0, 0].T.tolist() == [[0] * 4, [1] * 4, [1] * 4]
    assert latent["samples"].shape == (1, 16, 3, 2, 4)
    result = sampled(loaded(tmp_path, tiny_dit.wan(channels=32) | tiny_dit.wan_camera()), positive, latent)
    other = sampled(loaded(tmp_path, tiny_dit.wan(channels=32) | tiny_dit.wan_camera()), TEXT, latent)
    assert result.isfinite().all()
    assert not torch.allclose(result, other)


def sampled(model: DiffusionModel, text: Conditioning, latent: Latent) -> Tensor:
    return sample(
        model,
        seed=1,
        steps=1,
        cfg=1.0,
        sampler_name="euler",
        scheduler="simple",
        positive=text,
        negative=text,
        latent=latent,
    )["samples"]


def test_a_control_video_stands_before_the_pictures_that_a_video_begins_with(vae: VAE) -> None:
    control, start = torch.rand(5, 16, 32, 3), torch.rand(1, 16, 32, 3)
    positive, _, _ = WanFunControlToVideo().encode(
        **SIDES, **SIZE, vae=vae, control_video=control, start_image=start
    )
    shown = positive[0][1]["concat_latent_image"]
    assert shown.shape == (1, 32, 3, 2, 4)
    assert torch.allclose(shown[:, :16, :2], vae.encode(control))
    assert torch.allclose(shown[:, 16:, :1], vae.encode(start))


def test_a_reference_goes_with_a_control_video(vae: VAE, tmp_path: Path) -> None:
    picture, control = torch.rand(2, 16, 32, 3), torch.rand(9, 16, 32, 3)
    node, given = Wan22FunControlToVideo(), {**SIDES, **SIZE, "vae": vae, "control_video": control}
    positive, negative, latent = node.encode(**given, ref_image=picture)
    alone, _, _ = node.encode(**given)
    assert torch.equal(positive[0][1]["reference_latents"][0], vae.encode(picture[:1]))
    assert "reference_latents" in negative[0][1]
    assert "reference_latents" not in alone[0][1]
    model = loaded(tmp_path, tiny_dit.wan(channels=52) | tiny_dit.linear("ref_conv", 128, 16, 2, 2))
    with_picture, without = (sampled(model, text, latent) for text in (positive, alone))
    assert with_picture.isfinite().all()
    assert not torch.allclose(with_picture, without)


def answered(model: DiffusionModel, x: Tensor, options: dict[str, Any]) -> Tensor:
    """What the network gives at a time of 700."""
    extras = model.network.extras(options, Job(tuple(x.shape), latent_format=model.latent_format))
    call = NetworkCall(x, torch.tensor([700.0]), TEXT[0][0], {**extras.values, **extras.spatial})
    return model.network(call)


def plain(weights: dict[str, Tensor], channels: int) -> Any:
    """diffusers' module without what the Fun series has beside."""
    own = {name: value for name, value in weights.items() if not name.startswith(OWN)}
    state = converted("convert_wan_transformer_to_diffusers", own)
    return module("WanTransformer3DModel", state, in_channels=channels, **PLAIN)


@torch.no_grad()
def test_rays_are_added_to_the_patches_as_in_videox_fun(tmp_path: Path) -> None:
    shapes = tiny_dit.wan(channels=36) | tiny_dit.wan_camera()
    weights, x = tiny_dit.random_weights(shapes), randn(1, 16, 3, 2, 4)
    picture, rays = randn(1, 16, 3, 2, 4, seed=5), randn(1, 24, 3, 16, 32, seed=6)

    def adapter(name: str, states: Tensor, **more: Any) -> Tensor:
        name = f"control_adapter.{name}"
        return F.conv2d(states, weights[f"{name}.weight"], weights[f"{name}.bias"], **more)

    states = adapter("conv", F.pixel_unshuffle(rays[0].transpose(0, 1), 8), stride=2)
    inner = adapter("residual_blocks.0.conv1", states, padding=1).relu()
    states = states + adapter("residual_blocks.0.conv2", inner, padding=1)
    reference = plain(weights, 36)
    reference.patch_embedding.register_forward_hook(lambda *given: given[2] + states.transpose(0, 1)[None])
    shown = torch.cat([x, torch.zeros(1, 4, 3, 2, 4), WAN21.process_in(picture)], dim=1)
    expected = reference(shown, torch.tensor([700.0]), TEXT[0][0]).sample
    ours = answered(loaded(tmp_path, shapes), x, {"concat_latent_image": picture, "camera_conditions": rays})
    assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()


@torch.no_grad()
def test_a_reference_is_a_frame_before_the_video_as_in_videox_fun(tmp_path: Path) -> None:
    shapes = tiny_dit.wan(channels=52) | tiny_dit.linear("ref_conv", 128, 16, 2, 2)
    weights, x = tiny_dit.random_weights(shapes), randn(1, 16, 3, 2, 4)
    shown, picture = randn(1, 32, 3, 2, 4, seed=5), randn(1, 16, 1, 2, 4, seed=6)
    control, start = (WAN21.process_in(part) for part in shown.chunk(2, dim=1))
    first = F.conv2d(
        WAN21.process_in(picture)[:, :, 0], weights["ref_conv.weight"], weights["ref_conv.bias"], stride=2
    )
    reference = plain(weights, 52)
    # the module counts frames by its input: one more goes in, whose patches the picture replaces
    reference.patch_embedding.register_forward_hook(
        lambda *given: torch.cat([first[:, :, None], given[2][:, :, 1:]], dim=2)
    )
    seen = torch.cat([x, control, torch.zeros(1, 4, 3, 2, 4), start], dim=1)
    seen = torch.cat([torch.zeros(1, 52, 1, 2, 4), seen], dim=2)
    expected = reference(seen, torch.tensor([700.0]), TEXT[0][0]).sample[:, :, 1:]
    options = {"concat_latent_image": shown, "reference_latents": [randn(1, 16, 1, 2, 4), picture]}
    ours = answered(loaded(tmp_path, shapes), x, options)
    assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_a_camera_or_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    model = loaded(tmp_path, tiny_dit.wan(channels=32) | tiny_dit.wan_camera())
    x = randn(1, 16, 3, 2, 4)
    with pytest.raises(ValueError, match="3 latent frames of 48x16 pixels, the latent has 3 of 32x16"):
        answered(model, x, {"camera_conditions": camera("Static", width=48)})
    with pytest.raises(ValueError, match="shows 32 channels beside the latent, but the model takes 16"):
        answered(model, x, {"concat_latent_image": randn(1, 32, 3, 2, 4)})


def test_subjects_are_shown_to_both_sides_and_taken_from_a_third(vae: VAE) -> None:
    pictures, node = torch.rand(2, 16, 32, 3), WanPhantomSubjectToVideo()
    positive, text, both, latent = node.encode(**SIDES, **SIZE, vae=vae, images=pictures)
    subjects = positive[0][1]["time_dim_concat"]
    assert torch.equal(subjects, torch.cat([vae.encode(picture[None]) for picture in pictures], dim=2))
    assert text[0][1]["time_dim_concat"] is subjects
    assert WAN21.process_in(both[0][1]["time_dim_concat"]).abs().max() < 1e-6
    assert latent["samples"].shape == (1, 16, 3, 2, 4)
    assert node.encode(**SIDES, **SIZE, vae=vae)[:3] == (TEXT, TEXT, TEXT)


@torch.no_grad()
def test_subjects_are_frames_behind_the_video(tmp_path: Path) -> None:
    shapes, x, subjects = tiny_dit.wan(), randn(1, 16, 3, 2, 4), randn(1, 16, 2, 2, 4, seed=5)
    seen = torch.cat([x, WAN21.process_in(subjects)], dim=2)
    module_of_diffusers = plain(tiny_dit.random_weights(shapes), 16)
    expected = module_of_diffusers(seen, torch.tensor([700.0]), TEXT[0][0]).sample[:, :, :3]
    ours = answered(loaded(tmp_path, shapes), x, {"time_dim_concat": subjects})
    assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()
