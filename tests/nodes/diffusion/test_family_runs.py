"""Every family of Stable Diffusion from a checkpoint to a picture, through the nodes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from graphengine.node.api import NodeContext
from graphengine.node.folders import Folders
from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.diffusion.nodes.clip_nodes import CLIPTextEncode, CLIPTextEncodeSDXL
from graphengine_nodes.diffusion.nodes.conditioning_option_nodes import SD_4XUpscale_Conditioning
from graphengine_nodes.diffusion.nodes.loader_nodes import CheckpointLoaderSimple, VAEDecode
from graphengine_nodes.diffusion.sampling.ksampler import sample

from . import tiny_models

FAMILIES: dict[str, Callable[[Path], Path]] = {
    "sd2": partial(tiny_models.sd2_checkpoint, velocity=True),
    "sdxl": tiny_models.sdxl_checkpoint,
    "refiner": tiny_models.refiner_checkpoint,
    "unclip": tiny_models.unclip_checkpoint,
    "inpainting": partial(tiny_models.sd1_checkpoint, in_channels=9),
    "editing": partial(tiny_models.sd1_checkpoint, in_channels=8),
}


def loaded(name: str, folder: Path) -> tuple[Any, Any, Any, NodeContext]:
    """MODEL, CLIP and VAE of a tiny checkpoint, and the context that they were loaded in."""
    FAMILIES[name](folder / "m.safetensors")
    context = NodeContext(folders=Folders(models={"checkpoints": (folder,)}))
    return *CheckpointLoaderSimple().load(ckpt_name="m.safetensors", context=context), context


def sampled(model: Any, positive: Any, negative: Any, latent: Latent, denoise: float = 1.0) -> Latent:
    return sample(
        model,
        seed=5,
        steps=2,
        cfg=3.0,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=negative,
        latent=latent,
        denoise=denoise,
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_a_picture_is_made_by_the_nodes(name: str, tmp_path: Path) -> None:
    model, clip, vae, context = loaded(name, tmp_path)
    (positive,), (negative,) = (CLIPTextEncode().encode(text=text, clip=clip) for text in ("a (red:1.2) cat", ""))
    latent: Latent = {"samples": torch.zeros(2, 4, 8, 8)}
    latent = sampled(model, positive, negative, latent)
    (images,) = VAEDecode().decode(samples=latent, vae=vae, context=context)
    assert images.shape == (2, 64, 64, 3)
    assert images.isfinite().all()
    assert not torch.equal(images[0], images[1])


def test_what_sdxl_is_told_of_sizes_changes_the_picture(tmp_path: Path) -> None:
    model, clip, _, _ = loaded("sdxl", tmp_path)

    def latent_for(width: int) -> torch.Tensor:
        told = {"width": width, "height": 64, "crop_w": 0, "crop_h": 0, "target_width": 64, "target_height": 64}
        (positive,) = CLIPTextEncodeSDXL().encode(clip=clip, text_g="cat", text_l="cat", **told)
        (negative,) = CLIPTextEncode().encode(text="", clip=clip)
        return sampled(model, positive, negative, {"samples": torch.zeros(1, 4, 8, 8)})["samples"]

    assert torch.equal(latent_for(64), latent_for(64))
    assert not torch.allclose(latent_for(64), latent_for(4096), atol=1e-4)


def test_an_inpainting_model_keeps_what_the_mask_leaves_and_sees_areas_cut_alike(tmp_path: Path) -> None:
    model, clip, _, _ = loaded("inpainting", tmp_path)
    (positive,), (negative,) = (CLIPTextEncode().encode(text=text, clip=clip) for text in ("cat", ""))
    before = torch.randn(1, 4, 8, 16, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 8, 16)
    mask[..., 8:] = 1
    latent: Latent = {"samples": before, "noise_mask": mask}
    halved = [(positive[0][0], {**positive[0][1], "area": (8, 8, 0, 8)}), *positive]
    after = sampled(model, halved, negative, latent)["samples"]
    assert torch.allclose(after[..., :8], before[..., :8], atol=1e-4)
    assert not torch.allclose(after[..., 8:], before[..., 8:], atol=1e-1)


def test_the_noise_in_an_unclip_models_pictures_follows_from_the_seed(tmp_path: Path) -> None:
    model, clip, _, _ = loaded("unclip", tmp_path)
    (positive,), (negative,) = (CLIPTextEncode().encode(text=text, clip=clip) for text in ("cat", ""))

    class Seen:
        image_embeds = torch.ones(1, 64)

    entry = {"clip_vision_output": Seen(), "strength": 1.0, "noise_augmentation": 0.5}
    shown = [(positive[0][0], {**positive[0][1], "unclip_conditioning": [entry]})]
    latent: Latent = {"samples": torch.zeros(1, 4, 8, 8)}
    first, again = (sampled(model, shown, negative, latent)["samples"] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, sampled(model, positive, negative, latent)["samples"], atol=1e-4)


def test_the_x4_upscaler_makes_a_picture_four_times_as_large(tmp_path: Path) -> None:
    tiny_models.upscaler_checkpoint(tmp_path / "m.safetensors")
    context = NodeContext(folders=Folders(models={"checkpoints": (tmp_path,)}))
    model, clip, vae = CheckpointLoaderSimple().load(ckpt_name="m.safetensors", context=context)
    (text,) = CLIPTextEncode().encode(text="cat", clip=clip)
    positive, negative, latent = SD_4XUpscale_Conditioning().encode(
        images=torch.rand(1, 16, 24, 3), positive=text, negative=text, scale_ratio=4.0, noise_augmentation=0.1
    )
    (image,) = VAEDecode().decode(samples=sampled(model, positive, negative, latent), vae=vae, context=context)
    assert image.shape == (1, 64, 96, 3)
    assert image.isfinite().all()
