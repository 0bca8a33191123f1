from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.nodes.unet_patch_nodes import (
    FreeU,
    FreeU_V2,
    HyperTile,
    PatchModelAddDownscale,
    TomePatchModel,
)
from graphengine_nodes.diffusion.unet.attention_tiles import CutIntoTiles, Grid, join_tiles, numbers_of_tiles
from graphengine_nodes.diffusion.unet.patches import (
    FittedToSkip,
    Shrunk,
    amplified_by_content,
    scaled_low_frequencies,
)
from graphengine_nodes.diffusion.unet.token_merging import MergeTokens, Merging, one_of_each_cell, unmerge_tokens

from . import weight_cases
from .sampling_cases import tiny_model
from .unet_models import noise, small_model, told


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    return small_model(tmp_path_factory.mktemp("models") / "sd1.safetensors")


def asked(model: DiffusionModel, size: tuple[int, int] = (8, 8)) -> Tensor:
    """What the network says of some noise at a middle level."""
    return told(model, noise(1, 4, *size))


# FreeU


def test_low_frequencies_of_an_even_picture_are_its_mean_and_slowest_waves() -> None:
    place = torch.arange(16) * 2 * math.pi / 16
    mean, slow, fast = (
        torch.full((16, 16), 3.0),
        torch.sin(place).expand(16, 16),
        torch.sin(5 * place).expand(16, 16),
    )
    changed = scaled_low_frequencies((mean + fast)[None, None], 0.5)
    torch.testing.assert_close(changed[0, 0], 0.5 * mean + fast, atol=1e-5, rtol=0)
    # the box reaches one frequency down and none up, so of the slowest wave only one half of the pair is damped
    half = scaled_low_frequencies(slow[None, None], 0.5)
    torch.testing.assert_close(half[0, 0], 0.75 * slow, atol=1e-5, rtol=0)


def test_frequencies_of_a_single_cell_are_left() -> None:
    cell = torch.full((1, 2, 1, 1), 4.0)
    torch.testing.assert_close(scaled_low_frequencies(cell, 0.25), cell * 0.25)


def test_content_decides_how_much_is_amplified() -> None:
    h = torch.tensor([0.0, 1.0, 2.0, 4.0]).reshape(1, 1, 2, 2).expand(1, 4, 2, 2)
    changed = amplified_by_content(h, 3.0)
    expected = torch.tensor([0.0, 1 * 1.5, 2 * 2.0, 4 * 3.0]).reshape(2, 2)
    torch.testing.assert_close(changed[0, 0], expected)
    torch.testing.assert_close(changed[0, 1], expected)
    assert torch.equal(changed[0, 2:], h[0, 2:])


def test_content_that_is_everywhere_the_same_is_not_amplified() -> None:
    h = torch.ones(2, 4, 3, 3)
    assert torch.equal(amplified_by_content(h, 3.0), h)


@pytest.mark.parametrize("node", [FreeU, FreeU_V2])
def test_freeu_of_neutral_factors_changes_nothing(node: Any, model: DiffusionModel) -> None:
    [patched] = node().patch(model, b1=1.0, b2=1.0, s1=1.0, s2=1.0)
    torch.testing.assert_close(asked(patched), asked(model), atol=1e-5, rtol=1e-4)


def test_freeu_acts_on_the_two_deepest_widths(model: DiffusionModel) -> None:
    [patched] = FreeU().patch(model, b1=2.0, b2=3.0, s1=0.5, s2=0.25)
    [patch] = patched.model_options["transformer_options"]["patches"]["output_block_patch"]
    h, skip = torch.ones(1, 128, 1, 1), torch.ones(1, 5, 1, 1)
    deep, low = patch(h, skip, {})
    assert deep.flatten().tolist() == [2.0] * 64 + [1.0] * 64
    torch.testing.assert_close(low, skip / 2)
    middle, low = patch(h[:, :64], skip, {})
    assert middle.flatten().tolist() == [3.0] * 32 + [1.0] * 32
    torch.testing.assert_close(low, skip / 4)
    unchanged, same = patch(h[:, :32], skip, {})
    assert torch.equal(unchanged, h[:, :32])
    assert same is skip


