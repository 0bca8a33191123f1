import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.families.families import FAMILIES
from graphengine_nodes.diffusion.text.embeddings import no_embedding_files
from graphengine_nodes.diffusion.text.text_encode import TextEncoder, require_clip
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import ldm_layout

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from transformers import CLIPTextConfig, CLIPTextModel


def load_text_encoder(path: Path) -> TextEncoder | None:
    sd1 = next(family for family in FAMILIES if family.name == "sd1")
    return sd1.load_clip(open_checkpoint(path), "cpu", no_embedding_files)


def encoded(encoder: TextEncoder, text: str) -> tuple[Tensor, Tensor]:
    result = encoder.encode(text)
    assert result.pooled is not None
    return result.states, result.pooled


SHAPES = ldm_layout.clip(64, 3)
START, CAT, END = 49406, 2368, 49407


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    shapes = {f"{ldm_layout.CLIP}text_model.{name}": shape for name, shape in SHAPES.items()}
    path = ldm_layout.write(tmp_path_factory.mktemp("clip") / "m.safetensors", shapes)
    loaded = load_text_encoder(path)
    assert loaded is not None
    return loaded


@pytest.fixture(scope="module")
def reference(encoder: TextEncoder) -> CLIPTextModel:
    """CLIPTextModel of transformers with the same weights, made in the ordinary way."""
    model = CLIPTextModel(
        CLIPTextConfig(hidden_size=64, intermediate_size=256, num_hidden_layers=3, num_attention_heads=1)
    )
    shapes = {f"{ldm_layout.CLIP}text_model.{name}": shape for name, shape in SHAPES.items()}
    weights = ldm_layout.random_weights(shapes)
    prefix = f"{ldm_layout.CLIP}text_model."
    model.load_state_dict({name.removeprefix(prefix): tensor.float() for name, tensor in weights.items()})
    return model.eval()


def ids(*tokens: int) -> Tensor:
    return torch.tensor([[START, *tokens, *[END] * (76 - len(tokens))]])


@torch.no_grad()
def states(model: CLIPTextModel, *tokens: int) -> Tensor:
    result: Tensor = model(input_ids=ids(*tokens)).last_hidden_state
    return result


@torch.no_grad()
def test_states_are_those_of_transformers(encoder: TextEncoder, reference: CLIPTextModel) -> None:
    cond, pooled = encoded(encoder, "cat")
    expected = reference(input_ids=ids(CAT))
    assert torch.allclose(cond, expected.last_hidden_state, atol=1e-6)
    assert torch.allclose(pooled, expected.pooler_output, atol=1e-6)
    assert cond.shape == (1, 77, 64)
    assert pooled.shape == (1, 64)
    assert cond.dtype == torch.float32
    assert not cond.is_inference()


@torch.no_grad()
def test_an_earlier_layer_goes_through_the_final_norm(encoder: TextEncoder, reference: CLIPTextModel) -> None:
    cond, pooled = encoded(encoder.with_last_layer(-2), "cat")
    hidden = reference(input_ids=ids(CAT), output_hidden_states=True).hidden_states[-2]
    assert torch.allclose(cond, reference.final_layer_norm(hidden), atol=1e-6)
    assert not torch.allclose(cond, encoded(encoder, "cat")[0], atol=1e-3)
    assert torch.equal(pooled, encoded(encoder, "cat")[1])


def test_a_layer_that_is_not_there_means_the_last(encoder: TextEncoder) -> None:
    first = encoder.with_last_layer(-3).encode("cat").states
    last = encoded(encoder, "cat")[0]
    assert not torch.equal(first, last)
    assert torch.equal(encoder.with_last_layer(-4).encode("cat").states, last)
    assert torch.equal(encoder.with_last_layer(-1).encode("cat").states, last)


def test_changing_the_layer_shares_the_weights(encoder: TextEncoder) -> None:
    assert encoder.with_last_layer(-2).components() == encoder.components()


def test_a_weight_scales_away_from_the_empty_prompt(encoder: TextEncoder, reference: CLIPTextModel) -> None:
    cond, pooled = encoded(encoder, "(cat:1.5)")
    plain, empty = states(reference, CAT), states(reference)
    expected = plain.clone()
    expected[:, 1] = (plain[:, 1] - empty[:, 1]) * 1.5 + empty[:, 1]
    assert torch.allclose(cond, expected, atol=1e-6)
    assert torch.allclose(pooled, encoded(encoder, "cat")[1], atol=1e-6)


def test_a_long_prompt_is_joined_from_chunks(encoder: TextEncoder, reference: CLIPTextModel) -> None:
    cond, pooled = encoded(encoder, "cat " * 100)
    expected = [states(reference, *[CAT] * 75), states(reference, *[CAT] * 25)]
    assert torch.allclose(cond, torch.cat(expected, dim=1), atol=1e-6)
    assert pooled.shape == (1, 64)


def test_single_precision_files_are_rounded_to_half_as_comfyui_does(tmp_path: Path) -> None:
    shapes = {ldm_layout.CLIP + name: shape for name, shape in ldm_layout.clip(64, 1).items()}
    path = ldm_layout.write(tmp_path / "m.safetensors", shapes, dtype=torch.float32)
    loaded = load_text_encoder(path)
    assert loaded is not None
    for weight in loaded.components()["l"].ready().parameters():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, weight.half().float())


def test_a_file_without_text_encoder_gives_none_and_the_node_says_so(tmp_path: Path) -> None:
    path = ldm_layout.write(tmp_path / "m.safetensors", {f"{ldm_layout.VAE}x": (1,)})
    assert load_text_encoder(path) is None
    with pytest.raises(ModelError, match="holds no text encoder"):
        require_clip(None)


def test_an_incomplete_text_encoder_names_what_it_lacks(tmp_path: Path) -> None:
    shapes = {ldm_layout.CLIP + name: shape for name, shape in ldm_layout.clip(64, 1).items()}
    del shapes[f"{ldm_layout.CLIP}final_layer_norm.bias"]
    path = ldm_layout.write(tmp_path / "m.safetensors", shapes)
    with pytest.raises(
        ModelError, match=r"does not fit the text tower clip_l: it lacks tensor text_model\.final_layer_norm\.bias"
    ):
        load_text_encoder(path)
