import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.lora.formats import AdapterFile, read_adapters
from graphengine_nodes.diffusion.lora.lora import apply_lora, family_of, load_lora
from graphengine_nodes.diffusion.weights import keymaps
from graphengine_nodes.diffusion.weights.weights import Component, Place, plain_sources

from . import ldm_layout
from .weight_cases import clip, component, model, random, ready_weights

UP, DOWN = random(6, 2, seed=1), random(2, 4, seed=2)
DELTA = UP @ DOWN


def lora(*stems: str, up: Tensor = UP, down: Tensor = DOWN, name: str = "some.safetensors") -> AdapterFile:
    """A LoRA that changes weights of 6 x 4 by DELTA."""
    tensors = {}
    for stem in stems:
        tensors[f"{stem}.lora_up.weight"], tensors[f"{stem}.lora_down.weight"] = up, down
    return read_adapters(name, tensors)


def changed_by(file: AdapterFile, weights: Component, strength: float = 1.0) -> Component:
    patched, _ = apply_lora(file, model(weights), None, strength, 0.0)
    assert patched is not None
    return patched.network.component


# A weight by its name in LDM's UNet, its parameter, and the stems that files of each origin have for it.
SDXL_NAMES = ("input_blocks.4.1.transformer_blocks.0.attn1.to_q", "input_blocks.4.0.emb_layers.1", "time_embed.0")
SDXL_STEMS = {
    "kohya, LDM names": "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q",
    "kohya, diffusers names": "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q",
    "diffusers": "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
    "diffusers, processors": "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q",
    "no prefix": "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
    "PEFT": "base_model.model.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
    "ComfyUI": "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q",
    "LyCORIS": "lycoris_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q",
}


@pytest.fixture
def sdxl(tmp_path: Path) -> Component:
    layout = ldm_layout.unet((32, 64, 96), (2, 2, 2), (False, True, True), 64)
    names = keymaps.unet_names(layout)
    sources = {f"{name}.weight": (Place(names[f"{name}.weight"]),) for name in SDXL_NAMES}
    return component(tmp_path, {places[0].name: (6, 4) for places in sources.values()}, sources)


@pytest.mark.parametrize("stem", SDXL_STEMS.values(), ids=SDXL_STEMS.keys())
def test_a_weight_of_a_unet_is_found_by_every_name_that_trainers_use(stem: str, sdxl: Component) -> None:
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    patched = changed_by(lora(stem), sdxl)
    assert patched.changed == {name}
    assert torch.equal(ready_weights(patched)[name], ready_weights(sdxl)[name] + DELTA)


def test_the_output_layer_of_attention_has_a_number_that_old_processors_leave_out(tmp_path: Path) -> None:
    weights = component(tmp_path, {"mid_block.attn1.to_out.0.weight": (6, 4)})
    patched = changed_by(lora("mid_block.attn1.processor.to_out"), weights)
    assert patched.changed == {"mid_block.attn1.to_out.0.weight"}


FLUX = {f"transformer_blocks.0.attn.to_{part}.weight": (2, 4) for part in "qkv"}
FLUX_SOURCES = {
    "double_blocks.0.img_attn.qkv.weight": tuple(
        Place(name, slice(start, start + 2)) for start, name in zip((0, 2, 4), FLUX, strict=True)
    )
}


@pytest.mark.parametrize(
    "stem",
    [
        "lora_unet_double_blocks_0_img_attn_qkv",
        "diffusion_model.double_blocks.0.img_attn.qkv",
        "double_blocks.0.img_attn.qkv",
    ],
)
def test_a_weight_that_the_file_fuses_changes_all_its_parts(stem: str, tmp_path: Path) -> None:
    weights = component(tmp_path, FLUX, FLUX_SOURCES)
    patched, before = ready_weights(changed_by(lora(stem), weights, 0.5)), ready_weights(weights)
    for start, name in zip((0, 2, 4), FLUX, strict=True):
        torch.testing.assert_close(patched[name], before[name] + 0.5 * DELTA[start : start + 2])


@pytest.mark.parametrize(
    "stem",
    [
        "transformer.transformer_blocks.0.attn.to_k",
        "lora_transformer_transformer_blocks_0_attn_to_k",
        "lora_unet_transformer_blocks_0_attn_to_k",
    ],
)
def test_a_part_of_a_fused_weight_is_found_by_its_name_in_diffusers(stem: str, tmp_path: Path) -> None:
    weights = component(tmp_path, FLUX, FLUX_SOURCES)
    name = "transformer_blocks.0.attn.to_k.weight"
    patched = changed_by(lora(stem, up=UP[:2]), weights)
    assert patched.changed == {name}
    torch.testing.assert_close(ready_weights(patched)[name], ready_weights(weights)[name] + DELTA[:2])


