"""LoRAs on models of every family, loaded as a workflow does it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from graphengine_nodes.diffusion.families.families import load_checkpoint, load_model
from graphengine_nodes.diffusion.lora.formats import AdapterFile, read_adapters
from graphengine_nodes.diffusion.lora.lora import apply_lora
from graphengine_nodes.diffusion.model.model import DiffusionModel, NetworkCall
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint
from graphengine_nodes.diffusion.weights.weights import Component

from . import ldm_layout, tiny_dit, tiny_dit_others, tiny_models
from .weight_cases import random, ready_weights

TRANSFORMERS: dict[str, Callable[[], ldm_layout.Shapes]] = {
    make.__name__: make
    for make in (
        tiny_dit.sd3,
        tiny_dit.flux,
        tiny_dit.qwen_image,
        tiny_dit.wan,
        tiny_dit_others.chroma,
        tiny_dit_others.lumina2,
        tiny_dit_others.z_image,
        tiny_dit_others.hidream,
        tiny_dit_others.hunyuan_video,
        tiny_dit_others.mochi,
        tiny_dit_others.ltx_video,
        tiny_dit_others.aura_flow,
    )
}


def rank_one(shapes: dict[str, tuple[int, ...]], stem: Callable[[str], str]) -> AdapterFile:
    """A LoRA of ones for each weight of these shapes: it adds 1 to every number."""
    tensors: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name.endswith(".weight") and len(shape) > 1:
            base = stem(name.removesuffix(".weight"))
            tensors[f"{base}.lora_up.weight"] = torch.ones(shape[0], 1, *[1] * (len(shape) - 2))
            tensors[f"{base}.lora_down.weight"] = torch.ones(1, *shape[1:])
    return read_adapters("ones", tensors)


def kohya(name: str) -> str:
    return "lora_unet_" + name.replace(".", "_")


def added_one(patched: Component, plain: Component) -> bool:
    before, after = ready_weights(plain), ready_weights(patched)
    return all(torch.equal(after[name], before[name] + 1) for name in patched.changed)


def unet_of(file: Path) -> dict[str, tuple[int, ...]]:
    return {name: info.shape for name, info in open_checkpoint(file).part(ldm_layout.UNET).items()}


@pytest.mark.parametrize(
    "make",
    [
        tiny_models.sd1_checkpoint,
        tiny_models.sd2_checkpoint,
        tiny_models.sdxl_checkpoint,
        tiny_models.refiner_checkpoint,
    ],
)
def test_every_weight_of_a_unet_is_found_by_its_names_in_files_and_in_modules(
    make: Callable[[Path], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = make(tmp_path / "model.safetensors")
    model = load_model(open_checkpoint(file), "cpu")
    component = model.network.component
    matrices = {name for name, shape in component.shapes().items() if len(shape) > 1}
    for shapes, stem in (
        (unet_of(file), kohya),
        (unet_of(file), lambda name: f"diffusion_model.{name}"),
        (component.shapes(), kohya),
        (component.shapes(), lambda name: f"unet.{name}"),
    ):
        patched, _ = apply_lora(rank_one(shapes, stem), model, None, 1.0, 0.0)
        assert patched is not None
        assert patched.network.component.changed == matrices
        assert added_one(patched.network.component, component)
    assert not caplog.records


@pytest.mark.parametrize("family", TRANSFORMERS)
def test_every_weight_of_a_transformer_is_found_by_its_names_in_files_and_in_modules(
    family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shapes = TRANSFORMERS[family]()
    file = tiny_dit.write(tmp_path / "model.safetensors", shapes)
    model = load_model(open_checkpoint(file), "cpu")
    component = model.network.component
    for names, stem in (
        (shapes, kohya),
        (shapes, lambda name: f"diffusion_model.{name}"),
        (component.shapes(), lambda name: f"transformer.{name}"),
    ):
        patched, _ = apply_lora(rank_one({**names}, stem), model, None, 1.0, 0.0)
        assert patched is not None
        assert len(patched.network.component.changed) > 10
        assert added_one(patched.network.component, component)
    assert not caplog.records


def predicted(model: DiffusionModel) -> Tensor:
    call = NetworkCall(random(1, 4, 8, 8), torch.tensor([500.0]), random(1, 77, 64, seed=1))
    return model.network(call)


def test_a_lora_changes_what_its_model_predicts_and_not_what_the_first_one_does(tmp_path: Path) -> None:
    file = tiny_models.sd1_checkpoint(tmp_path / "model.safetensors")
    model, clip, _ = load_checkpoint(open_checkpoint(file), "cpu")
    assert clip is not None
    before, text = predicted(model), clip.encode("a cat").states
    layer = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    tensors = {
        f"{layer}.lora_up.weight": random(256, 1),
        f"{layer}.lora_down.weight": random(1, 64),
        "lora_unet_input_blocks_0_0.diff": random(32, 4, 3, 3),
    }
    changed, changed_clip = apply_lora(read_adapters("lora", tensors), model, clip, 0.5, 0.5)
    assert changed is not None
    assert changed_clip is not None
    assert not torch.equal(predicted(changed), before)
    assert not torch.equal(changed_clip.encode("a cat").states, text)
    assert torch.equal(predicted(model), before)
    assert torch.equal(clip.encode("a cat").states, text)


def test_both_towers_of_sdxl_are_changed_by_their_numbers(tmp_path: Path) -> None:
    file = tiny_models.sdxl_checkpoint(tmp_path / "model.safetensors")
    model, clip, _ = load_checkpoint(open_checkpoint(file), "cpu")
    assert clip is not None
    names = {"text_model_encoder_layers_1_self_attn_v_proj": (64, 128)}
    for number, tower, width in ((1, "l", 64), (2, "g", tiny_models.POOLED)):
        (name,) = names
        tensors = {
            f"lora_te{number}_{name}.lora_up.weight": torch.ones(width, 1),
            f"lora_te{number}_{name}.lora_down.weight": torch.ones(1, width),
        }
        _, changed = apply_lora(read_adapters("lora", tensors), model, clip, 1.0, 1.0)
        assert changed is not None
        assert {own: len(part.changed) for own, part in changed.components().items() if part.changed} == {tower: 1}