def test_freeu_needs_a_unet(tmp_path: Path) -> None:
    other = weight_cases.model(weight_cases.component(tmp_path, {"x_embedder.weight": (2, 2)}), "flux")
    with pytest.raises(ValueError, match="'flux', which has no UNet"):
        FreeU().patch(other, b1=1.0, b2=1.0, s1=1.0, s2=1.0)


# Deep shrink


def test_the_state_shrinks_at_its_block_and_in_its_range_only() -> None:
    shrink, h = Shrunk(3, 2.0, "bicubic", sigma_start=10.0, sigma_end=1.0), torch.rand(1, 2, 8, 6)
    shapes = {
        (block, sigma): shrink(h, {"block": ("input", block), "sigmas": torch.tensor([sigma])}).shape[-2:]
        for block in (2, 3)
        for sigma in (11.0, 10.0, 1.0, 0.5)
    }
    assert [key for key, shape in shapes.items() if shape == (4, 3)] == [(3, 10.0), (3, 1.0)]
    assert sum(shape == (8, 6) for shape in shapes.values()) == 6


def test_the_state_grows_to_its_skip_connection() -> None:
    h, skip = torch.rand(1, 2, 4, 3), torch.rand(1, 5, 8, 6)
    grown, same = FittedToSkip("nearest-exact")(h, skip, {})
    assert torch.equal(grown, h.repeat_interleave(2, -1).repeat_interleave(2, -2))
    assert same is skip


@pytest.mark.parametrize("after_skip", [True, False])
@pytest.mark.parametrize("method", ["bicubic", "nearest-exact", "bilinear", "area", "bislerp"])
def test_a_shrunk_unet_gives_the_size_it_was_given(after_skip: bool, method: str, model: DiffusionModel) -> None:
    place: dict[str, Any] = {"block_number": 3, "downscale_after_skip": after_skip}
    size: dict[str, Any] = {"downscale_factor": 2.0, "downscale_method": method, "upscale_method": method}
    [patched] = PatchModelAddDownscale().patch(model, **place, **size, start_percent=0.0, end_percent=1.0)
    result = asked(patched, (16, 24))
    assert result.shape == (1, 4, 16, 24)
    assert not torch.allclose(result, asked(model, (16, 24)), atol=1e-3)


# Token merging


