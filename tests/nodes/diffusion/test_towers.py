"""The text towers of SD2, SDXL and the refiner against those of transformers, and files of one tower."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.families.families import load_clip
from graphengine_nodes.diffusion.text.prompt import PromptError
from graphengine_nodes.diffusion.text.text_encode import TextEncoder, require_clip
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, open_checkpoint
from graphengine_nodes.diffusion.weights.weights import Place

from . import ldm_layout, tiny_models

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

START, CAT, END = 49406, 2368, 49407


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    folder = tmp_path_factory.mktemp("towers")
    writers: dict[str, Callable[[Path], Path]] = {
        "sd2": tiny_models.sd2_checkpoint,
        "sdxl": tiny_models.sdxl_checkpoint,
        "refiner": tiny_models.refiner_checkpoint,
    }
    return {name: open_checkpoint(write(folder / f"{name}.safetensors")) for name, write in writers.items()}


def encoder(checkpoint: Checkpoint) -> TextEncoder:
    return require_clip(load_clip(checkpoint, "cpu"))


def network(width: int, layers: int, activation: str) -> Any:
    config = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        projection_dim=width,
        hidden_act=activation,
    )
    return CLIPTextModelWithProjection(config).eval().requires_grad_(False)


def open_clip(checkpoint: Checkpoint, prefix: str, width: int, layers: int) -> Any:
    """OpenCLIP's tower in transformers, converted by diffusers."""
    module = network(width, layers, "gelu")
    tensors = {name: checkpoint.tensor(info).float() for name, info in checkpoint.entries.items()}
    converted = convert_open_clip_checkpoint(module, tensors, prefix)
    converted["text_projection.weight"] = tensors[f"{prefix}text_projection"].T  # the converter leaves SD2's out
    module.load_state_dict(converted, strict=False)
    return module


def hugging_face(checkpoint: Checkpoint, prefix: str, width: int, layers: int) -> Any:
    module = network(width, layers, "quick_gelu")
    part = {
        f"text_model.{name}": checkpoint.tensor(info).float() for name, info in checkpoint.part(prefix).items()
    }
    module.load_state_dict(part, strict=False)
    return module


def ids(pad: int) -> Tensor:
    return torch.tensor([[START, CAT, END, *[pad] * 74]])


def test_sd2_uses_the_layer_before_the_last_behind_the_final_norm(checkpoints: dict[str, Checkpoint]) -> None:
    encoded = encoder(checkpoints["sd2"]).encode("cat")
    module = open_clip(checkpoints["sd2"], tiny_models.SD2_H, 64, 3)
    expected = module(input_ids=ids(0), output_hidden_states=True)
    states = module.text_model.final_layer_norm(expected.hidden_states[-2])
    assert torch.allclose(encoded.states, states, atol=1e-5)
    assert encoded.pooled is not None
    assert torch.allclose(encoded.pooled, expected.text_embeds, atol=1e-5)


def test_sdxl_joins_the_layers_before_the_last_of_both_towers(checkpoints: dict[str, Checkpoint]) -> None:
    encoded = encoder(checkpoints["sdxl"]).encode("cat")
    small = hugging_face(checkpoints["sdxl"], tiny_models.SDXL_L, 64, 2)
    large = open_clip(checkpoints["sdxl"], tiny_models.SDXL_G, 128, 2)
    first = small(input_ids=ids(END), output_hidden_states=True)
    second = large(input_ids=ids(0), output_hidden_states=True)
    expected = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
    assert torch.allclose(encoded.states, expected, atol=1e-5)
    assert encoded.pooled is not None
    assert torch.allclose(encoded.pooled, second.text_embeds, atol=1e-5)


def test_the_refiner_has_the_large_tower_alone(checkpoints: dict[str, Checkpoint]) -> None:
    clip = encoder(checkpoints["refiner"])
    assert list(clip.towers) == ["g"]
    module = open_clip(checkpoints["refiner"], tiny_models.REFINER_G, 128, 2)
    expected = module(input_ids=ids(0), output_hidden_states=True)
    assert torch.allclose(clip.encode("cat").states, expected.hidden_states[-2], atol=1e-5)


def test_another_layer_of_sdxl_stays_without_the_final_norm(checkpoints: dict[str, Checkpoint]) -> None:
    encoded = encoder(checkpoints["sdxl"]).with_last_layer(-1).encode("cat")
    small = hugging_face(checkpoints["sdxl"], tiny_models.SDXL_L, 64, 2)
    taken: list[Tensor] = []
    small.text_model.final_layer_norm.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    small(input_ids=ids(END))
    assert torch.allclose(encoded.states[..., :64], taken[0], atol=1e-5)


def test_a_layer_beyond_a_tower_is_its_last_with_the_final_norm(checkpoints: dict[str, Checkpoint]) -> None:
    encoded = encoder(checkpoints["sdxl"]).with_last_layer(-24).encode("cat")
    small = hugging_face(checkpoints["sdxl"], tiny_models.SDXL_L, 64, 2)
    assert torch.allclose(encoded.states[..., :64], small(input_ids=ids(END)).last_hidden_state, atol=1e-5)


def test_tokens_stand_by_tower_and_are_padded_in_its_way(checkpoints: dict[str, Checkpoint]) -> None:
    tokens = encoder(checkpoints["sdxl"]).tokenize("cat " * 80)
    assert {name: len(chunks) for name, chunks in tokens.items()} == {"g": 2, "l": 2}
    assert tokens["l"][1][:8] == [(START, 1.0), *[(CAT, 1.0)] * 5, (END, 1.0), (END, 1.0)]
    assert tokens["g"][1][:8] == [(START, 1.0), *[(CAT, 1.0)] * 5, (END, 1.0), (0, 1.0)]


