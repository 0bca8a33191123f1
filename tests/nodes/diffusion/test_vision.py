import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import GraphEngineError, ModelError
from graphengine_nodes.diffusion.vision.layout import OPEN_PREFIXES
from graphengine_nodes.diffusion.vision.loading import load_vision, load_vision_of_checkpoint
from graphengine_nodes.diffusion.vision.vision import ClipVision, preprocess
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from transformers import (
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
        SiglipVisionConfig,
        SiglipVisionModel,
    )

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 16,
    "image_size": 28,
    "patch_size": 14,
}
IMAGE = torch.rand(2, 28, 28, 3, generator=torch.Generator().manual_seed(1))
PLAIN: tuple[tuple[float, ...], tuple[float, ...]] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def in_half_precision(module: Any) -> Any:
    """The module with random weights that a float16 file holds exactly."""
    generator = torch.Generator().manual_seed(5)
    for parameter in module.parameters():
        parameter.data = (torch.randn(parameter.shape, generator=generator) * 0.2).half().float()
    return module.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def clip() -> Any:
    config = CLIPVisionConfig(**SIZES, projection_dim=24, hidden_act="quick_gelu")
    return in_half_precision(CLIPVisionModelWithProjection(config))


@pytest.fixture(scope="module")
def siglip() -> Any:
    config = SiglipVisionConfig(**SIZES, vision_use_head=False, hidden_act="gelu_pytorch_tanh")
    return in_half_precision(SiglipVisionModel(config))


def load(folder: Path, tensors: dict[str, Tensor]) -> ClipVision:
    save_file({name: value.half().contiguous() for name, value in tensors.items()}, folder / "vision.safetensors")
    return load_vision(open_checkpoint(folder / "vision.safetensors"), "cpu")


def open_clip(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """CLIP's tower under the names of OpenCLIP, with queries, keys and values in one tensor."""
    found: dict[str, Tensor] = {}
    for layer in range(3):
        for kind in ("weight", "bias"):
            parts = [state[f"vision_model.encoder.layers.{layer}.self_attn.{p}_proj.{kind}"] for p in "qkv"]
            found[f"transformer.resblocks.{layer}.attn.in_proj_{kind}"] = torch.cat(parts)
    renames = {
        r"vision_model\.embeddings\.class_embedding": "class_embedding",
        r"vision_model\.embeddings\.patch_embedding\.": "conv1.",
        r"vision_model\.embeddings\.position_embedding\.weight": "positional_embedding",
        r"vision_model\.pre_layrnorm\.": "ln_pre.",
        r"vision_model\.post_layernorm\.": "ln_post.",
        r"vision_model\.encoder\.layers\.(\d+)\.layer_norm(\d)\.": r"transformer.resblocks.\1.ln_\2.",
        r"vision_model\.encoder\.layers\.(\d+)\.self_attn\.out_proj\.": r"transformer.resblocks.\1.attn.out_proj.",
        r"vision_model\.encoder\.layers\.(\d+)\.mlp\.fc1\.": r"transformer.resblocks.\1.mlp.c_fc.",
        r"vision_model\.encoder\.layers\.(\d+)\.mlp\.fc2\.": r"transformer.resblocks.\1.mlp.c_proj.",
    }
    for name, value in state.items():
        for pattern, replacement in renames.items():
            if re.match(pattern, name):
                found[re.sub(pattern, replacement, name)] = value
    found["proj"] = state["visual_projection.weight"].T
    return {prefix + name: value for name, value in found.items()}


def test_what_clip_sees_is_what_transformers_computes(clip: Any, tmp_path: Path) -> None:
    vision = load(tmp_path, clip.state_dict())
    output = vision.encode_image(IMAGE)
    pixels = preprocess(IMAGE, 28, vision.image_mean, vision.image_std)
    theirs = clip(pixel_values=pixels, output_hidden_states=True)
    assert torch.equal(output["image_embeds"], theirs.image_embeds)
    assert torch.equal(output["last_hidden_state"], theirs.last_hidden_state)
    hidden = clip.vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states
    assert torch.equal(output["penultimate_hidden_states"], hidden[-2])
    assert (output.mm_projected, output.image_sizes) == (None, [(3, 28, 28), (3, 28, 28)])


@pytest.mark.parametrize("prefix", OPEN_PREFIXES)
def test_the_layout_of_open_clip_is_read_too(prefix: str, clip: Any, tmp_path: Path) -> None:
    vision = load(
        tmp_path, {**open_clip(clip.state_dict(), prefix), "cond_stage_model.model.logit": torch.zeros(1)}
    )
    ours = vision.encode_image(IMAGE)["image_embeds"]
    theirs = clip(pixel_values=preprocess(IMAGE, 28, vision.image_mean, vision.image_std)).image_embeds
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_text_towers_in_the_file_are_left_out(clip: Any, tmp_path: Path) -> None:
    tensors = {
        **clip.state_dict(),
        "text_model.x": torch.zeros(1),
        "vision_model.embeddings.position_ids": torch.zeros(1),
    }
    assert load(tmp_path, tensors).config.layers == 3


def test_what_siglip_sees_is_what_transformers_computes(siglip: Any, tmp_path: Path) -> None:
    tensors = {f"vision_model.{name}": value for name, value in siglip.state_dict().items()}
    vision = load(tmp_path, {**tensors, "vision_model.head.probe": torch.zeros(1)})
    assert (vision.image_mean, vision.image_std, vision.image_size) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 28)
    output = vision.encode_image(IMAGE)
    theirs = siglip(pixel_values=IMAGE.movedim(-1, 1).mul(255).round().div(255) * 2 - 1, output_hidden_states=True)
    torch.testing.assert_close(output["last_hidden_state"], theirs.last_hidden_state, rtol=1e-5, atol=1e-5)
    assert output["image_embeds"] is output["last_hidden_state"] or torch.equal(
        output["image_embeds"], output["last_hidden_state"]
    )


