"""Every family of Stable Diffusion: found, loaded, and equal to the modules of diffusers and transformers."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine_nodes.diffusion.checkpoint import Checkpoint, open_checkpoint
from graphengine_nodes.diffusion.families import find_family, load_model
from graphengine_nodes.diffusion.model import DiffusionModel, Job, NetworkCall

from . import ldm_layout, tiny_models

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

WRITERS: dict[str, Callable[[Path], Path]] = {
    "sd1": tiny_models.sd1_checkpoint,
    "sd2": tiny_models.sd2_checkpoint,
    "sdxl": tiny_models.sdxl_checkpoint,
    "sdxl_refiner": tiny_models.refiner_checkpoint,
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    folder = tmp_path_factory.mktemp("families")
    return {name: open_checkpoint(write(folder / f"{name}.safetensors")) for name, write in WRITERS.items()}


def reference(checkpoint: Checkpoint, **config: Any) -> Any:
    """diffusers' UNet with the weights of the file, made in the ordinary way."""
    tensors = {name: checkpoint.tensor(info).float() for name, info in checkpoint.entries.items()}
    depths = config.get("transformer_layers_per_block")
    module = UNet2DConditionModel(attention_head_dim=config.pop("heads"), **config)
    layout = {
        "layers_per_block": config["layers_per_block"],
        "transformer_layers_per_block": depths,
        "class_embed_type": None,
        "addition_embed_type": config.get("addition_embed_type"),
    }
    module.load_state_dict(convert_ldm_unet_checkpoint(tensors, layout))
    return module.eval().requires_grad_(False)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def ask(model: DiffusionModel, x: Tensor, context: Tensor, job: Job | None = None, **options: Any) -> Tensor:
    extras = model.network.extras(options, job or Job(tuple(x.shape), latent_format=model.latent_format))
    extra = {name: value.expand(len(x), *value.shape[1:]) for name, value in extras.values.items()}
    return model.network(NetworkCall(x, torch.linspace(901.0, 3.0, len(x)), context, {**extra, **extras.spatial}))


TIMES = torch.tensor([901.0, 3.0])
KINDS = ("DownBlock2D", "CrossAttnDownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")


def blocks(*attention: bool) -> dict[str, Any]:
    return {
        "down_block_types": tuple(KINDS[0][has] for has in attention),
        "up_block_types": tuple(KINDS[1][has] for has in reversed(attention)),
    }


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
