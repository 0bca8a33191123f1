import warnings
from typing import Any

import pytest

from graphengine_nodes.diffusion.weights import keymaps
from graphengine_nodes.diffusion.weights.weights import Place

from . import ldm_layout

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers.loaders import single_file_utils

SD15 = (ldm_layout.SD15_WIDTHS, (2, 2, 2, 2), (True, True, True, False), 768)
NARROW = ((32, 64, 96), (1, 1, 1), (True, True, False), 64)
MIDDLE_ONLY = ((32, 64), (3, 3), (False, True), 64)


class Named(str):
    """A tensor's name in the place of the tensor: the converter of diffusers asks for shapes here and there."""

    shape = (1, 1)


@pytest.mark.parametrize("sizes", [SD15, NARROW, MIDDLE_ONLY])
def test_unet_names_are_those_that_diffusers_converts_to(sizes: Any) -> None:
    names = ldm_layout.unet(*sizes, depth=2)
    expected = single_file_utils.convert_ldm_unet_checkpoint(
        {ldm_layout.UNET + name: Named(name) for name in names}, {"layers_per_block": sizes[1][0]}
    )
    assert {new: old for old, new in keymaps.unet_names(names).items()} == expected


@pytest.mark.parametrize("sizes", [((128, 256, 512, 512), 2), ((32, 64), 1)])
def test_vae_names_are_those_that_diffusers_converts_to(sizes: Any) -> None:
    names = ldm_layout.kl(*sizes)
    levels = range(len(sizes[0]))
    expected = single_file_utils.convert_ldm_vae_checkpoint(
        {ldm_layout.VAE + name: Named(name) for name in names},
        {"down_block_types": list(levels), "up_block_types": list(levels)},
    )
    assert {new: old for old, new in keymaps.vae_names(names).items()} == expected


def test_unet_levels_may_have_different_numbers_of_blocks() -> None:
    names = keymaps.unet_names(ldm_layout.unet((32, 64), (1, 2), (True, True), 64))
    assert names["input_blocks.2.0.op.weight"] == "down_blocks.0.downsamplers.0.conv.weight"
    assert names["input_blocks.4.0.in_layers.0.weight"] == "down_blocks.1.resnets.1.norm1.weight"
    assert names["output_blocks.2.2.conv.weight"] == "up_blocks.0.upsamplers.0.conv.weight"
    assert names["output_blocks.3.1.proj_in.weight"] == "up_blocks.1.attentions.0.proj_in.weight"


def test_vae_names_of_diffusers_stay_and_old_attention_names_are_renewed() -> None:
    names = [
        "encoder.down_blocks.0.resnets.0.norm1.weight",
        "decoder.mid_block.attentions.0.query.weight",
        "decoder.mid_block.attentions.0.proj_attn.bias",
        "decoder.mid_block.attentions.0.to_k.weight",
        "decoder.mid_block.attentions.0.group_norm.weight",
    ]
    assert list(keymaps.vae_names(names).values()) == [
        names[0],
        "decoder.mid_block.attentions.0.to_q.weight",
        "decoder.mid_block.attentions.0.to_out.0.bias",
        names[3],
        names[4],
    ]


def test_taesd_names_skip_the_clamp_before_the_decoder() -> None:
    assert keymaps.taesd_names(["taesd_encoder.1.conv.2.bias", "taesd_decoder.1.weight", "vae_scale"]) == {
        "taesd_encoder.1.conv.2.bias": "encoder.layers.1.conv.2.bias",
        "taesd_decoder.1.weight": "decoder.layers.0.weight",
    }


def test_clip_names_of_both_forms_become_those_of_the_installed_transformers() -> None:
    names = ["text_model.final_layer_norm.weight", "embeddings.position_ids", "encoder.layers.0.mlp.fc1.bias"]
    places = keymaps.clip_places(dict.fromkeys(names, (1,)))
    assert places == {names[0]: (Place(names[0]),), names[2]: (Place(f"text_model.{names[2]}"),)}


def test_openclip_names_become_those_of_transformers_and_fused_tensors_three() -> None:
    block, layer = "transformer.resblocks.2", "text_model.encoder.layers.2"
    places = keymaps.clip_places(
        {
            "token_embedding.weight": (8, 4),
            "positional_embedding": (3, 4),
            f"{block}.attn.in_proj_weight": (12, 4),
            f"{block}.mlp.c_fc.bias": (16,),
            "text_projection": (4, 5),
            "ln_final.bias": (4,),
            "logit_scale": (),
        }
    )
    fused = places.pop(f"{block}.attn.in_proj_weight")
    assert fused == (
        Place(f"{layer}.self_attn.q_proj.weight", slice(0, 4)),
        Place(f"{layer}.self_attn.k_proj.weight", slice(4, 8)),
        Place(f"{layer}.self_attn.v_proj.weight", slice(8, 12)),
    )
    assert {name: place.name for name, (place,) in places.items()} == {
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        f"{block}.mlp.c_fc.bias": f"{layer}.mlp.fc1.bias",
        "text_projection": "text_projection.weight",
        "ln_final.bias": "text_model.final_layer_norm.bias",
    }


def test_names_that_are_no_weights_are_left_out() -> None:
    names = ["loss.logvar", "model_ema.decay", "quant_conv.weight", "text_projection.weight", "logit_scale"]
    assert keymaps.used(names) == ["quant_conv.weight"]


def test_unknown_names_stay_as_they_are() -> None:
    names = [
        *ldm_layout.unet(*NARROW),
        "surprise.weight",
        "input_blocks.99.0.in_layers.0.weight",
        "middle_block.x",
    ]
    mapped = keymaps.unet_names(names)
    assert mapped["surprise.weight"] == "surprise.weight"
    assert mapped["middle_block.x"] == "middle_block.x"
