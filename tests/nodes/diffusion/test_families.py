"""Every family of Stable Diffusion: found, loaded, and equal to diffusers' own UNet."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.families.families import FAMILIES, find_family, load_model, network_part
from graphengine_nodes.diffusion.model.model import Job
from graphengine_nodes.diffusion.unet.network import unet_module
from graphengine_nodes.diffusion.weights import keymaps
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo, open_checkpoint
from graphengine_nodes.diffusion.weights.detect import unet_config

from . import ldm_layout, tiny_models
from .family_cases import TIMES, WRITERS, ask, blocks, noise, reference


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    folder = tmp_path_factory.mktemp("families")
    return {name: open_checkpoint(write(folder / f"{name}.safetensors")) for name, write in WRITERS.items()}


@pytest.mark.parametrize("name", WRITERS)
def test_a_checkpoint_is_found_to_be_of_its_family(name: str, checkpoints: dict[str, Checkpoint]) -> None:
    assert find_family(checkpoints[name]).name == name


@pytest.mark.parametrize("name", WRITERS)
def test_a_network_alone_is_found_to_be_of_its_family(name: str, tmp_path: Path) -> None:
    shapes = {
        "sd1": tiny_models.sd1_unet(),
        "sd2": tiny_models.sd2_unet(),
        "sdxl": tiny_models.sdxl_unet(),
        "sdxl_refiner": tiny_models.refiner_unet(),
    }[name]
    for prefix in ("", "model.diffusion_model."):
        path = ldm_layout.write(tmp_path / "unet.safetensors", tiny_models.prefixed(prefix, shapes))
        assert find_family(open_checkpoint(path)).name == name
        assert load_model(open_checkpoint(path), "cpu").network.family == name


def test_the_unet_of_sd2_computes_what_diffusers_computes(checkpoints: dict[str, Checkpoint]) -> None:
    model = load_model(checkpoints["sd2"], "cpu")
    module = reference(
        checkpoints["sd2"],
        heads=(1, 1, 2),
        block_out_channels=(64, 64, 128),
        layers_per_block=1,
        cross_attention_dim=64,
        use_linear_projection=True,
        **blocks(True, True, False),
    )
    x, context = noise(2, 4, 8, 8), noise(2, 77, 64)
    assert torch.allclose(ask(model, x, context), module(x, TIMES, context).sample, atol=1e-5)
    assert model.latent_format.scale_factor == 0.18215


def test_the_unet_of_sdxl_computes_what_diffusers_computes(checkpoints: dict[str, Checkpoint]) -> None:
    model = load_model(checkpoints["sdxl"], "cpu")
    module = reference(
        checkpoints["sdxl"],
        heads=(1, 1, 2),
        block_out_channels=(32, 64, 128),
        layers_per_block=2,
        cross_attention_dim=192,
        use_linear_projection=True,
        transformer_layers_per_block=(1, 1, 2),
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=128 + 6 * 256,
        **blocks(False, True, True),
    )
    x, context, pooled = noise(2, 4, 8, 8), noise(2, 77, 192), noise(1, 128)
    sizes: dict[str, Any] = {
        "width": 64,
        "height": 96,
        "crop_w": 8,
        "crop_h": 16,
        "target_width": 512,
        "target_height": 768,
    }
    ids = torch.tensor([[96.0, 64.0, 16.0, 8.0, 768.0, 512.0]])
    added = {"text_embeds": pooled.expand(2, -1), "time_ids": ids.expand(2, -1)}
    expected = module(x, TIMES, context, added_cond_kwargs=added).sample
    assert torch.allclose(ask(model, x, context, pooled_output=pooled, **sizes), expected, atol=1e-5)
    assert model.latent_format.scale_factor == 0.13025


def test_the_unet_of_the_refiner_computes_what_diffusers_computes(checkpoints: dict[str, Checkpoint]) -> None:
    model = load_model(checkpoints["sdxl_refiner"], "cpu")
    module = reference(
        checkpoints["sdxl_refiner"],
        heads=(1, 1, 1, 1),
        block_out_channels=(32, 64, 64, 64),
        layers_per_block=1,
        cross_attention_dim=128,
        use_linear_projection=True,
        transformer_layers_per_block=2,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=128 + 5 * 256,
        **blocks(False, True, True, False),
    )
    x, context, pooled = noise(1, 4, 8, 16), noise(1, 77, 128), noise(1, 128)
    for side, score in (("positive", 6.0), ("negative", 2.5)):
        added = {"text_embeds": pooled, "time_ids": torch.tensor([[64.0, 128.0, 0.0, 0.0, score]])}
        expected = module(x, TIMES[:1], context, added_cond_kwargs=added).sample
        job = Job(tuple(x.shape), side=side)
        assert torch.allclose(ask(model, x, context, job, pooled_output=pooled), expected, atol=1e-5)


FULL_SIZES = {
    "SD2": (
        ldm_layout.unet(ldm_layout.SD15_WIDTHS, (2,) * 4, (True, True, True, False), 1024, linear=True),
        "sd2",
        (5, 10, 20, 20),
    ),
    "SDXL": (
        ldm_layout.unet(
            (320, 640, 1280), (2,) * 3, (False, True, True), 2048, depth=(0, 2, 10), linear=True, label=2816
        ),
        "sdxl",
        (5, 10, 20),
    ),
    "refiner": (
        ldm_layout.unet(
            (384, 768, 1536, 1536),
            (2,) * 4,
            (False, True, True, False),
            1280,
            depth=4,
            linear=True,
            label=2560,
        ),
        "sdxl_refiner",
        (6, 12, 24, 24),
    ),
    "SSD-1B": (
        ldm_layout.unet(
            (320, 640, 1280),
            (2,) * 3,
            (False, True, True),
            2048,
            depth=(0, 2, 4),
            linear=True,
            label=2816,
            middle=0,
            upwards=((4, 4, 10), (2, 1, 1), (0, 0, 0)),
        ),
        "sdxl",
        (5, 10, 20),
    ),
    "KOALA-700M": (
        ldm_layout.unet(
            (320, 640, 1280),
            (1,) * 3,
            (False, True, True),
            2048,
            depth=(0, 2, 5),
            linear=True,
            label=2816,
            middle=-1,
        ),
        "sdxl",
        (5, 10, 20),
    ),
    "SD2.1-unCLIP": (
        ldm_layout.unet(
            ldm_layout.SD15_WIDTHS, (2,) * 4, (True, True, True, False), 1024, linear=True, label=2048
        ),
        "sd2_unclip",
        (5, 10, 20, 20),
    ),
}


@pytest.mark.parametrize("name", FULL_SIZES)
def test_unets_of_full_size_are_built_as_the_file_has_them(name: str) -> None:
    shapes, family, heads = FULL_SIZES[name]
    part = {key: TensorInfo("F16", shape, 0, 0) for key, shape in shapes.items()}
    assert next(known.name for known in FAMILIES if known.matches(part)) == family
    named = {new: shapes[old] for old, new in keymaps.unet_names(shapes).items()}
    module: Any = unet_module(unet_config("m", named), None)
    assert {key: tuple(weight.shape) for key, weight in module.named_parameters()} == named
    attended = [block for block in module.down_blocks if hasattr(block, "attentions")]
    found = [block.attentions[0].transformer_blocks[0].attn1.heads for block in attended]
    assert found == [number for number, block in zip(heads, module.down_blocks, strict=True) if block in attended]


@pytest.mark.parametrize("name", WRITERS)
def test_a_unet_in_the_layout_of_diffusers_is_the_same(
    name: str, checkpoints: dict[str, Checkpoint], tmp_path: Path
) -> None:
    part = network_part(checkpoints[name])
    named = {new: checkpoints[name].tensor(part[old]) for old, new in keymaps.unet_names(part).items()}
    save_file(named, tmp_path / "unet.safetensors")
    models = [
        load_model(found, "cpu") for found in (checkpoints[name], open_checkpoint(tmp_path / "unet.safetensors"))
    ]
    assert models[0].network.family == models[1].network.family == name
    width = models[0].network.component.shapes()[
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    ][1]
    x, context = noise(1, 4, 8, 8), noise(1, 77, width)
    told: dict[str, Any] = {"pooled_output": noise(1, 128)}
    assert torch.equal(*(ask(model, x, context, **told) for model in models))


def test_a_file_of_no_known_family_is_told_which_ones_there_are(tmp_path: Path) -> None:
    path = ldm_layout.write(tmp_path / "odd.safetensors", {"something.weight": (4,)})
    with pytest.raises(ModelError, match=r"'odd\.safetensors' is of no known kind") as error:
        find_family(open_checkpoint(path))
    assert "a model of SD1.x" in str(error.value.hint)
    assert "a Flux model" in str(error.value.hint)
