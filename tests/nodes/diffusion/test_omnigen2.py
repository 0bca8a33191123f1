"""OmniGen2: blocks of Lumina 2 against diffusers' module, the pictures that it looks at by what they do."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.dit.omnigen2 import _rotations, _turns
from graphengine_nodes.diffusion.families.families import find_family, load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel, Job, NetworkCall
from graphengine_nodes.diffusion.text.clip_files import EncoderFiles
from graphengine_nodes.diffusion.text.clip_types import load_encoder
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_dit, tiny_dit_others, tiny_text
from .diffusers_oracle import module, randn

SIZES = {
    "hidden_size": 96,
    "num_layers": 2,
    "num_refiner_layers": 1,
    "num_attention_heads": 2,
    "num_kv_heads": 1,
    "multiple_of": 1,
    "ffn_dim_multiplier": 80.5 / 384,
    "axes_dim_rope": (16, 16, 16),
    "axes_lens": (64, 64, 64),
    "cap_feat_dim": 48,
}
TIMES = torch.tensor([0.9, 0.3])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    path = tmp_path_factory.mktemp("omnigen2") / "omnigen2.safetensors"
    return load_model(open_checkpoint(tiny_dit.write(path, tiny_dit_others.omnigen2())), "cpu")


def ask(model: DiffusionModel, x: Tensor, text: Tensor, *latents: Tensor, method: str | None = None) -> Tensor:
    options = {"reference_latents": list(latents), "reference_latents_method": method}
    extras = model.network.extras(options, Job(tuple(x.shape), latent_format=model.latent_format))
    extra = {name: value.expand(len(x), *value.shape[1:]) for name, value in extras.values.items()}
    return model.network(NetworkCall(x, TIMES[: len(x)], text, extra))


def test_without_pictures_it_computes_what_lumina_computes(model: DiffusionModel) -> None:
    weights = tiny_dit.random_weights(tiny_dit_others.omnigen2())
    shared = {name: value for name, value in weights.items() if not name.startswith(("ref_", "image_index"))}
    oracle = module("Lumina2Transformer2DModel", shared, **SIZES)
    x, text = randn(2, 16, 6, 4), randn(2, 1, 48)  # one token: the positions of longer texts are not Lumina's
    with torch.no_grad():
        theirs = oracle(x, (1 - TIMES) * 1000, text, torch.ones(2, 1, dtype=torch.bool), return_dict=False)[0]
    torch.testing.assert_close(ask(model, x, text), -theirs, rtol=1e-4, atol=1e-5)


def test_pictures_that_it_looks_at_are_told_apart_by_their_order(model: DiffusionModel) -> None:
    x, text = randn(1, 16, 4, 4), randn(1, 5, 48)
    first, second = randn(1, 16, 4, 6, seed=4), randn(1, 16, 4, 6, seed=5)
    plain, one = ask(model, x, text), ask(model, x, text, first)
    both, turned = ask(model, x, text, first, second), ask(model, x, text, second, first)
    assert both.shape == x.shape
    for given, other in ((plain, one), (one, both), (both, turned)):
        assert not torch.allclose(given, other, atol=1e-4)


def test_texts_stand_on_the_diagonal_and_pictures_behind_what_comes_before() -> None:
    sizes = (4, 4, 4)
    text, first, second = _turns({"axes_dim_rope": sizes}, 3, [torch.zeros(1, 16, 4, 8), torch.zeros(1, 16, 2, 2)])
    assert [part.shape for part in (text, first, second)] == [(1, 3, 6), (1, 8, 6), (1, 1, 6)]
    torch.testing.assert_close(text, _rotations(sizes, torch.tensor([[0, 0, 0], [1, 1, 1], [2, 2, 2]])))
    torch.testing.assert_close(first[:, 5:6], _rotations(sizes, torch.tensor([[3, 1, 1]])))
    torch.testing.assert_close(second, _rotations(sizes, torch.tensor([[7, 0, 0]])))
    # theta^(-2/4) = 0.01: the second number of an axis turns a hundredth as fast
    torch.testing.assert_close(text[0, 1, :2].angle(), torch.tensor([1.0, 0.01]))


def test_odd_latents_are_padded_and_cropped(model: DiffusionModel) -> None:
    x = randn(1, 16, 5, 3)
    assert ask(model, x, randn(1, 2, 48), randn(1, 16, 3, 3)).shape == x.shape


def test_more_pictures_than_it_tells_apart_are_refused(model: DiffusionModel) -> None:
    latent = randn(1, 16, 4, 4)
    with pytest.raises(ValueError, match="has 4 reference latents; the model tells 3 apart"):
        ask(model, latent, randn(1, 2, 48), *[latent] * 4)


def test_an_incomplete_file_is_named(tmp_path: Path) -> None:
    shapes = tiny_dit_others.omnigen2()
    del shapes["ref_image_refiner.0.attn.to_q.weight"]
    file = open_checkpoint(tiny_dit.write(tmp_path / "omnigen2.safetensors", shapes))
    assert find_family(file).name == "omnigen2"
    with pytest.raises(ModelError, match=r"lacks tensor ref_image_refiner\.0\.attn\.to_q\.weight"):
        load_model(file, "cpu")


def test_its_text_encoder_is_qwen_with_the_template_of_the_authors(tmp_path: Path) -> None:
    path = tiny_dit.write(tmp_path / "qwen.safetensors", tiny_text.language_model(bias=True))
    clip = load_encoder("omnigen2", EncoderFiles((open_checkpoint(path),), "cpu"))
    (chunk,) = clip.tokenize("a cat")["qwen25_3b"]
    plain = load_encoder("qwen_image", EncoderFiles((open_checkpoint(path),), "cpu"))
    assert chunk[0] == plain.tokenize("a cat")["qwen25_7b"][0][0]
    assert clip.encode("a cat").states.shape == (1, len(chunk), 64)
