"""DiffSynth's ControlNets of Qwen-Image against their formula, written out by hand."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu, linear, rms_norm

from graphengine.errors import GraphEngineError, ModelError
from graphengine.node.api import Folders, NodeContext
from graphengine_nodes.diffusion.control.diffsynth import ModelPatch, load_model_patch, steered
from graphengine_nodes.diffusion.dit.latent_formats import WAN21
from graphengine_nodes.diffusion.dit.packing import packed
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel, NetworkCall
from graphengine_nodes.diffusion.nodes.diffsynth_nodes import (
    NODE_CLASS_MAPPINGS,
    ModelPatchLoader,
    QwenImageDiffsynthControlnet,
)
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint
from tests.nodes.core.described import described

from . import tiny_dit
from .diffusers_oracle import randn
from .ldm_layout import Shapes

WIDTH, IMAGE = 64, torch.rand(1, 32, 48, 3, generator=torch.Generator().manual_seed(1))
STRENGTH = {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01}


@dataclass
class Means:
    """A VAE of videos whose latents are the means of squares of 8 x 8 pixels; it remembers what it was given."""

    latent_channels: int = 16
    frames: int | None = 4
    downscale: int = 8
    given: list[tuple[int, ...]] = field(default_factory=list)

    def encode(self, pixels: Tensor) -> Tensor:
        self.given.append(tuple(pixels.shape))
        means = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8).mean(1, keepdim=True)
        return means.expand(-1, 16, -1, -1)[:, :, None]


def shapes(inputs: int = 64, blocks: int = 2) -> Shapes:
    found = tiny_dit.linear("img_in", WIDTH, inputs)
    for name in (f"controlnet_blocks.{number}" for number in range(blocks)):
        found |= {f"{name}.x_rms.weight": (WIDTH,), f"{name}.y_rms.weight": (WIDTH,)}
        found |= tiny_dit.linear(f"{name}.input_proj", WIDTH, WIDTH)
        found |= tiny_dit.linear(f"{name}.output_proj", WIDTH, WIDTH)
    return found


def patch(folder: Path, given: Shapes) -> ModelPatch:
    return load_model_patch(open_checkpoint(tiny_dit.write(folder / "patch.safetensors", given)), "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    path = tmp_path_factory.mktemp("qwen") / "qwen.safetensors"
    return load_model(open_checkpoint(tiny_dit.write(path, tiny_dit.qwen_image(WIDTH))), "cpu")


def ask(model: DiffusionModel, x: Tensor, **extra: Tensor) -> Tensor:
    options = model.model_options["transformer_options"]
    return model.network(NetworkCall(x, torch.full((len(x),), 0.5), randn(len(x), 3, 48), extra, options=options))


def by_hand(model: DiffusionModel, x: Tensor, hint: Tensor, strength: float, given: Shapes) -> Tensor:
    """The prediction with hooks that do what the authors' code does."""
    weights = tiny_dit.random_weights(given)
    seen = linear(hint, weights["img_in.weight"], weights["img_in.bias"])

    def after(number: int) -> Any:
        def own(name: str) -> Tensor:
            return weights[f"controlnet_blocks.{number}.{name}"]

        def hook(block: Any, inputs: Any, made: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            text, picture = made
            joint = rms_norm(picture, (WIDTH,), own("x_rms.weight"), 1e-6)
            joint = joint + rms_norm(seen, (WIDTH,), own("y_rms.weight"), 1e-6)
            inner = gelu(linear(joint, own("input_proj.weight"), own("input_proj.bias")))
            return text, picture + strength * linear(inner, own("output_proj.weight"), own("output_proj.bias"))

        return hook

    module: Any = model.network.component.ready()
    hooks = [block.register_forward_hook(after(n)) for n, block in enumerate(module.transformer_blocks)]
    try:
        return ask(model, x)
    finally:
        for hook in hooks:
            hook.remove()


def test_each_block_is_followed_by_a_layer_that_sees_the_picture(model: DiffusionModel, tmp_path: Path) -> None:
    vae, x = Means(), randn(2, 16, 1, 4, 6)
    changed = steered(model, patch(tmp_path, shapes()), cast("VAE", vae), IMAGE, 0.7)
    hint = packed(WAN21.process_in(vae.encode(IMAGE)).squeeze(2))
    expected = by_hand(model, x, hint, 0.7, shapes())
    torch.testing.assert_close(ask(changed, x), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(ask(model, x), expected, atol=1e-3)
    assert torch.equal(ask(changed, x), ask(changed, x))
    assert vae.given == [(1, 32, 48, 3)] * 2  # once by this test, once by the patch


def test_a_mask_stands_behind_the_picture_where_the_file_sees_one(model: DiffusionModel, tmp_path: Path) -> None:
    vae, x = Means(), randn(1, 16, 1, 4, 6)
    mask = torch.zeros(1, 4, 6)
    mask[:, :2] = 1.0
    latent = WAN21.process_in(vae.encode(IMAGE)).squeeze(2)
    for given, kept in ((mask, 1 - mask), (None, torch.ones(1, 4, 6))):
        changed = steered(model, patch(tmp_path, shapes(68)), cast("VAE", vae), IMAGE, 1.0, given)
        expected = by_hand(model, x, packed(torch.cat([latent, kept[:, None]], dim=1)), 1.0, shapes(68))
        torch.testing.assert_close(ask(changed, x), expected, rtol=1e-4, atol=1e-5)


def test_pictures_to_edit_and_further_blocks_are_left_alone(model: DiffusionModel, tmp_path: Path) -> None:
    x, reference = randn(1, 16, 1, 4, 6), randn(1, 16, 1, 4, 4, seed=8)
    changed = steered(model, patch(tmp_path, shapes(blocks=1)), cast("VAE", Means()), IMAGE, 1.0)
    edited = ask(changed, x, **{"reference_latents.index.0": reference})
    assert edited.shape == x.shape
    assert not torch.allclose(edited, ask(changed, x), atol=1e-4)
    assert "double_block" not in model.model_options["transformer_options"].get("patches", {})


def test_models_vaes_and_files_of_others_are_refused(model: DiffusionModel, tmp_path: Path) -> None:
    ours, vae = patch(tmp_path, shapes()), cast("VAE", Means())
    flux = load_model(open_checkpoint(tiny_dit.write(tmp_path / "flux.safetensors", tiny_dit.flux())), "cpu")
    with pytest.raises(ModelError, match="made for Qwen-Image, not for 'flux' models"):
        steered(flux, ours, vae, IMAGE, 1.0)
    wide = tiny_dit.write(tmp_path / "wide.safetensors", tiny_dit.qwen_image(96))
    with pytest.raises(ModelError, match="has states of width 64, the model's have 96"):
        steered(load_model(open_checkpoint(wide), "cpu"), ours, vae, IMAGE, 1.0)
    with pytest.raises(GraphEngineError, match="latents of 4 channels"):
        steered(model, ours, cast("VAE", Means(4, None)), IMAGE, 1.0)
    with pytest.raises(ModelError, match="holds no patch of a model"):
        patch(tmp_path, tiny_dit.linear("img_in", WIDTH, 64))
    with pytest.raises(ModelError, match="sees 65 numbers per token"):
        patch(tmp_path, shapes(65))
    lacking = shapes()
    del lacking["controlnet_blocks.1.input_proj.bias"]
    with pytest.raises(ModelError, match=r"lacks tensor controlnet_blocks\.1\.input_proj\.bias"):
        patch(tmp_path, lacking)


def test_the_nodes_load_and_apply_it(model: DiffusionModel, tmp_path: Path) -> None:
    tiny_dit.write(tmp_path / "canny.safetensors", shapes())
    context = NodeContext(folders=Folders(models={"model_patches": (tmp_path,)}))
    (loaded,) = ModelPatchLoader().load_model_patch("canny.safetensors", context)
    (changed,) = QwenImageDiffsynthControlnet().diffsynth_controlnet(
        model, loaded, cast("VAE", Means()), IMAGE, 1.0
    )
    assert not torch.allclose(ask(changed, randn(1, 16, 1, 4, 4)), ask(model, randn(1, 16, 1, 4, 4)), atol=1e-3)


def test_definitions_are_those_which_saved_workflows_were_made_with() -> None:
    found = described(NODE_CLASS_MAPPINGS, {})
    assert found["ModelPatchLoader"]["category"] == "advanced/loaders"
    assert found["ModelPatchLoader"]["output"] == ["MODEL_PATCH"]
    assert [entry[0] for entry in found["ModelPatchLoader"]["input"]["required"]] == ["name"]
    assert found["QwenImageDiffsynthControlnet"] == {
        "output": ["MODEL"],
        "output_is_list": [False],
        "output_name": ["MODEL"],
        "display_name": "QwenImageDiffsynthControlnet",
        "category": "advanced/loaders/qwen",
        "output_node": False,
        "input": {
            "required": [
                ["model", "MODEL"],
                ["model_patch", "MODEL_PATCH"],
                ["vae", "VAE"],
                ["image", "IMAGE"],
                ["strength", "FLOAT", STRENGTH],
            ],
            "optional": [["mask", "MASK"]],
        },
    }
