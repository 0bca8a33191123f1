"""The nodes that load text encoders and encode prompts, and embeddings in prompts."""

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graphengine.errors import ModelError
from graphengine.node.api import NodeContext
from graphengine.node.folders import Folders
from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling
from graphengine_nodes.diffusion.nodes import clip_nodes
from graphengine_nodes.diffusion.nodes.clip_nodes import (
    CLIPAttentionMultiply,
    CLIPSetLastLayer,
    CLIPTextEncode,
    CLIPTextEncodeSDXL,
    CLIPTextEncodeSDXLRefiner,
)
from graphengine_nodes.diffusion.nodes.loader_nodes import (
    CheckpointLoader,
    CheckpointLoaderSimple,
    CLIPLoader,
    DualCLIPLoader,
    VAELoader,
)
from graphengine_nodes.diffusion.text.text_encode import TextEncoder, require_clip
from graphengine_nodes.diffusion.text.towers import ClipTower
from tests.nodes.core.described import described

from . import ldm_layout, tiny_models

SIZES = {"width": 64, "height": 96, "crop_w": 8, "crop_h": 0, "target_width": 64, "target_height": 96}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> NodeContext:
    root = tmp_path_factory.mktemp("models")
    kinds = ("checkpoints", "text_encoders", "embeddings", "vae")
    for kind in kinds:
        (root / kind).mkdir()
    tiny_models.sdxl_checkpoint(root / "checkpoints/sdxl.safetensors")
    tiny_models.sd2_checkpoint(root / "checkpoints/sd2.safetensors")
    tiny_models.sd1_checkpoint(root / "checkpoints/sd1.safetensors")
    tiny_models.clip_l_file(root / "text_encoders/l.safetensors")
    tiny_models.clip_g_file(root / "text_encoders/g.safetensors")
    tiny_models.clip_g_file(root / "text_encoders/open_g.safetensors", open_clip=True)
    tiny_models.clip_h_file(root / "text_encoders/h.safetensors")
    ldm_layout.write(root / "text_encoders/vae.safetensors", ldm_layout.kl((32, 64), 1))
    vectors = torch.arange(128.0).reshape(2, 64) / 100
    save_file({"emb_params": vectors}, root / "embeddings/one.safetensors")
    save_file({"clip_g": torch.ones(3, 128), "clip_l": vectors}, root / "embeddings/both.safetensors")
    save_file({"emb_params": torch.ones(2, 96)}, root / "embeddings/wide.safetensors")
    (root / "embeddings/old.pt").write_bytes(pickle.dumps({}))
    return NodeContext(folders=Folders(models={kind: (root / kind,) for kind in kinds}))


@pytest.fixture(scope="module")
def sdxl(context: NodeContext) -> TextEncoder:
    return require_clip(CheckpointLoaderSimple().load(ckpt_name="sdxl.safetensors", context=context)[1])


@pytest.fixture(scope="module")
def sd1(context: NodeContext) -> TextEncoder:
    return require_clip(CheckpointLoaderSimple().load(ckpt_name="sd1.safetensors", context=context)[1])


def load(context: NodeContext, kind: str, name: str) -> TextEncoder:
    (clip,) = CLIPLoader().load(clip_name=name, type=kind, context=context)
    return clip


def test_the_definitions_are_those_that_saved_workflows_were_made_with() -> None:
    expected = json.loads(Path(__file__).with_name("clip_definitions.json").read_text())
    assert described(clip_nodes.NODE_CLASS_MAPPINGS, clip_nodes.NODE_DISPLAY_NAME_MAPPINGS) == expected


@pytest.mark.parametrize(
    ("name", "tower", "width"), [("l", "l", 64), ("h", "h", 64), ("g", "g", 128), ("open_g", "g", 128)]
)
def test_one_file_is_known_by_its_layers(name: str, tower: str, width: int, context: NodeContext) -> None:
    clip = load(context, "stable_diffusion", f"{name}.safetensors")
    assert list(clip.towers) == [tower]
    assert clip.encode("cat").states.shape == (1, 77, width)


@pytest.mark.parametrize("names", [("l", "g"), ("g", "l")])
def test_two_files_make_sdxls_clip_in_either_order(names: tuple[str, str], context: NodeContext) -> None:
    first, second = (f"{name}.safetensors" for name in names)
    (clip,) = DualCLIPLoader().load(
        clip_name1=first, clip_name2=second, type="sdxl", device="cpu", context=context
    )
    encoded = clip.encode("cat")
    assert encoded.states.shape == (1, 77, 192)
    assert encoded.pooled is not None
    assert encoded.pooled.shape == (1, 128)


