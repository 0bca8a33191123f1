"""Pictures of a run's steps: what they show, and when they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import ModelError
from graphengine.node.api import Folders, NodeContext, Preview, PreviewMethod
from graphengine_nodes.diffusion.model.latent_colours import FLUX_FACTORS, SD1_FACTORS, SD3_FACTORS, SDXL_FACTORS
from graphengine_nodes.diffusion.model.model import LatentFormat
from graphengine_nodes.diffusion.sampling.previews import (
    StepPreviews,
    TinyDecoder,
    find_painter,
    mixed,
    step_previews,
)
from graphengine_nodes.diffusion.vae.vae import load_vae_file
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint
from tests.nodes.diffusion import ldm_layout

SD1 = LatentFormat()


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(preview: Preview) -> Image.Image:
    assert callable(preview.image)
    image = preview.image()
    assert isinstance(image, Image.Image)
    return image


def decoder_file(folder: Path, prefix: str = "") -> dict[str, Tensor]:
    """A file of the decoder alone, in the layout of madebyollin/taesd."""
    tensors = ldm_layout.random_weights(ldm_layout.taesd(8))
    state = {
        prefix + name.removeprefix("taesd_decoder."): value
        for name, value in tensors.items()
        if name.startswith("taesd_decoder.")
    }
    save_file(state, folder / "taesd_decoder.safetensors")
    return tensors


@pytest.mark.parametrize(
    ("latent_format", "factors"),
    [
        (SD1, SD1_FACTORS),
        (LatentFormat(0.13025), SDXL_FACTORS),
        (LatentFormat(1.5305, 0.0609, 16), SD3_FACTORS),
        (LatentFormat(0.3611, 0.1159, 16), FLUX_FACTORS),
        (LatentFormat(1.0, 0.0, 12), None),
    ],
)
def test_the_factors_are_those_of_the_format(latent_format: LatentFormat, factors: Any) -> None:
    assert latent_format.latent_rgb_factors == factors
    assert factors is None or len(factors) == latent_format.latent_channels
    assert (latent_format.taesd_decoder_name is None) is (factors is None)


def test_channels_are_mixed_linearly_and_limited() -> None:
    latent = torch.zeros(2, 2, 1, 3)
    latent[0, 0] = torch.tensor([0.0, 0.5, 9.0])
    picture = mixed(((1.0, 0.0, -1.0), (0.0, 0.0, 0.0)), latent)
    assert torch.allclose(picture[0, 1], torch.tensor([0.75, 0.5, 0.25]))
    assert torch.allclose(picture[0, 2], torch.tensor([1.0, 0.5, 0.0]))


@pytest.mark.parametrize("prefix", ["", "taesd_decoder."])
def test_a_tiny_decoder_paints_what_the_vae_decodes(prefix: str, tmp_path: Path) -> None:
    save_file(decoder_file(tmp_path, prefix), tmp_path / "vae.safetensors")
    latent = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(2))
    painter = find_painter(SD1, Folders(models={"vae_approx": (tmp_path,)}))
    assert isinstance(painter, TinyDecoder)
    expected = load_vae_file(open_checkpoint(tmp_path / "vae.safetensors"), "cpu").decode(latent[:1])
    assert torch.allclose(painter(latent), expected[0], atol=1e-5)


@pytest.mark.parametrize(
    ("method", "with_file", "tiny"),
    [("auto", True, True), ("taesd", True, True), ("latent2rgb", True, False), ("taesd", False, False)],
)
def test_the_method_is_the_users(method: PreviewMethod, with_file: bool, tiny: bool, tmp_path: Path) -> None:
    if with_file:
        decoder_file(tmp_path)
    folders = Folders(models={"vae_approx": (tmp_path,)})
    painter = find_painter(SD1, folders, method)
    assert painter is not None
    assert isinstance(painter, TinyDecoder) is tiny


def test_nothing_is_shown_where_nobody_wants_it() -> None:
    shown: list[Preview] = []
    context = NodeContext(on_preview=shown.append, previews="none")
    step_previews(SD1, context)(torch.zeros(1, 4, 2, 2))
    assert not shown


def test_a_file_that_is_no_decoder_is_named(tmp_path: Path) -> None:
    save_file({"0.weight": torch.zeros(2, 2)}, tmp_path / "taesd_decoder.safetensors")
    with pytest.raises(ModelError, match=r"'taesd_decoder.safetensors' is no decoder of a tiny autoencoder"):
        TinyDecoder(tmp_path / "taesd_decoder.safetensors")(torch.zeros(1, 4, 2, 2))


def test_a_picture_is_painted_only_when_somebody_looks() -> None:
    painted: list[Tensor] = []
    shown: list[Preview] = []

    def paint(latent: Tensor) -> Tensor:
        painted.append(latent)
        return torch.full((2, 3, 3), 0.5)

    show = StepPreviews(shown.append, paint)
    denoised = torch.ones(2, 4, 2, 3)
    show(denoised)
    denoised.zero_()
    assert not painted
    image = opened(shown[0])
    assert (image.size, image.getpixel((0, 0))) == ((3, 2), (128, 128, 128))
    assert torch.equal(painted[0], torch.ones(1, 4, 2, 3))


def test_of_a_video_the_first_frame_is_shown() -> None:
    shown: list[Preview] = []
    StepPreviews(shown.append, lambda latent: latent[0, :3].movedim(0, -1))(torch.rand(1, 4, 5, 2, 3))
    assert opened(shown[0]).size == (3, 2)


def test_painting_takes_at_most_a_fiftieth_of_the_time() -> None:
    clock = Clock()
    spent = 0.0

    def paint(latent: Tensor) -> Tensor:
        nonlocal spent
        clock.now += 0.3
        spent += 0.3
        return torch.zeros(1, 1, 3)

    def show(preview: Preview) -> None:
        opened(preview)

    previews = StepPreviews(show, paint, clock)
    for _ in range(200):
        clock.now += 1.0
        previews(torch.zeros(1, 4, 1, 1))
    assert 0 < spent <= 0.021 * clock.now + 0.3


def test_nothing_is_shown_of_latents_that_nothing_can_paint() -> None:
    shown: list[Preview] = []
    step_previews(LatentFormat(1.0, 0.0, 12), NodeContext(on_preview=shown.append))(torch.zeros(1, 12, 2, 2))
    assert not shown
    step_previews(SD1, NodeContext(on_preview=shown.append))(torch.zeros(1, 4, 2, 2))
    assert opened(shown[0]).size == (2, 2)
