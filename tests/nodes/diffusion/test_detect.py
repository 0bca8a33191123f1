import pytest

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.weights import detect, keymaps
from graphengine_nodes.diffusion.weights.detect import ClipConfig, KLConfig, TaesdConfig, UNetConfig

from . import ldm_layout

OTHERS = {
    "model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight": "an SD3 checkpoint",
    "model.diffusion_model.double_blocks.0.img_attn.qkv.weight": "a Flux model",
    "double_blocks.0.img_attn.qkv.weight": "a Flux model",
    "blocks.0.self_attn.q.weight|head.modulation": "a Wan video model",
    "transformer_blocks.0.img_mlp.net.0.proj.weight": "a Qwen-Image model",
    "model.diffusion_model.input_blocks.1.1.time_stack.0.norm1.weight": "a Stable Video Diffusion model",
    "blocks.0.self_attn.q.weight|vace_blocks.0.before_proj.weight|head.modulation": "a Wan VACE model",
    "net.blocks.0.adaln_modulation_cross_attn.1.weight": "a Cosmos Predict2 model",
    "double_stream_modulation_img.lin.weight|double_blocks.0.img_attn.qkv.weight": "a Flux.2 model",
    "encoder.block.0.layer.0.SelfAttention.q.weight": "a text encoder",
    "lora_unet_down_blocks_0.lora_up.weight": "a LoRA",
    "unet.down_blocks.0.attentions.0.to_q.lora_A.weight": "a LoRA",
    "control_model.input_blocks.0.0.weight": "a ControlNet",
    "emb_params": "a textual inversion embedding",
    "down_blocks.0.resnets.0.conv1.weight": "the UNet of a Stable Diffusion model with tensors missing",
    "input_blocks.0.0.weight": "the UNet of a Stable Diffusion model with tensors missing",
    "first_stage_model.encoder.conv_in.weight": "a VAE",
    "decoder.conv_in.weight": "a VAE",
    "text_model.embeddings.token_embedding.weight": "a text encoder",
}


@pytest.mark.parametrize("names", OTHERS)
def test_a_file_of_another_kind_is_named(names: str) -> None:
    error = detect.refusal("m.safetensors", names.split("|"))
    assert f"'m.safetensors' looks like {OTHERS[names]}" in error.message


def test_a_file_of_no_known_kind_says_where_to_look() -> None:
    error = detect.refusal("m.safetensors", ["something.weight"], known=["a Flux model"])
    assert "is of no known kind" in error.message
    assert error.hint == "docs/models.md says which models run: a Flux model"


def unet_config(shapes: ldm_layout.Shapes) -> UNetConfig:
    return detect.unet_config("m", {new: shapes[old] for old, new in keymaps.unet_names(shapes).items()})


def test_the_sizes_of_sd15_are_found() -> None:
    shapes = ldm_layout.sd15()
    unet = {name.removeprefix(ldm_layout.UNET): s for name, s in shapes.items() if name.startswith("model.")}
    assert unet_config(unet) == UNetConfig(
        in_channels=4,
        out_channels=4,
        widths=(320, 640, 1280, 1280),
        blocks=(2, 2, 2, 2),
        down_depth=((1, 1), (1, 1), (1, 1), (0, 0)),
        middle_depth=1,
        up_depth=((0, 0, 0), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
        context=768,
        linear_projection=False,
        only_cross=(False, False, False, False),
    )


def test_the_sizes_of_other_unets_are_found() -> None:
    config = unet_config(ldm_layout.unet((64, 96), (1, 3), (False, True), 128, depth=2, linear=True))
    down, up = ((0,), (2, 2, 2)), ((2, 2, 2, 2), (0, 0))
    assert config == UNetConfig(4, 4, (64, 96), (1, 3), down, 2, up, 128, True, only_cross=(False, False))


def test_the_depth_of_the_middle_counts_when_the_last_level_has_no_attention() -> None:
    config = unet_config(ldm_layout.unet((32, 64), (1, 1), (True, False), 64, depth=3))
    assert (config.down_depth, config.middle_depth) == (((3,), (0,)), 3)


def text_model(width: int, layers: int) -> ldm_layout.Shapes:
    return {f"text_model.{name}": shape for name, shape in ldm_layout.clip(width, layers).items()}


def test_clip_and_vae_sizes_are_found() -> None:
    assert detect.clip_config("m", text_model(128, 2)) == ClipConfig(49408, 77, 128, 512, 2)
    kl = ldm_layout.kl((32, 64), 1)
    assert detect.kl_config("m", {new: kl[old] for old, new in keymaps.vae_names(kl).items()}) == KLConfig(
        channels=3, latent_channels=4, widths=(32, 64), blocks=1
    )
    tiny = ldm_layout.taesd(48)
    assert detect.taesd_config(
        "m", {new: tiny[old] for old, new in keymaps.taesd_names(tiny).items()}
    ) == TaesdConfig(
        channels=3,
        latent_channels=4,
        encoder_widths=(48, 48, 48, 48),
        encoder_blocks=(1, 3, 3, 3),
        decoder_widths=(48, 48, 48, 48),
        decoder_blocks=(3, 3, 3, 1),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_blocks.1.1.proj_in.weight": None}, "lacks tensor 'down_blocks.0.attentions.0.proj_in.weight'"),
        ({"input_blocks.1.0.in_layers.2.weight": None}, "lacks tensor 'down_blocks.0.resnets.0.conv1.weight'"),
        ({"input_blocks.1.0.in_layers.2.weight": (33, 32, 3, 3)}, "the UNet width 33 is no multiple of 32"),
        ({"input_blocks.1.0.in_layers.2.weight": (0, 32, 3, 3)}, "the UNet width 0 is no multiple of 32"),
        ({"input_blocks.1.0.in_layers.2.weight": (32,)}, r"has the shape \[32\]"),
    ],
)
def test_an_impossible_unet_is_refused(change: dict[str, tuple[int, ...] | None], message: str) -> None:
    shapes = ldm_layout.unet((32, 64), (1, 1), (True, False), 64) | change
    with pytest.raises(ModelError, match=message):
        unet_config({name: shape for name, shape in shapes.items() if shape is not None})


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("embeddings.token_embedding.weight", (1000, 64)),
        ("embeddings.token_embedding.weight", (49408, 96)),
        ("embeddings.position_embedding.weight", (50, 64)),
    ],
)
def test_an_impossible_text_tower_is_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="unsupported layout"):
        detect.clip_config("m", text_model(64, 1) | {f"text_model.{name}": shape})


def test_a_tiny_autoencoder_without_convolutions_is_refused() -> None:
    with pytest.raises(ModelError, match="0 plain convolutions"):
        detect.taesd_config("m", {"encoder.layers.1.conv.0.weight": (1, 1, 1, 1)})


def test_a_vae_loader_names_what_is_no_vae() -> None:
    detect.check_vae("m", ldm_layout.kl((32,), 1))
    detect.check_vae("m", ldm_layout.taesd(32))
    with pytest.raises(ModelError, match="looks like a LoRA"):
        detect.check_vae("m", ["lora_te_text_model.lora_down.weight"])
