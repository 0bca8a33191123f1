import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.conditioning.vision_conditioning import camera, with_picture
from graphengine_nodes.diffusion.model.model import DiffusionModel, LatentFormat, NetworkCall, PlainNetwork
from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling
from graphengine_nodes.diffusion.nodes.vision_conditioning_nodes import (
    StableZero123_Conditioning,
    StableZero123_Conditioning_Batched,
    SV3D_Conditioning,
    SVD_img2vid_Conditioning,
)
from graphengine_nodes.diffusion.unet.zero123 import with_camera
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.vision.vision import ClipVision, VisionOutput
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

TEXT = torch.zeros(1, 2, 3)
EMBEDDING = torch.tensor([[1.0, 2.0, 3.0]])
IMAGE = torch.rand(1, 16, 48, 3, generator=torch.Generator().manual_seed(1))


@dataclass
class Eyes:
    """An image encoder that sees the same in every picture."""

    def encode_image(self, image: Tensor, crop: bool = True) -> VisionOutput:
        return VisionOutput(image_embeds=EMBEDDING.expand(len(image), -1))


@dataclass
class Means:
    """A VAE whose latents are the means of squares of 8 x 8 pixels, with a fourth channel of ones."""

    def encode(self, pixels: Tensor) -> Tensor:
        means = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8)
        return torch.cat([means, torch.ones_like(means[:, :1])], dim=1)


VISION, DECODER = cast("ClipVision", Eyes()), cast("VAE", Means())


def test_pictures_of_unclip_models_are_listed_in_order() -> None:
    first, second = VisionOutput(), VisionOutput()
    once = with_picture([(TEXT, {"guidance": 2})], first, 0.5, 0.1)
    twice = with_picture(once, second, -1.0, 0.2)
    entries = twice[0][1]["unclip_conditioning"]
    assert [(e["clip_vision_output"], e["strength"], e["noise_augmentation"]) for e in entries] == [
        (first, 0.5, 0.1),
        (second, -1.0, 0.2),
    ]
    assert len(once[0][1]["unclip_conditioning"]) == 1
    assert with_picture(once, second, 0.0, 0.2) is once


def video(**changes: Any) -> Any:
    inputs = {
        "clip_vision": VISION,
        "init_image": IMAGE,
        "vae": DECODER,
        "width": 32,
        "height": 16,
        "video_frames": 3,
        "motion_bucket_id": 127,
        "fps": 6,
        "augmentation_level": 0.0,
    }
    return SVD_img2vid_Conditioning().encode(**cast("Any", {**inputs, **changes}))


def test_a_video_begins_with_the_picture() -> None:
    positive, negative, latent = video()
    assert torch.equal(positive[0][0], EMBEDDING[None])
    assert torch.equal(negative[0][0], torch.zeros(1, 1, 3))
    options = positive[0][1]
    assert (options["motion_bucket_id"], options["fps"], options["augmentation_level"]) == (127, 6, 0.0)
    # the middle of the wide picture, whose size needs no scaling
    expected = torch.nn.functional.avg_pool2d(IMAGE[:, :, 8:40].movedim(-1, 1), 8)
    torch.testing.assert_close(options["concat_latent_image"][:, :3], expected)
    assert not negative[0][1]["concat_latent_image"].any()
    assert latent["samples"].shape == (3, 4, 2, 4)


def test_noise_in_the_picture_is_the_same_at_each_run() -> None:
    clean, noisy, again = (
        video(augmentation_level=level)[0][0][1]["concat_latent_image"] for level in (0.0, 0.5, 0.5)
    )
    assert torch.equal(noisy, again)
    assert not torch.allclose(clean, noisy)


def test_views_of_an_orbit_go_all_around() -> None:
    positive, negative, latent = SV3D_Conditioning().encode(VISION, IMAGE, DECODER, 16, 16, 5, 10.0)
    assert positive[0][1]["azimuth"] == [0.0, 90.0, 180.0, 270.0, 360.0]
    assert negative[0][1]["elevation"] == [10.0] * 5
    assert latent["samples"].shape == (5, 4, 2, 2)
    assert SV3D_Conditioning().encode(VISION, IMAGE, DECODER, 16, 16, 1, 0.0)[0][0][1]["azimuth"] == [0.0]


def test_a_camera_is_told_as_angles_to_that_of_the_picture() -> None:
    expected = torch.tensor([[[-math.radians(30), 1.0, 0.0, math.pi / 2]]])
    torch.testing.assert_close(camera(30.0, 90.0), expected, rtol=1e-6, atol=1e-6)


def test_the_camera_stands_behind_what_was_seen() -> None:
    positive, negative, latent = StableZero123_Conditioning().encode(VISION, IMAGE, DECODER, 16, 16, 2, 0.0, 90.0)
    assert positive[0][0].shape == (1, 1, 7)
    assert torch.equal(positive[0][0][..., :3], EMBEDDING[None])
    torch.testing.assert_close(positive[0][0][..., 3:], camera(0.0, 90.0))
    assert negative[0][0].shape == (1, 1, 3)
    assert latent["samples"].shape == (2, 4, 2, 2)


def test_each_view_of_a_batch_has_a_camera_of_its_own_and_the_same_noise() -> None:
    positive, _, latent = StableZero123_Conditioning_Batched().encode(
        VISION, IMAGE, DECODER, 16, 16, 3, 10.0, 20.0, 1.0, -5.0
    )
    assert positive[0][0].shape == (3, 1, 7)
    torch.testing.assert_close(positive[0][0][2:, :, 3:], camera(12.0, 10.0))
    assert latent["batch_index"] == [0, 0, 0]


def camera_model(folder: Path, tensors: dict[str, Tensor], seen: list[Tensor]) -> DiffusionModel:
    def remember(call: NetworkCall) -> Tensor:
        seen.append(call.context)
        return call.x

    save_file(tensors, folder / "zero123.safetensors")
    model = DiffusionModel(PlainNetwork(remember), DiscreteSampling.linear(), LatentFormat())
    return with_camera(model, open_checkpoint(folder / "zero123.safetensors"))


def test_the_camera_becomes_text_states_by_a_layer_of_the_checkpoint(tmp_path: Path) -> None:
    weight, bias, seen = torch.randn(3, 7), torch.randn(3), list[Tensor]()
    model = camera_model(tmp_path, {"cc_projection.weight": weight, "cc_projection.bias": bias}, seen)
    context = torch.randn(1, 1, 7)
    for given in (context, torch.zeros(1, 1, 3)):
        model.network(NetworkCall(torch.zeros(1, 4, 2, 2), torch.zeros(1), given))
    torch.testing.assert_close(seen[0], context @ weight.T + bias)
    assert torch.equal(seen[1], torch.zeros(1, 1, 3))


def test_a_layer_without_its_bias_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'zero123\.safetensors' holds an incomplete layer 'cc_projection'"):
        camera_model(tmp_path, {"cc_projection.weight": torch.zeros(3, 7)}, [])
    plain = camera_model(tmp_path, {"other": torch.zeros(1)}, [])
    assert isinstance(plain.network, PlainNetwork)
