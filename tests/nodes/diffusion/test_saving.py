import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from graphengine.errors import FileRefused, GraphEngineError, RunCancelled
from graphengine.node.api import Folders, NodeContext
from graphengine_nodes.diffusion.families.families import load_checkpoint, load_model
from graphengine_nodes.diffusion.lora.formats import read_adapters
from graphengine_nodes.diffusion.lora.lora import apply_lora
from graphengine_nodes.diffusion.lora.saving import (
    Tensors,
    checkpoint_tensors,
    clip_tensors,
    component_tensors,
    given,
    image_only_tensors,
    model_tensors,
    save_tensors,
    write_safetensors,
)
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling
from graphengine_nodes.diffusion.nodes.saving_nodes import NODE_CLASS_MAPPINGS
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.vision.vision import ClipVision
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, open_checkpoint
from graphengine_nodes.diffusion.weights.weights import Component, Place

from . import ldm_layout, tiny_dit, tiny_models
from .test_lora_families import TRANSFORMERS
from .weight_cases import clip, component, model, random, ready_weights

FUSED = {"q.weight": (2, 3), "k.weight": (2, 3), "v.weight": (1, 3)}
FUSED_PLACES = {
    "attn.qkv.weight": (
        Place("k.weight", slice(2, 4)),
        Place("v.weight", slice(4, 5)),
        Place("q.weight", slice(0, 2)),
    )
}


@pytest.fixture
def original(tmp_path: Path) -> Checkpoint:
    marks = {"cond_stage_model.logit_scale": torch.ones(1), "model_ema.decay": torch.ones(())}
    return open_checkpoint(ldm_layout.write(tmp_path / "original.safetensors", ldm_layout.narrow(), marks))


@pytest.fixture
def context(tmp_path: Path) -> NodeContext:
    return NodeContext(folders=Folders(output=tmp_path / "output"))


def write(tensors: Tensors, root: Path, name: str) -> Path:
    """The file that is written."""
    file = save_tensors(tensors, root, name)
    return root / file["subfolder"] / file["filename"]


def saved(tensors: dict[str, object]) -> dict[str, Tensor]:
    return {name: tensor.get() for name, tensor in tensors.items()}  # type: ignore[attr-defined]


def network_weights(model: DiffusionModel) -> dict[str, Tensor]:
    return ready_weights(model.network.component)


def text_weights(encoder: TextEncoder) -> dict[str, Tensor]:
    return ready_weights(encoder.components()["l"])


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_model_that_nobody_changed_is_saved_as_its_file_had_it(
    original: Checkpoint, context: NodeContext
) -> None:
    parts = load_checkpoint(original, "cpu")
    NODE_CLASS_MAPPINGS["CheckpointSave"]().save(*parts, "checkpoints/plain", context)
    written = load_file(context.folders.output / "checkpoints" / "plain_00001_.safetensors")
    expected = load_file(original.path)
    for name in ("cond_stage_model.logit_scale", "model_ema.decay"):
        del expected[name]
    assert same(written, expected)
    assert {name: tensor.dtype for name, tensor in written.items()} == dict.fromkeys(expected, torch.float16)


def test_a_changed_checkpoint_gives_the_same_bits_when_it_is_loaded(
    original: Checkpoint, context: NodeContext
) -> None:
    model, encoder, vae = load_checkpoint(original, "cpu")
    layer = "text_model_encoder_layers_0_mlp_fc1"
    tensors = {
        "lora_unet_time_embed_0.lora_up.weight": random(128, 2),
        "lora_unet_time_embed_0.lora_down.weight": random(2, 32),
        f"lora_te_{layer}.lora_up.weight": random(256, 2),
        f"lora_te_{layer}.lora_down.weight": random(2, 64),
    }
    changed, changed_clip = apply_lora(read_adapters("lora", tensors), model, encoder, 0.7, 0.4)
    assert changed is not None
    assert changed_clip is not None
    NODE_CLASS_MAPPINGS["CheckpointSave"]().save(changed, changed_clip, vae, "c", context)
    again, clip_again, vae_again = load_checkpoint(
        open_checkpoint(context.folders.output / "c_00001_.safetensors"), "cpu"
    )
    assert same(network_weights(again), network_weights(changed))
    assert not same(network_weights(again), network_weights(model))
    assert clip_again is not None
    assert same(text_weights(clip_again), text_weights(changed_clip))
    assert vae is not None
    assert vae_again is not None
    latent = random(1, 4, 2, 2)
    assert torch.equal(vae_again.decode(latent), vae.decode(latent))


