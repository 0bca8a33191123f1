"""What inpainting and editing models are shown, with a VAE that only averages cells of 2 by 2 pixels."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphengine.errors import GraphEngineError, ModelError
from graphengine.node.api import NodeContext
from graphengine_nodes.diffusion.autoencoder import VAE
from graphengine_nodes.diffusion.conditioning_option_nodes import (
    InpaintModelConditioning,
    InstructPixToPixConditioning,
)
from graphengine_nodes.diffusion.model import Conditioning


class Averages(nn.Module):
    """(1, 3, H, W) → (1, 3, H / 2, W / 2)."""

    device, dtype = "cpu", torch.float32

    def ready(self) -> nn.Module:
        return self

    def make_room(self) -> int:
        return 0

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2)


VALUES = VAE(Averages(), Averages(), 3, 2)
SIDES: tuple[Conditioning, Conditioning] = (
    [(torch.zeros(1, 2, 3), {"kept": 1})],
    [(torch.ones(1, 2, 3), {"kept": 2})],
)


def pictures(batch: int = 1, height: int = 8, width: int = 8) -> Tensor:
    return torch.rand(batch, height, width, 3, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("noise_mask", [True, False])
def test_an_inpainting_model_sees_grey_under_the_mask(noise_mask: bool) -> None:
    x, mask = pictures(), torch.zeros(1, 8, 8)
    mask[:, 2:6, 4:8] = 0.8
    positive, negative, latent = InpaintModelConditioning().encode(
        *SIDES, x, VALUES, mask, noise_mask=noise_mask, context=NodeContext()
    )
    shown = VALUES.encode(x)
    grey = shown.clone()
    grey[..., 1:3, 2:4] = 0
    for conditioning, kept in ((positive, 1), (negative, 2)):
        options = conditioning[0][1]
        assert torch.allclose(options["concat_latent_image"], grey, atol=1e-6)
        assert torch.equal(options["concat_mask"], mask[:, None])
        assert options["kept"] == kept
    assert torch.equal(latent["samples"], shown)
    assert ("noise_mask" in latent) is noise_mask


def test_pictures_and_a_mask_of_other_sizes_are_fitted_and_cropped() -> None:
    x, mask = pictures(2, 9, 7), torch.ones(3, 5)
    positive, _, latent = InpaintModelConditioning().encode(*SIDES, x, VALUES, mask)
    assert positive[0][1]["concat_mask"].shape == (1, 1, 8, 6)
    assert torch.allclose(positive[0][1]["concat_latent_image"], torch.zeros(2, 3, 4, 3), atol=1e-6)
    assert latent["samples"].shape == (2, 3, 4, 3)


def test_an_editing_model_sees_the_picture_and_starts_from_nothing() -> None:
    x = pictures(1, 9, 8)
    positive, negative, latent = InstructPixToPixConditioning().encode(*SIDES, x, VALUES)
    assert torch.equal(positive[0][1]["concat_latent_image"], VALUES.encode(x))
    assert torch.equal(negative[0][1]["concat_latent_image"], VALUES.encode(x))
    assert torch.equal(latent["samples"], torch.zeros(1, 3, 4, 4))


def test_a_missing_vae_and_an_empty_mask_are_named() -> None:
    with pytest.raises(ModelError, match="the checkpoint holds no VAE"):
        InstructPixToPixConditioning().encode(*SIDES, pictures(), None)
    with pytest.raises(GraphEngineError, match=r"a mask has the shape \(B, H, W\), not \[0, 4\]"):
        InpaintModelConditioning().encode(*SIDES, pictures(), VALUES, torch.ones(0, 4))