def test_a_projector_of_llava_maps_the_states_of_squares(clip: Any, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(8)
    first, second = (torch.randn(shape, generator=generator).half().float() for shape in ((6, 32), (6, 6)))
    bias = torch.zeros(6)
    projector = {"linear_1.weight": first, "linear_1.bias": bias, "linear_2.weight": second, "linear_2.bias": bias}
    vision = load(
        tmp_path,
        {**clip.state_dict(), **{f"multi_modal_projector.{name}": value for name, value in projector.items()}},
    )
    output = vision.encode_image(IMAGE)
    states = output["penultimate_hidden_states"][:, 1:]
    expected = torch.nn.functional.gelu(states @ first.T) @ second.T
    torch.testing.assert_close(output.mm_projected, expected, rtol=1e-4, atol=1e-4)


def test_pictures_become_whole_255ths_before_they_are_normalised() -> None:
    image = torch.tensor([0.0, 0.5, 0.9995]).expand(1, 2, 2, 3)
    pixels = preprocess(image, 2, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    expected = torch.tensor([(0 - 0.1) / 0.5, (128 / 255 - 0.2) / 0.25, (1 - 0.3) / 2.0])
    torch.testing.assert_close(pixels[0, :, 0, 0], expected)


def test_a_row_is_halved_by_the_antialiased_cubic() -> None:
    """Keys' cubic with a = -0.5, stretched by two; weights worked out by hand and summing up to one."""
    row = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    image = row[None, None, :, None].expand(1, 8, 8, 3)
    pixels = preprocess(image, 4, *PLAIN, crop=False)

    def cubic(distance: float) -> float:
        d = abs(distance)
        return 1.5 * d**3 - 2.5 * d**2 + 1 if d < 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0

    expected = []
    for place in range(4):
        weights = [cubic((source + 0.5 - (place + 0.5) * 2) / 2) for source in range(8)]
        mean = sum(w * float(v) for w, v in zip(weights, row, strict=True)) / sum(weights)
        expected.append(round(min(max(mean, 0.0), 1.0) * 255) / 255)
    torch.testing.assert_close(pixels[0, 0, 0], torch.tensor(expected))


def test_a_wide_picture_is_cropped_in_the_middle_or_squeezed() -> None:
    image = torch.zeros(1, 4, 12, 3)
    image[:, :, 4:8] = 1.0
    assert preprocess(image, 4, *PLAIN, crop=True).mean() == 1.0
    squeezed = preprocess(image, 4, *PLAIN, crop=False)
    assert squeezed.shape == (1, 3, 4, 4)
    assert 0.2 < float(squeezed.mean()) < 0.5


def test_a_picture_of_the_right_size_is_not_scaled_and_alpha_is_dropped() -> None:
    image = torch.arange(4.0).reshape(1, 2, 2, 1).expand(-1, -1, -1, 4) / 255
    assert torch.equal(preprocess(image, 2, *PLAIN)[0, 0], torch.arange(4.0).reshape(2, 2) / 255)


@pytest.mark.parametrize("shape", [(28, 28, 3), (1, 28, 28, 1), (0, 28, 28, 3)])
def test_pictures_of_another_shape_are_refused(shape: tuple[int, ...], clip: Any, tmp_path: Path) -> None:
    with pytest.raises(GraphEngineError, match=r"pictures of shape \(B, H, W, 3\)"):
        load(tmp_path, clip.state_dict()).encode_image(torch.zeros(shape))


def test_a_single_pixel_is_seen(clip: Any, tmp_path: Path) -> None:
    assert load(tmp_path, clip.state_dict()).encode_image(torch.ones(1, 1, 1, 3))["image_embeds"].isfinite().all()


@pytest.mark.parametrize(
    "missing",
    [
        "vision_model.embeddings.patch_embedding.weight",
        "vision_model.encoder.layers.1.mlp.fc1.bias",
        "vision_model.post_layernorm.weight",
    ],
)
def test_a_missing_tensor_is_named(missing: str, clip: Any, tmp_path: Path) -> None:
    tensors = dict(clip.state_dict())
    del tensors[missing]
    with pytest.raises(ModelError, match=r"'vision\.safetensors'.*" + re.escape(missing)):
        load(tmp_path, tensors)


def test_something_else_is_no_image_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'vision\.safetensors' holds no image encoder"):
        load(tmp_path, {"weight": torch.zeros(2)})
    assert load_vision_of_checkpoint(open_checkpoint(tmp_path / "vision.safetensors"), "cpu") is None


def test_an_impossible_number_of_positions_is_named(clip: Any, tmp_path: Path) -> None:
    tensors = {**clip.state_dict(), "vision_model.embeddings.position_embedding.weight": torch.zeros(4, 32)}
    with pytest.raises(ModelError, match="4 positions and the width 32"):
        load(tmp_path, tensors)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vision_model.embeddings.patch_embedding.weight", torch.zeros(0, 3, 14, 14)),
        ("vision_model.embeddings.position_embedding.weight", torch.zeros(0, 32)),
        ("visual_projection.weight", torch.zeros(4)),
    ],
)
def test_tensors_of_impossible_shapes_are_named(name: str, value: Tensor, clip: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'vision\.safetensors' has an unsupported layout"):
        load(tmp_path, {**clip.state_dict(), name: value})


def test_a_fused_tensor_that_is_no_three_is_unknown(clip: Any, tmp_path: Path) -> None:
    tensors = open_clip(clip.state_dict(), "visual.")
    tensors["visual.transformer.resblocks.0.attn.in_proj_bias"] = torch.zeros(97)
    with pytest.raises(ModelError, match=r"'vision\.safetensors'.*attn\.in_proj_bias"):
        load(tmp_path, tensors)


def test_broken_weights_are_named(clip: Any, tmp_path: Path) -> None:
    tensors = {name: value.clone() for name, value in clip.state_dict().items()}
    tensors["vision_model.encoder.layers.1.mlp.fc1.bias"][0] = float("nan")
    with pytest.raises(ModelError, match=r"'vision\.safetensors' is damaged.*layers\.1\.mlp\.fc1\.bias"):
        load(tmp_path, tensors).encode_image(IMAGE)
