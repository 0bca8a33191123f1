"""Tiles faded into each other, against a computation place by place, and VAEs that run out of memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from graphengine.errors import GraphEngineError, RunCancelled
from graphengine.node.api import NodeContext
from graphengine_nodes.diffusion.nodes import vae_nodes
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.vae.tiling import count_tiles, in_tiles, positions, scaled
from graphengine_nodes.diffusion.weights.memory_limits import is_out_of_memory


class Decoder(nn.Module):
    """Latents (1, 4, h, w) → pictures (1, 3, 2 h, 2 w), each cell for itself; remembers what it was given."""

    def __init__(self, limit: int = 10**9, error: Callable[[], Exception] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []
        self.limit, self.error = limit, error

    def forward(self, z: Tensor) -> Tensor:
        self.seen.append(tuple(z.shape[2:]))
        if z[0, 0].numel() > self.limit:
            raise self.error()
        return F.interpolate(z[:, :3], scale_factor=2.0)


class Encoder(nn.Module):
    """Pictures (1, 3, H, W) → means and log-variances (1, 8, H / 2, W / 2), each cell for itself."""

    def __init__(self, limit: int = 10**9) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(tuple(x.shape[2:]))
        if x[0, 0].numel() > self.limit:
            raise torch.OutOfMemoryError
        means = F.avg_pool2d(x, 2)
        return torch.cat([means, means[:, :1], 50 * means, -50 * means[:, :1]], dim=1)


class VideoDecoder(nn.Module):
    """Latents (1, 4, t, h, w) → videos (1, 3, 4 t - 3, 2 h, 2 w)."""

    def forward(self, z: Tensor) -> Tensor:
        frames = torch.cat([z[:, :3, :1], z[:, :3, 1:].repeat_interleave(4, dim=2)], dim=2)
        return F.interpolate(frames, scale_factor=(1.0, 2.0, 2.0))


class VideoEncoder(nn.Module):
    """Videos (1, 3, T, H, W) → latents (1, 4, t, H / 2, W / 2): the first frame, then each fourth."""

    def forward(self, x: Tensor) -> Tensor:
        frames = x[:, :, ::4]
        return F.avg_pool3d(torch.cat([frames, frames[:, :1]], dim=1), (1, 2, 2))


class Ready:
    """A network that needs no loading."""

    device, dtype = "cpu", torch.float32

    def __init__(self, network: nn.Module, held: int = 0) -> None:
        self.network, self.held = network, held

    def ready(self) -> nn.Module:
        return self.network

    def make_room(self) -> int:
        """What other models held is free once."""
        freed, self.held = self.held, 0
        if freed and isinstance(self.network, Decoder):
            self.network.limit = 10**9
        return freed


def vae(decoder: nn.Module | None = None, encoder: nn.Module | None = None) -> VAE:
    return VAE(Ready(encoder or Encoder()), Ready(decoder or Decoder()), 4, 2, variational=True)


VIDEO = VAE(Ready(VideoEncoder()), Ready(VideoDecoder()), 4, 2, frames=4)


def random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def place_by_place(x: Tensor, made: Callable[[Tensor], Tensor], tile: int, overlap: int) -> Tensor:
    """Weighted mean of all tiles at each place of (1, C, H, W), written out as loops."""
    height, width = x.shape[2:]

    def ramp(place: int, length: int) -> float:
        if not 0 < overlap < length:
            return 1.0
        return min(1.0, (place + 1) / overlap) * min(1.0, (length - place) / overlap)

    def cuts(size: int) -> list[tuple[int, int]]:
        starts = [0] if size <= tile else range(0, size - overlap, tile - overlap)
        return [(start, min(start + tile, size)) for start in starts]

    result = torch.zeros(x.shape)
    for i, j in itertools.product(range(height), range(width)):
        total = weights = torch.zeros(())
        for (top, bottom), (left, right) in itertools.product(cuts(height), cuts(width)):
            if top <= i < bottom and left <= j < right:
                weight = ramp(i - top, bottom - top) * ramp(j - left, right - left)
                total = total + weight * made(x[..., top:bottom, left:right])[0, :, i - top, j - left]
                weights = weights + weight
        result[0, :, i, j] = total / weights
    return result


@pytest.mark.parametrize(
    ("size", "tile", "overlap"), [(11, 4, 2), (9, 4, 1), (7, 5, 0), (6, 8, 2), (10, 4, 3), (9, 5, 4)]
)
def test_tiles_are_faded_linearly_over_what_they_share(size: int, tile: int, overlap: int) -> None:
    def made(cut: Tensor) -> Tensor:
        return cut - cut.mean()

    x = random(1, 2, size, 8)
    axes = [scaled(tile, overlap, 1), scaled(tile, overlap, 1)]
    result = in_tiles(x, made, [axes], 2, lambda: None)
    assert torch.allclose(result, place_by_place(x, made, tile, overlap), atol=1e-6)


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(0, 20),
)
@settings(deadline=None, max_examples=40)
def test_what_each_cell_gives_for_itself_is_the_same_in_tiles(
    height: int, width: int, tile_x: int, tile_y: int, overlap: int
) -> None:
    z = random(1, 4, height, width)
    assert torch.allclose(
        vae().decode_tiled(z, tile_x=tile_x, tile_y=tile_y, overlap=overlap), vae().decode(z), atol=1e-5
    )
    pixels = random(1, 2 * height, 2 * width, 3)
    tiled = vae().encode_tiled(pixels, tile_x=tile_x, tile_y=tile_y, overlap=overlap)
    assert torch.allclose(tiled, vae().encode(pixels), atol=1e-5)


@given(st.integers(1, 12), st.integers(2, 5), st.integers(0, 4))
@settings(deadline=None, max_examples=40)
def test_videos_are_cut_in_time_too(frames: int, tile: int, overlap: int) -> None:
    z = random(2, 4, frames, 5, 3)
    tiled = VIDEO.decode_tiled(z, tile_x=2, tile_y=3, overlap=1, tile_t=tile, overlap_t=overlap)
    assert tiled.shape == (2, 4 * frames - 3, 10, 6, 3)
    assert torch.allclose(tiled, VIDEO.decode(z), atol=1e-5)
    pixels = random(4 * frames - 3, 10, 6, 3)
    encoded = VIDEO.encode_tiled(pixels, tile_x=4, tile_y=4, overlap=2, tile_t=4 * tile, overlap_t=4)
    assert encoded.shape == (1, 4, frames, 5, 3)
    assert torch.allclose(encoded, VIDEO.encode(pixels), atol=1e-5)


def test_no_tile_is_larger_than_asked_for_and_their_number_is_known() -> None:
    decoder = Decoder()
    vae(decoder).decode_tiled(random(1, 4, 20, 30), tile_x=8, tile_y=8, overlap=2)
    assert max(height * width for height, width in decoder.seen) == 64
    passes = [[scaled(height, 2, 2), scaled(width, 2, 2)] for height, width in ((8, 8), (16, 4), (4, 16))]
    assert len(decoder.seen) == count_tiles((20, 30), passes)
    assert positions(20, 8, 2) == [0, 6, 12]


def test_a_seam_is_no_step() -> None:
    class Uneven(nn.Module):
        """Each tile comes out brighter or darker by up to one, as norms over a tile make it."""

        def forward(self, z: Tensor) -> Tensor:
            return F.interpolate(z[:, :3] * 0 + 2 * z.mean() - 1, scale_factor=2.0)

    z = torch.linspace(0, 1, 64).expand(1, 4, 16, 64)
    picture = vae(Uneven()).decode_tiled(z, tile_x=16, tile_y=16, overlap=8)
    steps = (picture[:, :, 1:] - picture[:, :, :-1]).abs()
    assert steps.max() < 0.5 / 8


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError,
        MemoryError,
        lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_decoding_goes_on_in_tiles_when_memory_is_short(error: Callable[[], Exception]) -> None:
    z = random(1, 4, 80, 100)
    decoder = Decoder(limit=64 * 64, error=error)
    result = vae(decoder).decode(z)
    assert torch.allclose(result, vae().decode(z), atol=1e-5)
    assert decoder.seen[0] == (80, 100)
    assert max(height * width for height, width in decoder.seen[3:]) <= 64 * 64


def test_other_models_go_before_the_picture_is_cut() -> None:
    z, decoder = random(1, 4, 80, 100), Decoder(limit=64 * 64)
    crowded = VAE(Ready(Encoder()), Ready(decoder, held=1000), 4, 2, variational=True)
    assert torch.equal(crowded.decode(z), vae().decode(z))
    assert decoder.seen == [(80, 100), (80, 100)]


def test_encoding_goes_on_in_tiles_when_memory_is_short() -> None:
    pixels = random(1, 300, 200, 3)
    encoder = Encoder(limit=128 * 128)
    assert torch.allclose(vae(encoder=encoder).encode(pixels), vae().encode(pixels), atol=1e-5)
    assert max(height * width for height, width in encoder.seen[3:]) <= 128 * 128


def test_when_the_smallest_tiles_do_not_fit_the_error_names_the_sizes() -> None:
    with pytest.raises(GraphEngineError, match=r"cannot decode a latent of 100x80 cells in tiles of 64x64"):
        vae(Decoder(limit=10)).decode(random(1, 4, 80, 100))
    with pytest.raises(GraphEngineError, match=r"cannot encode a picture of 20x16 in tiles of 128x128"):
        vae(encoder=Encoder(limit=10)).encode(random(1, 16, 20, 3))
    with pytest.raises(GraphEngineError, match=r"in tiles of 9x9"):
        vae(Decoder(limit=10)).decode_tiled(random(1, 4, 80, 100), tile_x=9, tile_y=9, overlap=1)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def broken() -> Exception:
        return RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    assert not is_out_of_memory(broken())
    decoder = Decoder(limit=10, error=broken)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        vae(decoder).decode(random(1, 4, 8, 8))
    assert len(decoder.seen) == 1


def test_moments_are_mean_and_limited_log_variance() -> None:
    pixels = random(2, 4, 6, 3)
    mean, log_variance = vae().moments(pixels)
    assert torch.equal(mean, vae().encode(pixels))
    assert torch.allclose(log_variance[:, :3], (50 * mean[:, :3]).clamp(-30, 20), atol=1e-4)
    assert log_variance.shape == mean.shape


def test_a_vae_without_a_posterior_says_so() -> None:
    with pytest.raises(GraphEngineError, match="without a variance"):
        VIDEO.moments(random(1, 4, 4, 3))


def test_cancelling_stops_between_tiles() -> None:
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise RunCancelled

    decoder = Decoder()
    with pytest.raises(RunCancelled):
        vae(decoder).decode_tiled(random(1, 4, 20, 20), tile_x=8, tile_y=8, overlap=2, check=check)
    assert len(decoder.seen) == 1


def test_the_names_that_packs_ask_for_are_there() -> None:
    pictures = vae()
    assert (pictures.downscale_ratio, pictures.upscale_ratio, pictures.latent_dim) == (2, 2, 2)
    assert pictures.spacial_compression_encode() == pictures.spacial_compression_decode() == 2
    assert pictures.temporal_compression_decode() is None
    assert (pictures.device, pictures.output_device) == (torch.device("cpu"), torch.device("cpu"))
    assert pictures.vae_dtype == torch.float32
    pictures.throw_exception_if_invalid()
    z = random(1, 4, 3, 3)
    model = pictures.first_stage_model
    assert torch.equal(model.decode(z), F.interpolate(z[:, :3], scale_factor=2.0))
    assert model.encode(model.decode(z)).shape == (1, 4, 3, 3)


def test_a_video_vae_counts_frames() -> None:
    down, up = VIDEO.downscale_ratio, VIDEO.upscale_ratio
    assert isinstance(down, tuple)
    assert isinstance(up, tuple)
    assert [down[0](count) for count in (0, 1, 4, 5, 81)] == [0, 1, 1, 2, 21]
    assert [up[0](count) for count in (0, 1, 2, 21)] == [0, 1, 5, 81]
    assert down[1:] == up[1:] == (2, 2)
    assert (VIDEO.latent_dim, VIDEO.temporal_compression_decode()) == (3, 4)


def test_latents_with_and_without_time_fit_both_kinds() -> None:
    z = random(1, 4, 1, 3, 3)
    assert torch.equal(vae().decode(z), vae().decode(z[:, :, 0]))
    assert torch.equal(VIDEO.decode(z[:, :, 0]), VIDEO.decode(z))


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (
            lambda: vae().encode(torch.zeros(0, 8, 8, 3)),
            r"batch of pictures is empty: its shape is \[0, 8, 8, 3\]",
        ),
        (lambda: vae().encode(torch.zeros(1, 1, 1, 3)), "a picture of 1x1 is too small to encode"),
        (lambda: vae().encode(torch.zeros(1, 8, 8, 1)), r"\(B, H, W, 3\), not \[1, 8, 8, 1\]"),
        (lambda: vae().decode(torch.zeros(0, 4, 2, 2)), r"latent is empty: its shape is \[0, 4, 2, 2\]"),
        (lambda: vae().decode(torch.zeros(1, 4, 0, 2)), r"latent is empty: its shape is \[1, 4, 0, 2\]"),
        (lambda: VIDEO.decode(torch.zeros(1, 16, 1, 2, 2)), r"\(B, 4, T, H, W\), not \[1, 16, 1, 2, 2\]"),
    ],
)
def test_what_fits_no_vae_is_refused_with_its_shape(work: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(GraphEngineError, match=message):
        work()


def decode(**inputs: Any) -> Tensor:
    (pictures,) = vae_nodes.VAEDecodeTiled().decode(**inputs)
    return pictures


def test_the_node_divides_sizes_by_the_cells_and_keeps_the_overlap_below_a_quarter() -> None:
    decoder = Decoder()
    z = random(1, 4, 100, 100)
    result = decode(samples={"samples": z}, vae=vae(decoder), tile_size=64, overlap=512, context=NodeContext())
    assert max(height * width for height, width in decoder.seen) == 32 * 32
    assert torch.equal(result, vae().decode_tiled(z, tile_x=32, tile_y=32, overlap=8))


def test_the_node_puts_the_frames_of_videos_one_after_the_other() -> None:
    z = random(2, 4, 9, 3, 3)
    result = decode(samples={"samples": z}, vae=VIDEO, tile_size=64, temporal_size=16, temporal_overlap=8)
    assert torch.allclose(result, VIDEO.decode(z).reshape(-1, 6, 6, 3), atol=1e-5)


def test_the_node_encodes_in_tiles_of_pixels() -> None:
    encoder = Encoder()
    pixels = random(1, 150, 131, 4)
    (latent,) = vae_nodes.VAEEncodeTiled().encode(vae(encoder=encoder), pixels, tile_size=64, overlap=32)
    assert torch.allclose(latent["samples"], vae().encode(pixels), atol=1e-5)
    assert max(height * width for height, width in encoder.seen) == 64 * 64
