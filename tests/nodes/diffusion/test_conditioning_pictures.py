"""What inpainting and editing models are shown, with a VAE that only averages cells of 2 by 2 pixels."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphengine.errors import GraphEngineError, ModelError
from graphengine.node.api import NodeContext
from graphengine_nodes.diffusion.model.model import Conditioning, Latent
from graphengine_nodes.diffusion.nodes.conditioning_option_nodes import (
    InpaintModelConditioning,
    InstructPixToPixConditioning,
    ReferenceMultiLatent,
    StableCascade_StageB_Conditioning,
)
from graphengine_nodes.diffusion.vae.autoencoder import VAE


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


def test_several_reference_pictures_are_encoded_in_their_order() -> None:
    images = {"image10": pictures(1, 4, 4), "image0": pictures(1, 8, 8), "image2": pictures(1, 6, 4)}
    keep = {"resolution": "keep resolution"}
    positive, negative, latent = ReferenceMultiLatent().append(SIDES[0], keep, SIDES[1], VALUES, images)
    for side in (positive, negative):
        shapes = [tuple(reference.shape[2:]) for reference in side[0][1]["reference_latents"]]
        assert shapes == [(4, 4), (3, 2), (2, 2)]
    assert torch.equal(positive[0][1]["reference_latents"][0], VALUES.encode(images["image0"]))
    assert torch.equal(latent["samples"], torch.zeros(1, 3, 4, 4))


def test_reference_pictures_are_brought_to_a_size() -> None:
    resize = {"resolution": "resize", "megapixels": 0.01}
    positive, negative, latent = ReferenceMultiLatent().append(
        SIDES[0], resize, vae=VALUES, images={"image0": pictures(1, 8, 8)}
    )
    assert positive[0][1]["reference_latents"][0].shape == (1, 3, 51, 51)
    assert negative == positive
    assert latent["samples"].shape == (1, 3, 51, 51)


def test_without_reference_pictures_the_latent_is_a_square() -> None:
    positive, _, latent = ReferenceMultiLatent().append(SIDES[0], {"resolution": "keep resolution"}, SIDES[1])
    assert positive is SIDES[0]
    assert latent["samples"].shape == (1, 16, 128, 128)
    resize = {"resolution": "resize", "megapixels": 4.0}
    assert ReferenceMultiLatent().append(SIDES[0], resize, SIDES[1])[2]["samples"].shape == (1, 16, 256, 256)


def test_the_second_stage_of_a_cascade_sees_the_first() -> None:
    stage: Latent = {"samples": torch.ones(1, 16, 2, 2)}
    (made,) = StableCascade_StageB_Conditioning().set_prior(SIDES[0], stage)
    assert made[0][1] == {"kept": 1, "stable_cascade_prior": stage["samples"]}
