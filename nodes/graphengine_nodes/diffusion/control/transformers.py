"""ControlNets of SD3 and Flux: the first blocks of the transformer, which see an encoded picture too.

Files in the layout of diffusers are known, whose names are those of its modules. A ControlNet has fewer blocks
than the network that it steers, so each of its residuals goes to several blocks in turn.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.dit import latent_formats
from graphengine_nodes.diffusion.dit.layout import Reader
from graphengine_nodes.diffusion.dit.loading import load_component
from graphengine_nodes.diffusion.dit.modules import buffer_as_parameter, diffusers_class, on_meta, without_warnings
from graphengine_nodes.diffusion.dit.packing import PATCH, packed, padded, positions, rotary_axes
from graphengine_nodes.diffusion.model.control_network import Features
from graphengine_nodes.diffusion.model.model import LatentFormat, NetworkCall, Residuals
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Component

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import Network

_SD3_HEAD = 64
_GUIDANCE = 3.5
"""What a ControlNet of Flux is told of the guidance beside a model that has none."""
_KIND = "control_type"
_WIDTHS = {"sd3": "pos_embed.proj.weight", "flux": "x_embedder.weight"}
_TITLES = {"sd3": "SD3", "flux": "Flux"}
Config = Mapping[str, Any]
"""Sizes of a module by the names that its class in diffusers gives them, hence values of any kind."""


def transformer_family(names: Collection[str]) -> str | None:
    """ "sd3" or "flux" for the tensors of a ControlNet of that family; else None."""
    if "controlnet_x_embedder.weight" in names and "context_embedder.weight" in names:
        return "flux"
    if "pos_embed_input.proj.weight" in names and "context_embedder.weight" in names:
        return "sd3"
    return None


# Any throughout: settings are what SetUnionControlNetType and node packs put there, modules are of diffusers.
@dataclass(frozen=True, slots=True, eq=False)
class TransformerControl:
    """A ControlNet of a diffusion transformer (a `ControlNetwork`). width: of its states.

    double, single: how many blocks of either kind the steered network has; None when that is not known.
    """

    file: str
    family: str
    config: Config
    width: int
    concat: int
    component: Component
    double: int | None = None
    single: int | None = None

    @property
    def channels(self) -> int:
        """The channels of its picture before it is encoded: 3."""
        return 3

    @property
    def latent_format(self) -> LatentFormat:
        """Flux's, or SD3's without the shift: the ControlNets were trained without it."""
        return latent_formats.FLUX if self.family == "flux" else replace(latent_formats.SD3, shift_factor=0.0)

    def fitted(self, network: Network | None) -> TransformerControl:
        """The same, for the blocks of this network.

        Raises:
            ModelError: it was made for another family, or for another width.
        """
        if network is None or network.family == "plain":
            return self
        if network.family != self.family:
            raise ModelError(
                f"ControlNet {self.file!r} was made for {_TITLES[self.family]}, not for {network.family!r} models",
                hint="choose a ControlNet of the model's family, or another model",
            )
        shapes = network.component.shapes()
        width = shapes.get(_WIDTHS[self.family], (self.width,))[0]
        if width != self.width:
            raise ModelError(
                f"ControlNet {self.file!r} has states of width {self.width}, the model's have {width}",
                hint="it was made for a model of another size",
            )
        double, single = (_blocks(shapes, kind) for kind in ("transformer_blocks", "single_transformer_blocks"))
        return replace(self, double=double, single=single)

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """That of the picture that a latent of this size stands for."""
        return width * self.latent_format.downscale, height * self.latent_format.downscale

    def read(self, picture: Tensor, settings: Mapping[str, Any]) -> Features:
        """The encoded picture (N, C, h, w) itself.

        Raises:
            ValueError: it has other channels than the network sees.
        """
        if picture.shape[1] != self.concat:
            raise ValueError(
                f"ControlNet {self.file!r} sees {self.concat} channels, the encoded picture has "
                f"{picture.shape[1]}: the VAE belongs to another family of models"
            )
        return (picture,)

    @torch.no_grad()
    def residuals(self, features: Features, call: NetworkCall, settings: Mapping[str, Any]) -> Residuals:
        """What it adds to the states after the blocks, the double ones first.

        Raises:
            ValueError: the model gives no pooled text state.
        """
        if "y" not in call.extra:
            raise ValueError(
                f"ControlNet {self.file!r} needs the pooled text state, which the model does not give"
            )
        cast = self._cast(call)
        hint = padded(features[0].expand(len(call.x), -1, -1, -1))
        run = _run_flux if self.family == "flux" else _run_sd3
        double, single = run(self._module(settings), cast, hint, self.config, _kinds(settings))
        spread = (*_spread(double, self.double), *_spread(single, self.single))
        return Residuals(output=tuple(value.float() for value in spread))

    def _cast(self, call: NetworkCall) -> NetworkCall:
        dtype = self.component.dtype
        context = call.extra.get("cross_attn_controlnet", call.context)
        extra = {name: value.to(dtype) for name, value in call.extra.items()}
        return replace(call, x=padded(call.x.to(dtype)), context=context.to(dtype), extra=extra)

    def _module(self, settings: Mapping[str, Any]) -> Any:
        module: Any = self.component.ready()
        if not getattr(module, "union", False):
            return module
        kinds, known = _kinds(settings), self.config["num_mode"]
        if any(not 0 <= kind < known for kind in kinds):
            raise ValueError(f"ControlNet {self.file!r} knows {known} kinds of pictures, not number {kinds[0]}")
        if not kinds:  # "auto": without the token of a kind
            module = copy.copy(module)
            module.union = False
        return module


def _kinds(settings: Mapping[str, Any]) -> list[int]:
    return [int(kind) for kind in settings.get(_KIND, ())][:1]


def _blocks(shapes: Mapping[str, Any], kind: str) -> int:
    return len({found[1] for name in shapes if (found := re.match(rf"{kind}\.(\d+)\.", name))})


def _run_sd3(
    module: Any, call: NetworkCall, hint: Tensor, config: Config, kinds: Sequence[int]
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    (samples,) = module(
        hidden_states=call.x,
        controlnet_cond=hint,
        encoder_hidden_states=call.context,
        pooled_projections=call.extra["y"],
        timestep=call.timestep,
        return_dict=False,
    )
    return samples, ()


def _run_flux(
    module: Any, call: NetworkCall, hint: Tensor, config: Config, kinds: Sequence[int]
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    height, width = (size // PATCH for size in call.x.shape[-2:])
    device, batch = call.x.device, len(call.x)
    guidance = call.extra.get("guidance", torch.full((batch,), _GUIDANCE, device=device))
    double, single = module(
        hidden_states=packed(call.x),
        controlnet_cond=packed(hint),
        controlnet_mode=torch.tensor(kinds, device=device).expand(batch, -1) if kinds else None,
        encoder_hidden_states=call.context,
        pooled_projections=call.extra["y"],
        timestep=call.timestep,
        img_ids=positions(height, width).to(device),
        txt_ids=torch.zeros(call.context.shape[1], 3, device=device),
        guidance=guidance if config["guidance_embeds"] else None,
        return_dict=False,
    )
    return double or (), single or ()


def _spread(samples: Sequence[Tensor], blocks: int | None) -> list[Tensor]:
    """One residual per block: each sample for as many blocks in turn as it takes."""
    if blocks is None or not samples:
        return list(samples)
    each = ceil(blocks / len(samples))
    return [samples[block // each] for block in range(blocks)]


def load_transformer_control(
    family: str, checkpoint: Checkpoint, part: Mapping[str, TensorInfo], device: str
) -> TransformerControl:
    """The ControlNet of a file in the layout of diffusers.

    Raises:
        ModelError: it is incomplete, or of impossible sizes.
    """
    read = Reader(checkpoint.path.name, {name: info.shape for name, info in part.items()})
    config, make = (_flux_config(read), _flux_module) if family == "flux" else (_sd3_config(read), _sd3_module)
    width, concat = _sizes(read, family)
    places = {name: ((name, None),) for name in part}
    component = load_component(
        f"a ControlNet of {_TITLES[family]}", checkpoint, part, places, lambda: make(config, concat), device
    )
    return TransformerControl(read.file, family, config, width, concat, component)


def _sizes(read: Reader, family: str) -> tuple[int, int]:
    """The width of the states, and the channels of the encoded picture."""
    if family == "flux":
        width, patched = read.shape("controlnet_x_embedder.weight", 2)
        return width, patched // PATCH**2
    shape = read.shape("pos_embed_input.proj.weight", 4)
    return shape[0], shape[1]


def _sd3_config(read: Reader) -> Config:
    width, channels, patch, _ = read.shape("pos_embed.proj.weight", 4)
    grid = isqrt(read.shape("pos_embed.pos_embed", 3)[1])
    return {
        "sample_size": grid,
        "patch_size": patch,
        "in_channels": channels,
        "num_layers": read.count(r"transformer_blocks\.(\d+)\."),
        "attention_head_dim": _SD3_HEAD,
        "num_attention_heads": read.heads(width, _SD3_HEAD),
        "joint_attention_dim": read.shape("context_embedder.weight", 2)[1],
        "caption_projection_dim": read.shape("context_embedder.weight", 2)[0],
        "pooled_projection_dim": read.shape("time_text_embed.text_embedder.linear_1.weight", 2)[1],
        "out_channels": channels,
        "pos_embed_max_size": grid,
        "extra_conditioning_channels": read.shape("pos_embed_input.proj.weight", 4)[1] - channels,
        "dual_attention_layers": read.numbers(r"transformer_blocks\.(\d+)\.attn2\."),
        "qk_norm": "rms_norm" if read.has("transformer_blocks.0.attn.norm_q.weight") else None,
    }


def _sd3_module(config: Config, concat: int) -> nn.Module:
    module: Any = on_meta(diffusers_class("SD3ControlNetModel"), **config)
    buffer_as_parameter(module.pos_embed, "pos_embed", tuple(module.pos_embed.pos_embed.shape))
    return module  # type: ignore[no-any-return]  # the class is chosen by name


def _flux_config(read: Reader) -> Config:
    width, patched = read.shape("x_embedder.weight", 2)
    norms = [name for name in read.shapes if name.endswith(".attn.norm_q.weight")]
    head = read.shape(norms[0], 1)[0] if norms else 0
    kinds = read.shapes.get("controlnet_mode_embedder.weight")
    return {
        "in_channels": patched,
        "num_layers": read.count(r"transformer_blocks\.(\d+)\."),
        "num_single_layers": read.count(r"single_transformer_blocks\.(\d+)\."),
        "attention_head_dim": head,
        "num_attention_heads": read.heads(width, head),
        "joint_attention_dim": read.shape("context_embedder.weight", 2)[1],
        "pooled_projection_dim": read.shape("time_text_embed.text_embedder.linear_1.weight", 2)[1],
        "guidance_embeds": read.has("time_text_embed.guidance_embedder.linear_1.weight"),
        "axes_dims_rope": rotary_axes(head),
        "num_mode": kinds[0] if kinds else None,
    }


def _flux_module(config: Config, concat: int) -> nn.Module:
    with without_warnings():  # diffusers warns of its own use of an old name
        module: Any = on_meta(diffusers_class("FluxControlNetModel"), **config)
    module.controlnet_x_embedder = on_meta(
        nn.Linear, in_features=concat * PATCH**2, out_features=module.inner_dim
    )  # diffusers leaves no room for a mask
    return module  # type: ignore[no-any-return]  # the class is chosen by name