def test_one_token_of_each_cell_is_kept() -> None:
    cells = one_of_each_cell(4, 6, torch.Generator().manual_seed(0))
    rows, columns = cells // 6, cells % 6
    assert sorted(zip((rows // 2).tolist(), (columns // 2).tolist(), strict=True)) == [
        (row, column) for row in range(2) for column in range(3)
    ]


def test_the_most_similar_tokens_become_means_and_come_back_as_such() -> None:
    tokens = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [0.0, 1.0], [2.0, 2.0]]])
    merging = Merging.by_similarity(tokens, torch.tensor([0]), 1)
    merged = merging.merge(tokens)
    assert merged.shape == (1, 3, 2)
    assert merged[0, -1].tolist() == [2.0, 0.0]  # the mean of the first two, which point the same way
    assert merging.unmerge(merged)[0].tolist() == [[2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [2.0, 2.0]]


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 5), st.integers(2, 5), st.floats(0.0, 1.0))
def test_merging_equal_tokens_loses_nothing(height: int, width: int, ratio: float) -> None:
    n = torch.arange(3.0).expand(2, height * width, 3) + 1
    options: dict[str, Any] = {"original_shape": [2, 4, height, width], "memory": {}}
    merged, context, value = MergeTokens(ratio)(n, n, n, options)
    assert len(merged[0]) == height * width - min(
        int(height * width * ratio), height * width - (height // 2) * (width // 2)
    )
    assert context is n
    assert value is n
    torch.testing.assert_close(unmerge_tokens(merged, options), n)


def test_only_the_finest_level_is_merged() -> None:
    n = torch.rand(1, 16, 3)
    options: dict[str, Any] = {"original_shape": [1, 4, 8, 8]}
    assert MergeTokens(0.5)(n, n, n, options)[0] is n
    assert unmerge_tokens(n, options) is n


def test_merged_tokens_are_the_same_in_each_run(model: DiffusionModel) -> None:
    [patched] = TomePatchModel().patch(model, ratio=0.5)
    first = asked(patched)
    assert torch.equal(asked(patched), first)
    assert first.shape == (1, 4, 8, 8)
    assert not torch.allclose(first, asked(model), atol=1e-4)


# Tiles


def test_a_side_is_cut_into_equal_tiles_that_are_large_enough() -> None:
    assert numbers_of_tiles(64, 32, 2) == [2, 1]
    assert numbers_of_tiles(96, 20, 2) == [4, 3]
    assert numbers_of_tiles(97, 20, 3) == [1]
    assert numbers_of_tiles(10, 32, 2) == [1]


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_tiles_come_together_as_they_were_cut(rows: int, columns: int, tall: int, wide: int) -> None:
    grid = Grid(rows * tall, columns * wide, rows, columns)
    tokens = torch.rand(2, grid.height * grid.width, 3)
    tiles = grid.cut(tokens)
    assert tiles.shape == (2 * rows * columns, tall * wide, 3)
    assert torch.equal(grid.joined(tiles), tokens)


def test_a_tile_holds_neighbours() -> None:
    tokens = torch.arange(16.0).reshape(1, 16, 1)
    assert Grid(4, 4, 2, 2).cut(tokens)[1].flatten().tolist() == [2, 3, 6, 7]


def test_only_levels_down_to_a_depth_are_cut() -> None:
    cut = CutIntoTiles(tile_size=32, swap_size=1, max_depth=1, scale_depth=False)
    for tokens, parts in ((16 * 8, 8), (8 * 4, 2), (4 * 2, 1)):
        n = torch.rand(1, tokens, 2)
        options: dict[str, Any] = {"original_shape": [1, 4, 16, 8]}
        tiles, context, value = cut(n, n, n, options)
        assert len(tiles) == len(context) == len(value) == parts
        assert torch.equal(join_tiles(tiles, options), n)


def test_tiles_of_deeper_levels_may_cover_as_much_of_the_picture() -> None:
    cut = CutIntoTiles(tile_size=32, swap_size=1, max_depth=1, scale_depth=True)
    n = torch.rand(1, 8 * 4, 2)
    assert len(cut(n, n, n, {"original_shape": [1, 4, 16, 8]})[0]) == 1


def test_the_size_of_tiles_is_drawn_when_there_are_several() -> None:
    n, options = torch.rand(1, 12 * 12, 2), {"original_shape": [1, 4, 12, 12]}
    for swap_size, numbers in ((2, {3}), (4, {3, 2})):
        cut = CutIntoTiles(tile_size=32, swap_size=swap_size, max_depth=0, scale_depth=False)
        memory: dict[str, Any] = {}
        drawn = set()
        for _ in range(20):
            given: dict[str, Any] = {**options, "memory": memory}
            cut(n, n, n, given)
            grid = given["attention_tiles"]
            drawn |= {grid.rows, grid.columns}
        # sides of 4, 6 and 12 cells fit; the whole is never drawn
        assert drawn == numbers


def test_attention_within_one_tile_is_attention(model: DiffusionModel) -> None:
    [whole] = HyperTile().patch(model, tile_size=2048, swap_size=2, max_depth=2, scale_depth=False)
    torch.testing.assert_close(asked(whole), asked(model))
    [tiled] = HyperTile().patch(model, tile_size=1, swap_size=1, max_depth=0, scale_depth=False)
    assert not torch.allclose(asked(tiled), asked(model), atol=1e-4)


def test_a_model_without_network_weights_is_named() -> None:
    with pytest.raises(Exception, match="no weights"):
        FreeU().patch(tiny_model(), b1=1.0, b2=1.0, s1=1.0, s2=1.0)
