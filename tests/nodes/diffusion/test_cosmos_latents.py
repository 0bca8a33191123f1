"""Pictures at the ends of a video, with a VAE that keeps one value of each cell."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphengine.errors import GraphEngineError
from graphengine_nodes.diffusion.dit.latent_formats import WAN21
from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.diffusion.nodes.conditioning_option_nodes import CosmosPredict2ImageToVideoLatent
from graphengine_nodes.diffusion.vae.autoencoder import VAE


class Means(nn.Module):
    """Videos (1, 3, T, H, W) → (1, 16, t, H / 8, W / 8), the mean of each cell in each fourth frame."""

    device, dtype = "cpu", torch.float32

    def ready(self) -> nn.Module:
        return self

    def make_room(self) -> int:
        return 0

    def forward(self, x: Tensor) -> Tensor:
        cells = F.avg_pool3d(x[:, :1, ::4], (1, 8, 8))
        return cells.repeat(1, 16, 1, 1, 1)


VIDEO = VAE(Means(), Means(), 16, 8, frames=4)


def made(start_image: Tensor | None = None, end_image: Tensor | None = None) -> Latent:
    (latent,) = CosmosPredict2ImageToVideoLatent().encode(VIDEO, 32, 16, 17, 2, start_image, end_image)
    return latent


def test_without_pictures_the_video_is_empty() -> None:
    latent = made()
    assert torch.equal(latent["samples"], torch.zeros(2, 16, 5, 2, 4))
    assert "noise_mask" not in latent


def test_pictures_stand_at_the_ends_and_are_kept() -> None:
    latent = made(start_image=torch.full((1, 30, 60, 3), 0.75), end_image=torch.full((5, 16, 32, 4), 0.25))
    samples, mask = latent["samples"], latent["noise_mask"]
    assert samples.shape == (2, 16, 5, 2, 4)
    assert mask[1, 0, :, 0, 0].tolist() == [0, 1, 1, 0, 0]
    assert torch.allclose(samples[:, :, 0], torch.full((2, 16, 2, 4), 0.5))
    assert torch.allclose(samples[:, :, 3:], torch.full((2, 16, 2, 2, 4), -0.5))
    # What is sampled is empty for the model.
    assert torch.allclose(WAN21.process_in(samples)[:, :, 1:3], torch.zeros(2, 16, 2, 2, 4), atol=1e-6)


def test_more_frames_than_the_video_has_are_cut() -> None:
    assert made(start_image=torch.ones(40, 16, 32, 3))["samples"].shape == (2, 16, 5, 2, 4)


def test_another_vae_is_named() -> None:
    other = VAE(Means(), Means(), 4, 8)
    with pytest.raises(GraphEngineError, match="input 'vae' makes latents of 4 channels"):
        CosmosPredict2ImageToVideoLatent().encode(other, 32, 16, 17, 1, torch.ones(1, 16, 32, 3))
