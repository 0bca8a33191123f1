import numpy as np
import pytest
import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.image.colours import bayer_matrix, blend, from_yuv, invert, quantize, to_yuv, with_noise


def pixel(value: float) -> Tensor:
    """A picture of one grey pixel."""
    return torch.full((1, 1, 1, 3), value)


def noise(*shape: int) -> Tensor:
    """Values in 0..1, the same in every run."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def test_the_negative_of_the_negative_is_the_picture() -> None:
    assert invert(torch.tensor([0.0, 0.25, 1.0])).tolist() == [1, 0.75, 0]


@pytest.mark.parametrize(
    ("mode", "a", "b", "expected"),
    [
        ("normal", 0.2, 0.6, 0.6),
        ("multiply", 0.5, 0.6, 0.3),
        ("screen", 0.5, 0.6, 0.8),
        ("overlay", 0.25, 0.6, 0.3),
        ("overlay", 0.75, 0.6, 0.8),
        ("soft_light", 0.5, 0.25, 0.375),
        ("soft_light", 0.25, 0.75, 0.375),
        ("soft_light", 0.64, 0.75, 0.72),
        ("difference", 0.75, 0.25, 0.5),
        ("difference", 0.25, 0.75, 0.0),
    ],
)
def test_a_mode_mixes_two_pictures(mode: str, a: float, b: float, expected: float) -> None:
    assert blend(pixel(a), pixel(b), 1.0, mode)[0, 0, 0].tolist() == pytest.approx([expected] * 3)


def test_the_factor_goes_from_the_first_picture_to_the_mixture() -> None:
    assert blend(pixel(0.2), pixel(0.6), 0.25, "normal")[0, 0, 0, 0].item() == pytest.approx(0.3)


def test_the_second_picture_gets_the_size_and_channels_of_the_first() -> None:
    assert blend(noise(1, 5, 3, 4), noise(1, 2, 2, 3), 0.5, "normal").shape == (1, 5, 3, 4)
    assert blend(noise(1, 5, 3, 3), noise(1, 2, 2, 4), 0.5, "normal").shape == (1, 5, 3, 3)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(GraphEngineError, match="'blend_mode': no mode 'dodge'"):
        blend(pixel(0), pixel(0), 1.0, "dodge")


# Few colours


@pytest.mark.parametrize("dither", ["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"])
def test_there_are_no_more_colours_than_asked_for(dither: str) -> None:
    quantized = quantize(noise(3, 9, 7, 3), 4, dither)
    assert quantized.shape == (3, 9, 7, 3)
    for picture in quantized:
        assert len({tuple(colour) for row in picture.tolist() for colour in row}) <= 4


def test_a_picture_with_few_colours_stays_as_it_is() -> None:
    picture = torch.tensor([[[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]]])
    assert torch.equal(quantize(picture, 256, "none"), picture)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_pictures_and_pictures_with_alpha_become_coloured_ones(channels: int) -> None:
    assert quantize(torch.ones(1, 2, 2, channels), 2, "none").tolist() == torch.ones(1, 2, 2, 3).tolist()


def test_dithering_keeps_the_mean_where_plain_quantising_loses_it() -> None:
    ramp = torch.linspace(0, 1, 64).reshape(1, 1, 64, 1).repeat(1, 16, 1, 3)
    errors = {
        dither: (quantize(ramp, 2, dither) - ramp).mean(dim=1)[..., 0].abs().mean().item()
        for dither in ("none", "floyd-steinberg")
    }
    assert errors["floyd-steinberg"] < errors["none"]


def test_bayers_pattern_is_even() -> None:
    assert bayer_matrix(2).tolist() == [[-0.375, 0.125], [0.375, -0.125]]
    values = np.sort(bayer_matrix(8).flatten())
    assert np.allclose(np.diff(values), 1 / 64)
    assert values.sum() == pytest.approx(0)


# Noise, brightness and colour


def test_noise_depends_on_the_seed_alone() -> None:
    grey = torch.full((1, 8, 8, 3), 0.5)
    assert torch.equal(with_noise(grey, 1, 0.1), with_noise(grey, 1, 0.1))
    assert not torch.equal(with_noise(grey, 1, 0.1), with_noise(grey, 2, 0.1))
    assert torch.equal(with_noise(grey, 1, 0.0), grey)
    assert set(with_noise(grey, 1, 10000.0).flatten().tolist()) == {0, 1}


def test_the_largest_seed_is_taken() -> None:
    assert with_noise(pixel(0.5), 2**64 - 1, 0.1).shape == (1, 1, 1, 3)


def test_brightness_and_colour_of_red() -> None:
    parts = to_yuv(torch.tensor([[[[1.0, 0.0, 0.0]]]]))
    assert [part[0, 0, 0].tolist() for part in parts] == [
        pytest.approx([0.299] * 3),
        pytest.approx([0.5 - 0.299 * 0.564] * 3),
        pytest.approx([0.5 + 0.701 * 0.713] * 3),
    ]


def test_a_picture_comes_back_from_its_brightness_and_colour() -> None:
    images = noise(3, 4, 5, 3)
    assert torch.allclose(from_yuv(*to_yuv(images)), images, atol=2e-3)