def test_network_text_towers_and_vae_have_files_of_their_own(original: Checkpoint, context: NodeContext) -> None:
    model, encoder, vae = load_checkpoint(original, "cpu")
    NODE_CLASS_MAPPINGS["ModelSave"]().save(model, "m", context)
    shown = NODE_CLASS_MAPPINGS["CLIPSave"]().save(encoder, "t", context)
    assert shown["ui"]["models"] == [
        {"filename": "t_clip_l_00001_.safetensors", "subfolder": "", "type": "output"}
    ]
    NODE_CLASS_MAPPINGS["VAESave"]().save(vae, "v", context)
    files = {path.name: load_file(path).keys() for path in context.folders.output.iterdir()}
    assert files.keys() == {"m_00001_.safetensors", "t_clip_l_00001_.safetensors", "v_00001_.safetensors"}
    whole = load_file(original.path)
    prefixes = {"m_00001_.safetensors": "", "t_clip_l_00001_.safetensors": ldm_layout.CLIP}
    prefixes["v_00001_.safetensors"] = ldm_layout.VAE
    for file, prefix in prefixes.items():
        assert {prefix + name for name in files[file]} <= whole.keys()
    assert sum(len(names) for names in files.values()) == len(whole) - 2


def test_the_workflow_stands_in_the_metadata(tmp_path: Path) -> None:
    file = save_tensors(
        {"a": given(torch.ones(2))},
        tmp_path,
        "x/%Node.seed%",
        prompt={"1": {"class_type": "Node", "inputs": {"seed": 5}}},
        extra={"workflow": {"nodes": []}},
    )
    assert file == {"filename": "5_00001_.safetensors", "subfolder": "x"}
    with safe_open(tmp_path / "x" / "5_00001_.safetensors", "pt") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["workflow"]) == {"nodes": []}
    assert json.loads(metadata["prompt"])["1"]["class_type"] == "Node"
    with pytest.raises(FileRefused):
        save_tensors({"a": given(torch.ones(2))}, tmp_path, "../out")


def test_parts_of_a_fused_tensor_are_joined_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "fused.safetensors"
    save_file({"net.attn.qkv.weight": random(5, 3).half(), "net.extra": torch.ones(1)}, file)
    split = component(tmp_path, FUSED, FUSED_PLACES)
    weights = Component(split.ready(), open_checkpoint(file), device="cpu", sources=FUSED_PLACES)
    assert torch.equal(saved({**component_tensors(weights)})["attn.qkv.weight"], random(5, 3).half())
    changed = weights.patched({"k.weight": [lambda weight: weight + 1]})
    tensors = saved({**component_tensors(changed)})
    assert tensors.keys() == {"attn.qkv.weight", "extra"}
    rows = [weights.weight("q.weight"), weights.weight("k.weight") + 1, weights.weight("v.weight")]
    assert torch.equal(tensors["attn.qkv.weight"], torch.cat(rows))


def test_a_model_that_predicts_velocity_is_marked(tmp_path: Path) -> None:
    plain = model(component(tmp_path, {"a.weight": (2, 2)}))
    v = DiffusionModel(plain.network, DiscreteSampling.linear("v"), plain.latent_format)
    zero = DiffusionModel(plain.network, DiscreteSampling.linear("v", zero_terminal_snr=True), plain.latent_format)
    names = [set(model_tensors(each)) - {"model.diffusion_model.a.weight"} for each in (plain, v, zero)]
    assert names == [set(), {"v_pred"}, {"v_pred", "ztsnr"}]


@pytest.mark.parametrize(
    ("family", "towers", "prefixes"),
    [
        ("sd1", "l", {"cond_stage_model.transformer."}),
        ("sdxl", "lg", {"conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."}),
        ("sd3", "lg", {"text_encoders.clip_l.transformer.", "text_encoders.clip_g.transformer."}),
    ],
)
def test_text_towers_stand_where_checkpoints_of_the_family_have_them(
    family: str, towers: str, prefixes: set[str], tmp_path: Path
) -> None:
    shapes = {"l": {"text_model.a.weight": (2, 2)}, "g": {"transformer.resblocks.0.a.weight": (2, 2)}}
    encoder = clip(**{tower: component(tmp_path, shapes[tower]) for tower in towers})
    given_names = {name for tower in towers for name in shapes[tower]}
    names = clip_tensors(encoder, family)
    assert {name.removesuffix(own) for name in names for own in given_names if name.endswith(own)} == prefixes


def test_weights_of_unknown_names_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(GraphEngineError, match="original names are not known"):
        component_tensors(component(tmp_path, {"a.weight": (2, 2)}, {}))