def test_parameters_without_an_ending_take_differences(tmp_path: Path) -> None:
    weights = component(tmp_path, {"blocks.0.scale_shift_table": (1, 6, 4), "a.bias": (3,)})
    file = read_adapters(
        "f", {"diffusion_model.blocks.0.scale_shift_table.diff": torch.ones(1, 6, 4), "a.diff_b": torch.ones(3)}
    )
    patched, before = ready_weights(changed_by(file, weights, 2.0)), ready_weights(weights)
    assert all(torch.equal(patched[name], before[name] + 2) for name in before)


LAYER = "encoder.layers.0.self_attn.q_proj.weight"
T5 = "encoder.block.0.layer.0.SelfAttention.q.weight"


@pytest.mark.parametrize(
    ("stem", "towers", "changed"),
    [
        ("lora_te_text_model_encoder_layers_0_self_attn_q_proj", ("l",), "l"),
        ("lora_te_text_model_encoder_layers_0_self_attn_q_proj", ("h",), "h"),
        ("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", ("l", "g"), "l"),
        ("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", ("l", "g"), "g"),
        ("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", ("g",), "g"),
        ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj", ("g", "l"), "l"),
        ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj", ("l", "g"), "l"),
        ("text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj", ("l", "g"), "g"),
        ("text_encoder.text_model.encoder.layers.0.self_attn.to_q", ("l",), "l"),
        ("text_encoders.clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj", ("l", "g"), "l"),
        ("clip_g.transformer.text_model.encoder.layers.0.self_attn.q_proj", ("l", "g"), "g"),
        ("lora_te3_encoder_block_0_layer_0_SelfAttention_q", ("l", "t5xxl"), "t5xxl"),
        ("lora_te3_encoder_block_0_layer_0_SelfAttention_q", ("l", "g", "t5xxl"), "t5xxl"),
        ("lora_te2_encoder_block_0_layer_0_SelfAttention_q", ("l", "t5xxl"), "t5xxl"),
        ("text_encoder_2.encoder.block.0.layer.0.SelfAttention.q", ("l", "t5xxl"), "t5xxl"),
        ("text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q", ("l", "t5xxl"), "t5xxl"),
    ],
)
def test_each_text_tower_is_found_by_its_prefix(
    stem: str, towers: Sequence[str], changed: str, tmp_path: Path
) -> None:
    names = {tower: T5 if tower == "t5xxl" else LAYER for tower in towers}
    encoder = clip(
        **{
            tower: component(tmp_path, {name: (6, 4)}, seed=number)
            for number, (tower, name) in enumerate(names.items())
        }
    )
    _, patched = apply_lora(lora(stem), None, encoder, 0.0, 0.5)
    assert patched is not None
    for tower, weights in patched.components().items():
        assert weights.changed == ({names[tower]} if tower == changed else set())
    expected = encoder.components()[changed].weight(names[changed]) + 0.5 * DELTA
    assert torch.equal(ready_weights(patched.components()[changed])[names[changed]], expected)


def test_strengths_of_model_and_clip_are_separate_and_zero_changes_nothing(tmp_path: Path) -> None:
    weights, encoder = component(tmp_path, {"a.weight": (6, 4)}), clip(l=component(tmp_path, {LAYER: (6, 4)}))
    file = lora("lora_unet_a", "lora_te_text_model_encoder_layers_0_self_attn_q_proj")
    plain = model(weights)
    assert apply_lora(file, plain, encoder, 0.0, 0.0) == (plain, encoder)
    changed, same = apply_lora(file, plain, encoder, 1.0, 0.0)
    assert changed is not plain
    assert same is encoder
    kept, other = apply_lora(file, plain, encoder, 0.0, 1.0)
    assert kept is plain
    assert other is not encoder


def test_the_first_model_keeps_its_weights_and_shares_those_that_are_not_changed(sdxl: Component) -> None:
    before = {name: weight.clone() for name, weight in ready_weights(sdxl).items()}
    patched = ready_weights(changed_by(lora(*SDXL_STEMS.values()), sdxl, 0.3))
    after = ready_weights(sdxl)
    assert all(torch.equal(before[name], after[name]) for name in before)
    shared = [name for name in after if patched[name] is after[name]]
    assert len(shared) == len(after) - 1


def test_loras_one_after_the_other_add_up(sdxl: Component) -> None:
    stem, name = "lora_unet_time_embed_0", "time_embedding.linear_1.weight"
    other = lora(stem, up=random(6, 1, seed=8), down=random(1, 4, seed=9))
    patched = changed_by(other, changed_by(lora(stem), sdxl, 0.5), -2.0)
    expected = sdxl.weight(name) + 0.5 * DELTA - 2 * random(6, 1, seed=8) @ random(1, 4, seed=9)
    torch.testing.assert_close(ready_weights(patched)[name], expected)