def test_states_of_towers_with_unequal_chunks_are_cut_to_the_shorter(checkpoints: dict[str, Checkpoint]) -> None:
    clip = encoder(checkpoints["sdxl"])
    tokens = clip.tokenize("cat") | {"l": clip.tokenize("cat " * 80)["l"]}
    assert clip.encode_tokens(tokens).states.shape == (1, 77, 192)


def test_tokens_of_another_family_are_refused(checkpoints: dict[str, Checkpoint]) -> None:
    sd2, sdxl = encoder(checkpoints["sd2"]), encoder(checkpoints["sdxl"])
    with pytest.raises(PromptError, match="the tokens are for 'h', but this CLIP needs some for 'g', 'l'"):
        sdxl.encode_tokens(sd2.tokenize("cat"))


def test_node_packs_find_the_methods_that_they_call(checkpoints: dict[str, Checkpoint]) -> None:
    clip = encoder(checkpoints["sdxl"])
    tokens = clip.tokenize("cat", return_word_ids=False)
    states, pooled = clip.encode_from_tokens(tokens, return_pooled=True)
    assert torch.equal(clip.encode_from_tokens(tokens), states)
    named = clip.encode_from_tokens(tokens, return_dict=True)
    assert torch.equal(named["cond"], states)
    assert torch.equal(named["pooled_output"], pooled)
    ((scheduled, options),) = clip.encode_from_tokens_scheduled(tokens, add_dict={"width": 8})
    assert torch.equal(scheduled, states)
    assert options["width"] == 8
    assert torch.equal(options["pooled_output"], pooled)


def test_node_packs_find_a_tower_by_name_and_which_text_tokens_come_from(
    checkpoints: dict[str, Checkpoint],
) -> None:
    clip = encoder(checkpoints["sdxl"])
    tokens = clip.tokenize("cat (cat:1.5)", return_word_ids=True)
    for chunks in tokens.values():
        assert chunks[0][:4] == [(START, 1.0, 0), (CAT, 1.0, 1), (CAT, 1.5, 2), (END, 1.0, 0)]
    states, pooled = clip.cond_stage_model.clip_g.encode_token_weights(clip.tokenize("cat")["g"])
    expected = clip.encode("cat")
    assert torch.equal(states, expected.states[..., 64:])
    assert pooled is not None
    assert expected.pooled is not None
    assert torch.equal(pooled, expected.pooled)
    assert not hasattr(clip.cond_stage_model, "t5xxl")


def test_a_pack_sets_the_layer_of_its_clone_alone(checkpoints: dict[str, Checkpoint]) -> None:
    clip = encoder(checkpoints["sdxl"])
    twin = clip.clone()
    twin.clip_layer(-1)
    assert (clip.layer_idx, twin.layer_idx) == (None, -1)
    assert not torch.equal(clip.encode("cat").states, twin.encode("cat").states)
    assert twin.load_model() is twin


def test_the_sources_of_a_fused_weight_name_its_rows(checkpoints: dict[str, Checkpoint]) -> None:
    component = encoder(checkpoints["sd2"]).components()["h"]
    layer = "text_model.encoder.layers.1.self_attn"
    assert component.sources["transformer.resblocks.1.attn.in_proj_weight"][2] == Place(
        f"{layer}.v_proj.weight", slice(128, 192)
    )
    info = checkpoints["sd2"].entries[f"{tiny_models.SD2_H}transformer.resblocks.1.attn.in_proj_weight"]
    fused = checkpoints["sd2"].tensor(info).float()
    assert torch.equal(component.weight(f"{layer}.v_proj.weight"), fused[128:])


def test_changed_weights_change_the_states_and_leave_the_others(checkpoints: dict[str, Checkpoint]) -> None:
    clip = encoder(checkpoints["sdxl"])
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    changed = clip.with_components({"l": clip.components()["l"].patched({name: [lambda weight: weight * 2]})})
    before, after = clip.encode("cat").states, changed.encode("cat").states
    assert not torch.equal(before[..., :64], after[..., :64])
    assert torch.equal(before[..., 64:], after[..., 64:])


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("conditioner.embedders.1.model.", "lacks the text tower 'g'"),
        ("conditioner.embedders.0.transformer.", "lacks the text tower 'l'"),
        ("conditioner.embedders.1.model.text_projection", "lacks tensor 'text_projection' of clip_g"),
        ("conditioner.embedders.1.model.token_embedding", "lacks tensor 'text_model.embeddings.token_embedding"),
        (
            "conditioner.embedders.1.model.ln_final",
            "does not fit the text tower clip_g: it lacks tensors text_model.f",
        ),
    ],
)
def test_a_tower_with_tensors_missing_names_file_and_tensors(
    lost: str, message: str, checkpoints: dict[str, Checkpoint], tmp_path: Path
) -> None:
    sdxl = checkpoints["sdxl"]
    kept = {name: sdxl.tensor(info) for name, info in sdxl.entries.items() if not name.startswith(lost)}
    save_file(kept, tmp_path / "broken.safetensors")
    with pytest.raises(ModelError, match=r"model file 'broken\.safetensors'") as error:
        load_clip(open_checkpoint(tmp_path / "broken.safetensors"), "cpu")
    assert message in error.value.message


def test_a_checkpoint_without_text_gives_no_clip(tmp_path: Path) -> None:
    path = ldm_layout.write(tmp_path / "unet.safetensors", tiny_models.sdxl_unet())
    assert load_clip(open_checkpoint(path), "cpu") is None