def test_both_layouts_of_one_tower_give_states_of_one_shape_and_the_same_tokens(context: NodeContext) -> None:
    plain, open_clip = (load(context, "stable_diffusion", f"{name}.safetensors") for name in ("g", "open_g"))
    assert plain.tokenize("cat") == open_clip.tokenize("cat")
    assert plain.components()["g"].shapes() == open_clip.components()["g"].shapes()


def test_the_image_tower_of_a_whole_clip_is_left_out(context: NodeContext) -> None:
    root = context.folders.roots("text_encoders")[0]
    picture = {"vision_model.pre_layrnorm.weight": (8,), "visual_projection.weight": (8, 8), "logit_scale": ()}
    shapes = tiny_models.prefixed("text_model.", ldm_layout.clip(64, 2)) | picture
    ldm_layout.write(root / "whole.safetensors", shapes)
    whole, text = (load(context, "stable_diffusion", name) for name in ("whole.safetensors", "l.safetensors"))
    assert torch.equal(whole.encode("cat").states, text.encode("cat").states)


def test_a_file_of_another_kind_is_named(context: NodeContext) -> None:
    with pytest.raises(ModelError, match=r"'vae\.safetensors' looks like a VAE"):
        load(context, "stable_diffusion", "vae.safetensors")


def test_a_type_of_an_unknown_family_says_which_are_known(context: NodeContext) -> None:
    with pytest.raises(ModelError, match="type 'stable_audio' cannot be loaded") as error:
        load(context, "stable_audio", "l.safetensors")
    assert "stable_diffusion" in str(error.value.hint)


def test_sdxl_takes_a_prompt_for_each_tower_and_fills_the_shorter(sdxl: TextEncoder) -> None:
    (conditioning,) = CLIPTextEncodeSDXL().encode(clip=sdxl, text_g="dog", text_l="cat " * 80, **SIZES)
    ((states, options),) = conditioning
    assert states.shape == (1, 154, 192)
    assert {name: options[name] for name in SIZES} == SIZES
    tokens = sdxl.tokenize("dog")
    small = sdxl.tokenize("cat " * 80)["l"]
    expected = sdxl.encode_tokens({"l": small, "g": tokens["g"] + sdxl.tokenize("")["g"]})
    assert torch.equal(states, expected.states)
    assert expected.pooled is not None
    assert torch.equal(options["pooled_output"], expected.pooled)


def test_a_clip_that_is_not_sdxls_is_refused_by_its_node(sd1: TextEncoder) -> None:
    with pytest.raises(ModelError, match="the CLIP has the text towers l, but SDXL's prompts need l and g"):
        CLIPTextEncodeSDXL().encode(clip=sd1, text_g="", text_l="", **SIZES)


def test_the_refiner_is_told_size_and_score(context: NodeContext) -> None:
    clip = load(context, "stable_diffusion", "g.safetensors")
    (conditioning,) = CLIPTextEncodeSDXLRefiner().encode(clip=clip, text="cat", ascore=7.5, width=8, height=16)
    ((_, options),) = conditioning
    assert (options["aesthetic_score"], options["width"], options["height"]) == (7.5, 8, 16)
    assert options["pooled_output"].shape == (1, 128)


def test_the_last_layer_is_set_in_all_towers(sdxl: TextEncoder) -> None:
    (changed,) = CLIPSetLastLayer().set_last_layer(clip=sdxl, stop_at_clip_layer=-1)
    towers = [tower for tower in changed.towers.values() if isinstance(tower, ClipTower)]
    assert [tower.layer for tower in towers] == [-1, -1]


def test_attention_is_multiplied_in_weights_and_biases(sd1: TextEncoder) -> None:
    (changed,) = CLIPAttentionMultiply().multiply(clip=sd1, q=2.0, k=1.0, v=1.0, out=0.5)
    before, after = sd1.components()["l"], changed.components()["l"]
    layer = "text_model.encoder.layers.1.self_attn"
    for name, factor in (("q_proj.weight", 2), ("q_proj.bias", 2), ("k_proj.weight", 1), ("out_proj.bias", 0.5)):
        assert torch.equal(after.weight(f"{layer}.{name}"), before.weight(f"{layer}.{name}") * factor)
    assert len(after.changed) == 2 * 2 * 2
    (same,) = CLIPAttentionMultiply().multiply(clip=sd1, q=1.0, k=1.0, v=1.0, out=1.0)
    assert torch.equal(same.encode("cat").states, sd1.encode("cat").states)