def test_names_that_fit_nothing_are_told_in_one_warning(sdxl: Component, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        changed_by(lora("lora_unet_time_embed_0", *(f"lora_unet_strange_{n}" for n in range(6))), sdxl)
    (record,) = caplog.records
    assert record.getMessage() == (
        "LoRA file 'some.safetensors': 1 of its 7 changes fit the model; left out are 6 "
        "(lora_unet_strange_0, lora_unet_strange_1, lora_unet_strange_2, lora_unet_strange_3, …)"
    )


def test_changes_of_a_text_encoder_are_no_surprise_where_only_a_model_is_given(
    sdxl: Component, caplog: pytest.LogCaptureFixture
) -> None:
    changed_by(lora("lora_unet_time_embed_0", "lora_te1_text_model_encoder_layers_0_mlp_fc1"), sdxl)
    assert not caplog.records


def test_a_lora_for_another_family_names_it(sdxl: Component) -> None:
    with pytest.raises(ModelError, match=r"'some\.safetensors' belongs to another model: none of its 1") as error:
        changed_by(lora("transformer.single_transformer_blocks.0.attn.to_q"), sdxl)
    assert error.value.hint == "the file seems to be for Flux; load it with such a model"


def test_a_lora_of_another_width_names_the_weight_and_both_shapes(sdxl: Component) -> None:
    with pytest.raises(ModelError, match=r"'lora_unet_time_embed_0' changes a weight of 6 x 5 .* has 6 x 4"):
        changed_by(lora("lora_unet_time_embed_0", down=random(2, 5)), sdxl)


@pytest.mark.parametrize(
    ("stem", "columns", "family"),
    [
        ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k", 768, "SD1.x"),
        ("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", 2048, "SDXL"),
        ("lora_unet_joint_blocks_0_x_block_attn_qkv", 4, "SD3"),
        ("transformer.transformer_blocks.0.attn.add_k_proj", 4, "SD3"),
        ("diffusion_model.blocks.0.self_attn.q", 4, "Wan"),
        ("transformer_blocks.0.img_mlp.net.2", 4, "Qwen-Image"),
        ("lora_unet_something", 4, None),
    ],
)
def test_the_family_of_a_lora_is_told_from_its_names(stem: str, columns: int, family: str | None) -> None:
    assert family_of(lora(stem, down=random(2, columns))) == family


def test_one_layer_of_another_shape_among_many_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shapes = {f"layers.{number}.weight": (6, 4) for number in range(20)}
    weights = component(tmp_path, {**shapes, "conv_in.weight": (6, 9)})
    file = lora(*(name.removesuffix(".weight") for name in shapes), "conv_in")
    with caplog.at_level(logging.WARNING):
        assert changed_by(file, weights).changed == shapes.keys()
    (record,) = caplog.records
    assert "'conv_in' changes a weight of 6 x 4 numbers" in record.getMessage()


def test_a_rotation_of_a_weight_that_the_model_holds_in_parts_is_refused(tmp_path: Path) -> None:
    weights = component(tmp_path, FLUX, FLUX_SOURCES)
    file = read_adapters("oft", {"lora_unet_double_blocks_0_img_attn_qkv.oft_blocks": random(3, 2, 2)})
    with pytest.raises(ModelError, match="as a whole, which the model holds in 3 parts"):
        changed_by(file, weights)


def test_a_lora_is_read_from_its_file_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"lora_unet_a.lora_up.weight": UP.half(), "lora_unet_a.lora_down.weight": DOWN.half()}, path)
    assert [*load_lora(path).adapters] == ["lora_unet_a"]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelError, match=r"'a\.safetensors' is truncated"):
        load_lora(path)
    pickled = tmp_path / "b.ckpt"
    pickled.write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ModelError, match="pickle"):
        load_lora(pickled)


def test_a_lora_with_numbers_that_are_not_finite_fails_when_the_model_is_used(sdxl: Component) -> None:
    patched = changed_by(lora("lora_unet_time_embed_0", up=UP * float("inf")), sdxl)
    with pytest.raises(ModelError, match="not finite"):
        patched.ready()


def test_plain_sources_and_parameters_are_both_names(tmp_path: Path) -> None:
    weights = component(tmp_path, {"new.weight": (6, 4)}, plain_sources({"old.weight": "new.weight"}))
    for stem in ("lora_unet_old", "unet.new"):
        assert changed_by(lora(stem), weights).changed == {"new.weight"}
