import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.image.filters import blur_images, canny, morphology, sharpen_images


def noise(*shape: int) -> Tensor:
    """Values in 0..1, the same in every run."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def mirrored_blur(images: Tensor, radius: int, sigma: float) -> NDArray[np.float64]:
    """The blur written down plainly: a square kernel over a mirrored picture."""
    places = np.linspace(-1, 1, 2 * radius + 1)
    kernel = np.exp(-(places[:, None] ** 2 + places[None, :] ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    values = images.numpy().astype(np.float64)
    blurred: NDArray[np.float64] = ndimage.convolve(values, kernel[None, :, :, None], mode="mirror")
    return blurred


@pytest.mark.parametrize(("radius", "sigma"), [(1, 1.0), (3, 0.5), (2, 10.0)])
def test_the_blur_is_a_gauss_kernel_in_units_of_its_radius(radius: int, sigma: float) -> None:
    images = noise(3, 9, 7, 4)
    expected = mirrored_blur(images, radius, sigma)
    assert np.allclose(blur_images(images, radius, sigma).numpy(), expected, atol=1e-6)


def test_a_blurred_point_by_hand() -> None:
    # exp(-1/2) : 1 : exp(-1/2), so 0.2741, 0.4519, 0.2741 after dividing by the sum.
    point = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]).reshape(1, 1, 5, 1)
    blurred = blur_images(point, 1, 1.0).flatten().tolist()
    assert blurred == pytest.approx([0, 0.274069, 0.451863, 0.274069, 0], abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (1, 1, 5, 3), (2, 2, 2, 1)])
def test_a_radius_beyond_the_picture_mirrors_as_often_as_needed(shape: tuple[int, ...]) -> None:
    images = noise(*shape)
    blurred = blur_images(images, 31, 10.0)
    assert blurred.shape == images.shape
    assert torch.allclose(blurred.mean(), images.mean(), atol=0.1)
    assert torch.allclose(blur_images(torch.ones(shape), 31, 1.0), torch.tensor(1.0), atol=1e-5)


def test_sharpening_takes_the_blur_away_ten_times() -> None:
    images = 0.4 + 0.1 * noise(1, 6, 5, 3)
    expected = images + 10 * 0.2 * (images - torch.from_numpy(mirrored_blur(images, 2, 1.0)).float())
    assert torch.allclose(sharpen_images(images, 2, 1.0, 0.2), expected.clamp(0, 1), atol=1e-5)


def test_sharpened_values_stay_in_range() -> None:
    sharpened = sharpen_images(noise(1, 6, 5, 3), 1, 1.0, 5.0)
    assert sharpened.min() >= 0
    assert sharpened.max() <= 1


# Morphology

SPOTS = torch.tensor([[0.0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]])[None, ..., None]


def plain(images: Tensor) -> list[list[float]]:
    """The first channel of the first picture."""
    rows: list[list[float]] = images[0, ..., 0].tolist()
    return rows


def test_bright_parts_grow_and_shrink() -> None:
    grown = morphology(SPOTS, "dilate", 3)
    assert plain(grown) == [[1, 1, 1, 0, 0]] * 3
    assert plain(morphology(grown, "erode", 3)) == [[1, 1, 0, 0, 0]] * 3
    assert plain(morphology(SPOTS, "erode", 3)) == [[0] * 5] * 3


def test_an_even_square_reaches_further_back() -> None:
    assert plain(morphology(SPOTS, "dilate", 4)) == [[1, 1, 1, 1, 0]] * 3


@pytest.mark.parametrize("size", [3, 4, 5, 31])
@pytest.mark.parametrize("operation", ["erode", "dilate"])
def test_growing_is_the_same_as_in_scipy(operation: str, size: int) -> None:
    images = noise(3, 7, 6, 1)
    function, outside = {"erode": (ndimage.minimum_filter, 9.0), "dilate": (ndimage.maximum_filter, -9.0)}[
        operation
    ]
    expected = function(images.numpy(), size=(1, size, size, 1), mode="constant", cval=outside)
    assert np.array_equal(morphology(images, operation, size).numpy(), expected)


def test_the_other_operations_consist_of_growing_and_shrinking() -> None:
    x = noise(1, 6, 6, 3)
    grown, shrunk = morphology(x, "dilate", 3), morphology(x, "erode", 3)
    opened, closed = morphology(shrunk, "dilate", 3), morphology(grown, "erode", 3)
    expected = {
        "open": opened,
        "close": closed,
        "gradient": grown - shrunk,
        "top_hat": x - opened,
        "bottom_hat": closed - x,
    }
    for operation, values in expected.items():
        assert torch.equal(morphology(x, operation, 3), values), operation


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(GraphEngineError, match="no operation 'thin'"):
        morphology(SPOTS, "thin", 3)


# Edges


def step(height: float) -> Tensor:
    """A picture (1, 20, 12, 3), black at the left, `height` at the right, half of it in column 6 between them."""
    row = torch.tensor([0.0] * 6 + [height / 2] + [height] * 5)
    return row[None, None, :, None].repeat(1, 20, 1, 3)


def test_a_step_gives_a_line_of_one_pixel() -> None:
    edges = canny(step(1.0), 0.4, 0.8)
    assert edges.shape == (1, 20, 12, 3)
    assert edges[0, :, :, 0].tolist() == [[0] * 6 + [1] + [0] * 5] * 20
    assert torch.equal(canny(step(1.0).transpose(1, 2), 0.4, 0.8), edges.transpose(1, 2))


def test_a_plain_picture_has_no_edges() -> None:
    assert canny(torch.full((3, 5, 7, 3), 0.5), 0.01, 0.02).sum() == 0


def test_a_weak_edge_stays_where_it_goes_on_from_a_strong_one() -> None:
    fading = step(1.0) * torch.linspace(1.0, 0.25, 20)[None, :, None, None]
    assert canny(step(0.25), 0.2, 1.5).sum() == 0
    assert canny(fading, 0.2, 1.5)[0, 2:18, :, 0].sum(dim=1).tolist() == [1] * 16
    assert canny(fading, 1.49, 1.5)[0, 17:].sum() == 0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_of_any_channels_and_one_pixel_have_edges_to_look_for(channels: int) -> None:
    assert canny(torch.ones(1, 1, 1, channels), 0.4, 0.8).tolist() == [[[[0, 0, 0]]]]
