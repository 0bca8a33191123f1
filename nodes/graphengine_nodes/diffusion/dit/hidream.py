"""HiDream-I1: full, dev and fast (HiDream-ai, 2025)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .conditions import pooled
from .layout import Destination, Reader, any_name, destinations
from .modules import diffusers_class, on_meta
from .packing import PATCH, cropped, padded

_HEAD = 128
_LLAMA_LAYERS = 32
_ACTIVE_EXPERTS = 2


class HiDream(Architecture):
    """The names in files are those of the module."""

    family, title = "hidream", "a HiDream model"

    def matches(self, names: Collection[str]) -> bool:
        """Blocks that are wrapped in blocks, and a projection of texts per block."""
        return (
            any_name(names, r"^double_stream_blocks\.0\.block\.") and "caption_projection.0.linear.weight" in names
        )

    def config(self, read: Reader) -> Config:
        """Sizes of HiDreamImageTransformer2DModel."""
        width, patched = read.shape("x_embedder.proj.weight", 2)
        double, single = (read.count(rf"{kind}_stream_blocks\.(\d+)\.") for kind in ("double", "single"))
        last = read.count(r"caption_projection\.(\d+)\.") - 1
        texts = [read.shape(f"caption_projection.{number}.linear.weight", 2)[1] for number in (last, 0)]
        return {
            "patch_size": PATCH,
            "in_channels": patched // PATCH**2,
            "num_layers": double,
            "num_single_layers": single,
            "attention_head_dim": _HEAD,
            "num_attention_heads": read.heads(width, _HEAD),
            "caption_channels": texts,
            "text_emb_dim": read.shape("p_embedder.pooled_embedder.linear_1.weight", 2)[1],
            "num_routed_experts": read.count(r"double_stream_blocks\.0\.block\.ff_i\.experts\.(\d+)\."),
            "num_activated_experts": _ACTIVE_EXPERTS,
            "axes_dims_rope": (64, 32, 32),
            "max_resolution": (128, 128),
            "llama_layers": [min(block, _LLAMA_LAYERS - 1) for block in range(double + single)],
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Each tensor is a parameter of the same name."""
        return destinations(read.shapes, ())

    def module(self, config: Config) -> nn.Module:
        """HiDreamImageTransformer2DModel."""
        module: nn.Module = on_meta(diffusers_class("HiDreamImageTransformer2DModel"), **config)
        return module

    def sampling(self, config: Config) -> ModelSampling:
        """Shift 3."""
        return FlowSampling.shifted(3.0)

    def latent_format(self, config: Config) -> LatentFormat:
        """That of Flux."""
        return latent_formats.FLUX

    def text_width(self, config: Config) -> int:
        """4096, of T5."""
        return int(config["caption_channels"][0])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """The pooled states of both CLIP towers, and the states of all layers of Llama, (1, layers, T, D).

        Raises:
            ValueError: the conditioning has no states of Llama.
        """
        llama = options.get("conditioning_llama3")
        if llama is None:
            raise ValueError(
                "the conditioning holds no 'conditioning_llama3', but a HiDream model needs the states of Llama: "
                "encode the prompt with a CLIP of the type 'hidream'"
            )
        return Extras({"y": pooled(options, job, config["text_emb_dim"], self.title), "llama": llama})

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma * 1000; the network predicts latent - noise."""
        layers = call.extra["llama"].movedim(1, 0)
        missing = len(set(config["llama_layers"])) - len(layers)
        if missing > 0:  # a tower with fewer layers than Llama 3.1 8B
            layers = torch.cat([layers, layers[-1:].expand(missing, -1, -1, -1)])
        output: Tensor = module(
            padded(call.x),
            timesteps=call.timestep,
            encoder_hidden_states_t5=call.context,
            encoder_hidden_states_llama3=layers,
            pooled_embeds=call.extra["y"],
            return_dict=False,
        )[0]
        return -cropped(output, call.x)