def test_a_file_that_is_written_tensor_by_tensor_is_a_safetensors_file(tmp_path: Path) -> None:
    tensors = {
        "half": random(3, 5).half(),
        "wide": random(2).double(),
        "number": torch.tensor(3),
        "none": torch.ones(0, 4),
        "flags": torch.tensor([True, False, True]),
        "small": random(7).to(torch.float8_e4m3fn),
        "turned": random(4, 6).T,
    }
    buffer = io.BytesIO()
    write_safetensors(buffer, {name: given(tensor) for name, tensor in tensors.items()}, {"a": "ü"})
    file = tmp_path / "all.safetensors"
    file.write_bytes(buffer.getvalue())
    read = load_file(file)
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in read.items()} == {
        name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()
    }
    assert all(torch.equal(read[name].float(), tensor.float()) for name, tensor in tensors.items())
    assert open_checkpoint(file).metadata == {"a": "ü"}


def test_a_run_can_be_stopped_between_tensors_and_leaves_no_file(tmp_path: Path) -> None:
    def stop() -> None:
        raise RunCancelled

    with pytest.raises(RunCancelled):
        save_tensors({"a": given(torch.ones(2))}, tmp_path, "x", check=stop)
    assert [*tmp_path.iterdir()] == []


def shifted(weights: Component) -> Component:
    """The component with 1 / 3 added to all weights."""
    return weights.patched({name: [lambda weight: weight + 1 / 3] for name in weights.shapes()})


@pytest.mark.parametrize("make", [tiny_models.sd2_checkpoint, tiny_models.sdxl_checkpoint])
def test_checkpoints_with_fused_weights_of_text_towers_come_back_the_same(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    model, encoder, vae = load_checkpoint(open_checkpoint(make(tmp_path / "first.safetensors")), "cpu")
    assert encoder is not None
    changed = encoder.with_components({name: shifted(part) for name, part in encoder.components().items()})
    file = write(checkpoint_tensors(model, changed, vae), tmp_path, "second")
    again, encoder_again, _ = load_checkpoint(open_checkpoint(file), "cpu")
    assert encoder_again is not None
    assert same(network_weights(again), network_weights(model))
    for name, part in changed.components().items():
        assert same(ready_weights(encoder_again.components()[name]), ready_weights(part))


@pytest.mark.parametrize("shapes", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_transformers_with_fused_weights_come_back_the_same(
    shapes: Callable[[], ldm_layout.Shapes], tmp_path: Path
) -> None:
    original = tiny_dit.write(tmp_path / "first.safetensors", shapes(), dtype=torch.bfloat16)
    model = load_model(open_checkpoint(original), "cpu")
    plain = write(model_tensors(model), tmp_path, "plain")
    assert same(load_file(plain), {f"model.diffusion_model.{n}": t for n, t in load_file(original).items()})
    changed = replace(model, network=model.network.with_component(shifted(model.network.component)))
    file = write(model_tensors(changed), tmp_path, "second")
    assert same(network_weights(load_model(open_checkpoint(file), "cpu")), network_weights(changed))


def image_encoder(folder: Path, name: str) -> ClipVision:
    """A CLIP_VISION with one weight."""
    config: Any = None  # sizes, which nobody asks for here
    return ClipVision(component(folder, {name: (3, 2)}, seed=11), config)


@pytest.mark.parametrize(
    ("family", "prefix"),
    [("svd", "conditioner.embedders.0.open_clip.model.visual."), ("sd1", "cond_stage_model.model.visual.")],
)
def test_an_image_encoder_stands_where_image_only_checkpoints_have_it(
    family: str, prefix: str, tmp_path: Path
) -> None:
    network = component(tmp_path, {"model.diffusion_model.a.weight": (2, 2), "cc_projection.weight": (2, 6)})
    network = Component(
        network.ready(),
        network.checkpoint,
        device="cpu",
        sources={"a.weight": (Place("model.diffusion_model.a.weight"),)},
    )
    vision = image_encoder(tmp_path, "visual.transformer.resblocks.0.ln_1.weight")
    tensors = saved({**image_only_tensors(model(network, family), vision, None)})
    assert tensors.keys() == {
        "model.diffusion_model.a.weight",
        "cc_projection.weight",
        f"{prefix}transformer.resblocks.0.ln_1.weight",
    }
    alone = image_only_tensors(model(network, family), None, None)
    assert alone.keys() == {"model.diffusion_model.a.weight", "cc_projection.weight"}
    with pytest.raises(GraphEngineError, match="it has the layout of transformers"):
        image_only_tensors(model(network), image_encoder(tmp_path, "vision_model.a.weight"), None)
