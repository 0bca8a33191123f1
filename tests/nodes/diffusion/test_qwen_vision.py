"""Pictures among the tokens of Qwen2.5-VL, against the whole model of transformers."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine.errors import GraphEngineError
from graphengine_nodes.diffusion.conditioning.qwen_edit import _DROPPED, _TEMPLATE, EDIT_PLUS, encode_edit
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.text.text_towers.language_model import QWEN_IMAGE, LanguageTower, language_tower
from graphengine_nodes.diffusion.text.text_towers.qwen_vision import Seen, cut, places_in_text
from graphengine_nodes.diffusion.text.text_towers.vocabularies import no_tokenizer, qwen_tokenizer
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_text
from .tiny_dit import random_weights, write

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLModel

WORDS = 200
SHAPES = tiny_text.language_model(128, words=WORDS, heads=1, bias=True) | tiny_text.qwen_vision(out=128)


def tower(folder: Path, shapes: Any = SHAPES) -> LanguageTower:
    checkpoint = open_checkpoint(write(folder / "qwen.safetensors", shapes))
    return language_tower(checkpoint, checkpoint.entries, QWEN_IMAGE, "cpu", no_tokenizer)


def reference() -> Any:
    text = {
        "vocab_size": WORDS,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 3,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    }
    vision = {"depth": 2, "hidden_size": 80, "intermediate_size": 96, "num_heads": 1, "out_hidden_size": 128}
    tokens = {"image_token_id": 10, "vision_start_token_id": 11, "vision_end_token_id": 12, "video_token_id": 13}
    model = Qwen2_5_VLModel(Qwen2_5_VLConfig(text_config=text, vision_config=vision, **tokens))
    weights = {
        name.replace("model.", "language_model.", 1) if name.startswith("model.") else name: value
        for name, value in random_weights(SHAPES).items()
    }
    model.load_state_dict(weights, strict=True)
    return model.eval()


def close(ours: Tensor, expected: Tensor) -> bool:
    return bool((ours - expected).abs().max() <= 1e-4 * expected.abs().max())


@torch.no_grad()
def test_a_text_with_a_picture_has_the_states_that_transformers_gives_it(tmp_path: Path) -> None:
    picture = torch.rand(60, 170, 3, generator=torch.Generator().manual_seed(2))
    text = tower(tmp_path)
    assert text.vision is not None
    seen = text.vision.see(picture)
    assert (seen.rows, seen.columns) == (2, 6)
    model = reference()
    patches, rows, columns = cut(picture)
    ids = torch.tensor([[1, 2, 11, *[10] * 12, 12, 3, 4]])
    kinds = (ids == 10).int()
    expected = model(
        input_ids=ids,
        pixel_values=patches,
        image_grid_thw=torch.tensor([[1, rows, columns]]),
        mm_token_type_ids=kinds,
    ).last_hidden_state
    assert close(text.encode_seen([1, 2, 11, seen, 12, 3, 4]), expected)


@torch.no_grad()
def test_without_pictures_the_states_are_those_of_the_plain_text(tmp_path: Path) -> None:
    text = tower(tmp_path)
    tokens = [(token, 1.0) for token in range(40, 80)]
    plain = text.encode([tokens]).states
    assert close(text.encode_seen(range(40, 80))[:, QWEN_IMAGE.drop :], plain)


def test_the_text_goes_on_behind_the_longer_side_of_a_picture() -> None:
    picture = Seen(torch.zeros(6, 4), rows=2, columns=3)
    assert places_in_text([7, picture, 8]).tolist() == [
        [0, 1, 1, 1, 1, 1, 1, 4],
        [0, 1, 1, 1, 2, 2, 2, 4],
        [0, 1, 2, 3, 1, 2, 3, 4],
    ]


@pytest.mark.parametrize(("size", "patches"), [((28, 56), (4, 6)), ((112, 84), (8, 6)), ((300, 20), (22, 2))])
def test_pictures_are_cut_into_pairs_of_patches(size: tuple[int, int], patches: tuple[int, int]) -> None:
    squares, rows, columns = cut(torch.rand(*size, 3))
    assert (rows, columns) == patches
    assert squares.shape == (rows * columns, 3 * 2 * 14 * 14)


def test_the_dropped_tokens_of_an_edit_are_those_before_the_user(tmp_path: Path) -> None:
    assert len(qwen_tokenizer()(_TEMPLATE.partition("{}")[0])) == _DROPPED


def test_an_edit_shows_the_text_tower_every_picture(tmp_path: Path) -> None:
    shapes = tiny_text.language_model(bias=True) | tiny_text.qwen_vision()
    clip = TextEncoder({"qwen25_7b": tower(tmp_path, shapes)})
    small = torch.rand(1, 30, 30, 3)
    one, two = (
        encode_edit(clip, "red", None, pictures, lambda: None, EDIT_PLUS)[0][0]
        for pictures in ([small, None, None], [small, None, small])
    )
    # 384 x 384 pixels are 14 x 14 vectors; "Picture 3: " and the marks around it are seven tokens
    assert two.shape[1] - one.shape[1] == 14 * 14 + 7
    assert two.isfinite().all()


def test_a_tower_without_eyes_is_named(tmp_path: Path) -> None:
    clip = TextEncoder({"qwen25_7b": tower(tmp_path, tiny_text.language_model(words=WORDS, bias=True))})
    with pytest.raises(GraphEngineError, match="cannot see pictures"):
        encode_edit(clip, "red", None, [torch.rand(1, 30, 30, 3)], lambda: None)
