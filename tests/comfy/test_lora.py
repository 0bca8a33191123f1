"""LoRAs as node packs apply them: with ComfyUI's functions, on values of ours."""

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_comfy.comfy import lora as comfy_lora
from graphengine_comfy.comfy import sd
from graphengine_nodes.diffusion.weights.weights import Component, Place
from tests.nodes.diffusion.weight_cases import clip, component, model, random, ready_weights

FUSED = {"to_q.weight": (2, 4), "to_k.weight": (4, 4), "a.weight": (6, 4), "a.bias": (6,)}
SOURCES = {
    "qk.weight": (Place("to_q.weight", slice(0, 2)), Place("to_k.weight", slice(2, 6))),
    "old.weight": (Place("a.weight"),),
    "old.bias": (Place("a.bias"),),
}
LAYER = "text_model.encoder.layers.0.mlp.fc1.weight"


@pytest.fixture
def weights(tmp_path: Path) -> Component:
    return component(tmp_path, FUSED, SOURCES)


def low_rank(stem: str, rows: int = 6) -> dict[str, Tensor]:
    return {f"{stem}.lora_up.weight": random(rows, 2, seed=1), f"{stem}.lora_down.weight": random(2, 4, seed=2)}


def delta(rows: int = 6) -> Tensor:
    return random(rows, 2, seed=1) @ random(2, 4, seed=2)


def test_packs_load_a_lora_and_add_its_patches(weights: Component) -> None:
    original = model(weights)
    twin = original.clone()
    keys = comfy_lora.model_lora_keys_unet(twin.model, {})
    loaded = comfy_lora.load_lora({**low_rank("lora_unet_old"), "lora_unet_old.diff_b": torch.ones(6)}, keys)
    assert loaded.keys() == {"diffusion_model.old.weight", "diffusion_model.old.bias"}
    assert set(twin.add_patches(loaded, 0.5)) == set(loaded)
    changed, before = ready_weights(twin.network.component), ready_weights(original.network.component)
    torch.testing.assert_close(changed["a.weight"], before["a.weight"] + 0.5 * delta())
    assert torch.equal(changed["a.bias"], before["a.bias"] + 0.5)
    assert changed["to_q.weight"] is before["to_q.weight"]


@pytest.mark.parametrize(
    ("stem", "rows", "changes"),
    [
        ("diffusion_model.qk", 6, {"to_q.weight": slice(0, 2), "to_k.weight": slice(2, 6)}),
        ("transformer.to_k", 4, {"to_k.weight": slice(0, 4)}),
        ("lora_unet_to_q", 2, {"to_q.weight": slice(0, 2)}),
    ],
)
def test_parts_of_a_fused_weight_have_keys_of_their_own(
    stem: str, rows: int, changes: dict[str, slice], weights: Component
) -> None:
    twin = model(weights)
    twin.add_patches(comfy_lora.load_lora(low_rank(stem, rows), comfy_lora.model_lora_keys_unet(twin)))
    changed, before = ready_weights(twin.network.component), ready_weights(weights)
    assert twin.network.component.changed == changes.keys()
    for name, part in changes.items():
        torch.testing.assert_close(changed[name], before[name] + delta(rows)[part])


def test_packs_patch_a_clip_in_the_same_way(tmp_path: Path) -> None:
    original = clip(**{tower: component(tmp_path, {LAYER: (6, 4)}, seed=n) for n, tower in enumerate(("l", "g"))})
    twin = original.clone()
    keys = comfy_lora.model_lora_keys_clip(twin.cond_stage_model, {"kept": 1})
    assert keys["kept"] == 1
    loaded = comfy_lora.load_lora(low_rank("lora_te2_text_model_encoder_layers_0_mlp_fc1"), keys)
    assert twin.add_patches(loaded, 2.0) == [f"clip_g.transformer.{LAYER}"]
    torch.testing.assert_close(
        ready_weights(twin.components()["g"])[LAYER], original.components()["g"].weight(LAYER) + 2 * delta()
    )
    assert twin.components()["l"].changed == original.components()["g"].changed == frozenset()


def test_names_without_a_weight_are_left_out_and_told(
    weights: Component, caplog: pytest.LogCaptureFixture
) -> None:
    keys = comfy_lora.model_lora_keys_unet(model(weights))
    with caplog.at_level(logging.WARNING):
        assert comfy_lora.load_lora(low_rank("strange"), keys) == {}
        assert comfy_lora.load_lora(low_rank("stranger"), keys, log_missing=False) == {}
    assert [record.getMessage() for record in caplog.records] == [
        "1 names of a LoRA fit no weight, 'strange' first"
    ]


def test_a_lora_of_tensors_changes_model_and_clip_at_once(weights: Component, tmp_path: Path) -> None:
    encoder = clip(l=component(tmp_path, {LAYER: (6, 4)}))
    tensors = {**low_rank("lora_unet_old"), **low_rank("lora_te_text_model_encoder_layers_0_mlp_fc1")}
    changed, changed_clip = sd.load_lora_for_models(model(weights), encoder, tensors, 1.0, 0.5)
    torch.testing.assert_close(changed.network.component.weight("a.weight"), weights.weight("a.weight") + delta())
    torch.testing.assert_close(
        changed_clip.components()["l"].weight(LAYER), encoder.components()["l"].weight(LAYER) + 0.5 * delta()
    )
    assert sd.load_lora_for_models(model(weights), None, tensors, 1.0, 0.0)[1] is None
    with pytest.raises(ModelError, match="belongs to another model"):
        sd.load_lora_for_models(model(weights), None, low_rank("strange"), 1.0, 0.0)


def test_packs_merge_clips_by_their_weights(tmp_path: Path) -> None:
    first, second = (clip(l=component(tmp_path, {LAYER: (6, 4)}, seed=seed)) for seed in (1, 2))
    merged = first.clone()
    for key, patch in second.get_key_patches().items():
        merged.add_patches({key: patch}, 0.75, 0.25)
    expected = 0.25 * first.components()["l"].weight(LAYER) + 0.75 * second.components()["l"].weight(LAYER)
    torch.testing.assert_close(merged.components()["l"].weight(LAYER), expected)


def test_packs_calculate_a_weight_from_a_list_of_patches() -> None:
    weight = random(6, 4).half()
    (adapter,) = comfy_lora.load_lora(low_rank("x"), {"x": "x.weight"}).values()
    patches = [(0.5, ("diff", (torch.ones(6, 4),)), 2.0, None, None), (1.0, adapter, 1.0, None)]
    patches.append((1.0, (torch.ones(2, 4),), 1.0, (0, 4, 2)))
    expected = 2 * weight.float() + 0.5 + delta()
    expected[4:] += 1
    result = comfy_lora.calculate_weight(patches, weight, "x.weight")
    torch.testing.assert_close(result, expected.half())
    with pytest.raises(ValueError, match="'x' is given a patch with a function"):
        comfy_lora.calculate_weight([(1.0, (weight,), 1.0, None, abs)], weight, "x")