def test_the_name_of_a_configuration_decides_what_the_file_does_not_say(context: NodeContext) -> None:
    def loaded(config: str, name: str) -> Any:
        return CheckpointLoader().load(config_name=config, ckpt_name=f"{name}.safetensors", context=context)

    def prediction(config: str) -> str:
        sampling = loaded(config, "sd2")[0].sampling
        assert isinstance(sampling, DiscreteSampling)
        return sampling.prediction

    assert prediction("v2-inference-v_fp32.yaml") == "v"
    assert prediction("v2-inference.yaml") == "eps"
    assert loaded("v1-inference_clip_skip_2_fp16.yaml", "sd1")[1].layer_idx == -2
    assert loaded("v1-inference.yaml", "sd1")[1].layer_idx is None


def test_pixel_space_is_a_vae_without_a_network(context: NodeContext) -> None:
    (vae,) = VAELoader().load(vae_name="pixel_space", context=context)
    pictures = torch.rand(2, 5, 7, 3)
    latent = vae.encode(pictures)
    assert latent.shape == (2, 3, 5, 7)
    assert torch.allclose(latent.movedim(1, -1), pictures * 2 - 1)
    assert torch.allclose(vae.decode(latent), pictures, atol=1e-6)


def test_an_embedding_stands_for_its_vectors(sd1: TextEncoder) -> None:
    (chunk,) = sd1.tokenize("a (embedding:one:1.5) cat")["l"]
    vectors = torch.arange(128.0).reshape(2, 64) / 100
    assert [weight for _, weight in chunk[:6]] == [1.0, 1.0, 1.5, 1.5, 1.0, 1.0]
    for place, vector in enumerate(vectors, start=2):
        assert torch.equal(torch.as_tensor(chunk[place][0]), vector)
    assert [chunk[place][0] for place in (0, 1, 4, 5)] == [49406, 320, 2368, 49407]


def test_vectors_take_the_place_of_token_embeddings(sd1: TextEncoder) -> None:
    weight = sd1.components()["l"].weight("text_model.embeddings.token_embedding.weight")
    tokens = sd1.tokenize("a cat")["l"]
    replaced = [
        [(weight[token] if isinstance(token, int) and token == 2368 else token, w) for token, w in tokens[0]]
    ]
    assert torch.equal(sd1.encode_tokens({"l": replaced}).states, sd1.encode("a cat").states)
    (conditioning,) = CLIPTextEncode().encode(text="embedding:one", clip=sd1)
    assert not torch.equal(conditioning[0][0], sd1.encode("").states)


def test_each_tower_takes_its_own_vectors(sdxl: TextEncoder) -> None:
    tokens = sdxl.tokenize("embedding:both.safetensors")
    vectors = {
        name: [tuple(token.shape) for token, _ in chunks[0] if not isinstance(token, int)]
        for name, chunks in tokens.items()
    }
    assert vectors == {"g": [(128,)] * 3, "l": [(64,)] * 2}


def test_a_comma_behind_the_name_of_an_embedding_is_text(sd1: TextEncoder) -> None:
    (chunk,) = sd1.tokenize("embedding:one, cat")["l"]
    assert [token for token, _ in chunk[3:6]] == [267, 2368, 49407]


@pytest.mark.parametrize(
    ("name", "warning"),
    [("none", "there is no embedding 'none'"), ("wide", "'wide' has vectors of shape [2, 96]")],
)
def test_an_embedding_that_cannot_be_used_is_left_out_with_a_warning(
    name: str, warning: str, sd1: TextEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        tokens = sd1.tokenize(f"cat embedding:{name}")
    assert tokens == sd1.tokenize("cat")
    assert warning in caplog.text


def test_an_embedding_in_a_pickle_of_another_kind_is_refused(sd1: TextEncoder) -> None:
    with pytest.raises(ModelError, match=r"'old\.pt' is a pickle") as error:
        sd1.tokenize("embedding:old")
    assert "safetensors" in str(error.value.hint)
