import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from graphengine.errors import GraphEngineError, ModelError
from graphengine_nodes.diffusion.control.style import StyleModel, load_style_model, with_style
from graphengine_nodes.diffusion.vision.vision import VisionOutput
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

STATES = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(1))
SEEN = VisionOutput(last_hidden_state=STATES)
TEXT = torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(2))


def load(folder: Path, tensors: dict[str, Tensor]) -> StyleModel:
    save_file(tensors, folder / "style.safetensors")
    return load_style_model(open_checkpoint(folder / "style.safetensors"), "cpu")


def redux() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = {"up.weight": (18, 16), "up.bias": (18,), "down.weight": (6, 18), "down.bias": (6,)}
    return {f"redux_{name}": torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def test_redux_is_two_linear_layers_with_a_silu_between(tmp_path: Path) -> None:
    weights = redux()
    inner = STATES @ weights["redux_up.weight"].T + weights["redux_up.bias"]
    expected = inner * torch.sigmoid(inner) @ weights["redux_down.weight"].T + weights["redux_down.bias"]
    torch.testing.assert_close(load(tmp_path, weights).get_cond(SEEN), expected, rtol=1e-4, atol=1e-4)


def adapter(width: int = 16, text: int = 6, tokens: int = 2) -> Any:
    """The style adapter, written out with torch's own layers."""
    torch.manual_seed(4)
    module: Any = nn.Module()
    module.style_embedding = nn.Parameter(torch.randn(1, tokens, width))
    module.proj = nn.Parameter(torch.randn(width, text))
    module.ln_pre, module.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
    module.transformer_layes = nn.ModuleList()
    for _ in range(2):
        layer: Any = nn.Module()
        layer.attn = nn.MultiheadAttention(width, 8)
        layer.ln_1, layer.ln_2, layer.mlp = nn.LayerNorm(width), nn.LayerNorm(width), nn.Module()
        layer.mlp.c_fc, layer.mlp.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        module.transformer_layes.append(layer)
    return module.eval().requires_grad_(False)


def test_the_style_adapter_gives_what_becomes_of_its_learnt_tokens(tmp_path: Path) -> None:
    module = adapter()
    x = module.ln_pre(torch.cat([STATES, module.style_embedding.expand(2, -1, -1)], dim=1)).transpose(0, 1)
    for layer in module.transformer_layes:
        normed = layer.ln_1(x)
        x = x + layer.attn(normed, normed, normed, need_weights=False)[0]
        inner = layer.mlp.c_fc(layer.ln_2(x))
        x = x + layer.mlp.c_proj(inner * torch.sigmoid(1.702 * inner))
    expected = module.ln_post(x.transpose(0, 1)[:, -2:]) @ module.proj
    torch.testing.assert_close(load(tmp_path, module.state_dict()).get_cond(SEEN), expected, rtol=1e-4, atol=1e-4)


def test_the_tokens_of_all_pictures_follow_those_of_the_text(tmp_path: Path) -> None:
    style = load(tmp_path, redux())
    ((states, options),) = with_style([(TEXT, {"guidance": 3.5})], style, SEEN, 0.5, "multiply")
    assert options == {"guidance": 3.5}
    assert torch.equal(states[:, :4], TEXT)
    torch.testing.assert_close(states[:, 4:], style.get_cond(SEEN).reshape(1, 6, 6) * 0.5)


def test_a_bias_is_the_logarithm_of_the_strength_where_others_attend_to_the_tokens(tmp_path: Path) -> None:
    style = load(tmp_path, redux())
    options = {"attention_mask_img_shape": (1, 2)}
    ((states, biased),) = with_style([(TEXT, options)], style, SEEN, 0.25, "attn_bias")
    mask = biased["attention_mask"].float()
    assert states.shape == (1, 10, 6)
    assert mask.shape == (1, 12, 12)
    expected = torch.zeros(12, 12)
    expected[[0, 1, 2, 3, 10, 11], 4:10] = math.log(0.25)
    torch.testing.assert_close(mask[0], expected, rtol=1e-3, atol=1e-3)


def test_a_mask_that_is_there_keeps_its_place_around_the_new_tokens(tmp_path: Path) -> None:
    style = load(tmp_path, redux())
    given = torch.ones(1, 5, 5, dtype=torch.bool)
    given[0, 0, 4] = False
    ((_, options),) = with_style([(TEXT, {"attention_mask": given})], style, SEEN, 1.0, "multiply")
    mask = options["attention_mask"].float()
    assert mask.shape == (1, 11, 11)
    assert mask[0, 0, 10] == -math.inf
    assert torch.isinf(mask).sum() == 1
    assert options["attention_mask_img_shape"] == (1, 1)


def test_a_bias_of_strength_one_needs_no_mask_and_of_none_hides_the_tokens(tmp_path: Path) -> None:
    style = load(tmp_path, redux())
    ((_, full),) = with_style([(TEXT, {})], style, SEEN, 1.0, "attn_bias")
    ((_, hidden),) = with_style([(TEXT, {})], style, SEEN, 0.0, "attn_bias")
    assert "attention_mask" not in full
    assert torch.isinf(hidden["attention_mask"][0, :4, 4:10]).all()


def test_states_of_another_encoder_are_refused(tmp_path: Path) -> None:
    style = load(tmp_path, redux())
    with pytest.raises(GraphEngineError, match=r"'style\.safetensors' reads states of width 16.*width 8"):
        style.get_cond(VisionOutput(last_hidden_state=torch.zeros(1, 3, 8)))
    with pytest.raises(GraphEngineError, match="gives none"):
        style.get_cond(VisionOutput())


def test_a_conditioning_of_another_family_is_refused(tmp_path: Path) -> None:
    style = load(tmp_path, redux())
    with pytest.raises(GraphEngineError, match="tokens of width 6, the conditioning has 7"):
        with_style([(torch.zeros(1, 2, 7), {})], style, SEEN, 1.0, "multiply")


def test_incomplete_and_foreign_files_are_named(tmp_path: Path) -> None:
    incomplete = redux()
    del incomplete["redux_down.bias"]
    with pytest.raises(ModelError, match=r"'style\.safetensors'.*redux_down\.bias"):
        load(tmp_path, incomplete)
    for foreign in ({"weight": torch.zeros(2)}, {"style_embedding": torch.zeros(1, 2, 17)}):
        with pytest.raises(ModelError, match="holds no style model"):
            load(tmp_path, foreign)
    with pytest.raises(ModelError, match=r"redux_down\.weight"):
        load(tmp_path, {**redux(), "redux_down.weight": torch.tensor(1.0)})
