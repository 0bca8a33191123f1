"""Tiny checkpoints by family, questions to their networks, and diffusers' own UNet with the same weights."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import DiffusionModel, Job, NetworkCall
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint

from . import tiny_models

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


def reference(checkpoint: Checkpoint, **config: Any) -> Any:
    """diffusers' UNet with the weights of the file, made in the ordinary way."""
    tensors = {name: checkpoint.tensor(info).float() for name, info in checkpoint.entries.items()}
    depths = config.get("transformer_layers_per_block")
    module = UNet2DConditionModel(attention_head_dim=config.pop("heads"), **config)
    layout = {
        "layers_per_block": config["layers_per_block"],
        "transformer_layers_per_block": depths,
        "class_embed_type": None,
        "num_class_embeds": config.get("num_class_embeds"),
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
