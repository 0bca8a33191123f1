"""Stable Cascade (Pernias et al. 2023, "Würstchen"; Stability AI 2024): stage C makes a small latent of the text,
stage B a larger one of that. Both are convolutional networks with attention on some levels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import ModelSampling
from graphengine_nodes.diffusion.model.model_sampling_variants import CosineSampling

from .architecture import Architecture, Config
from .cascade_control import added_before_blocks
from .conditions import pooled
from .layout import Destination, Reader, destinations
from .modules import diffusers_class, on_meta

STAGE_C = LatentFormat(1.0, 0.0, 16, 42)
STAGE_B = LatentFormat(1 / 0.43, 0.0, 4, 4)
"""0.43: the spread of stage A's latents, from the authors' repository."""

_HEAD = 64
_PATCH = 2  # of stage B
_COMPRESSION = 42  # of stage C's latents, where there are none
_RENAMES = (
    (r"\.attn\.in_proj_(weight|bias)$", r".{to_q|to_k|to_v}.\1"),
    (r"\.attn\.to_([qkv])\.", r".to_\1."),
    (r"\.attn\.out_proj\.", ".to_out.0."),
    (r"^clip_mapper\.", "clip_txt_pooled_mapper."),
)
_BLOCKS = {
    "channelwise.0.weight": "SDCascadeResBlock",
    "mapper.weight": "SDCascadeTimestepBlock",
    "kv_mapper.1.weight": "SDCascadeAttnBlock",
}
"""A tensor that only one kind of block has, and the kind by its name in diffusers."""


class _Stage(Architecture):
    """What both stages have alike. shift: of the noise levels."""

    shift: float
    patch: int
    text: str

    def config(self, read: Reader) -> Config:
        """Sizes of StableCascadeUNet."""
        levels = read.count(r"down_blocks\.(\d+)\.")
        widths = tuple(read.shape(f"down_blocks.{level}.0.depthwise.weight", 4)[0] for level in range(levels))
        down = [self._kinds(read, f"down_blocks.{level}.") for level in range(levels)]
        up = [self._kinds(read, f"up_blocks.{level}.") for level in range(levels)]
        layers = [_layers(read, kinds) for kinds in down]
        width = self._conditioning(read)
        return {
            "in_channels": read.shape("embedding.1.weight", 4)[1] // self.patch**2,
            "out_channels": read.shape("clf.1.weight", 4)[0] // self.patch**2,
            "patch_size": self.patch,
            "timestep_ratio_embedding_dim": read.shape("down_blocks.0.1.mapper.weight", 2)[1],
            "timestep_conditioning_type": _told(read),
            "conditioning_dim": width,
            "clip_seq": read.shape(self.text, 2)[0] // width,
            "clip_text_pooled_in_channels": read.shape(self.text, 2)[1],
            "block_out_channels": widths,
            "num_attention_heads": tuple(
                read.heads(size, min(_HEAD, size)) if "SDCascadeAttnBlock" in kinds else -1
                for size, kinds in zip(widths, down, strict=True)
            ),
            "block_types_per_layer": tuple(
                tuple(kinds[: len(kinds) // count]) for kinds, count in zip(down, layers, strict=True)
            ),
            "down_num_layers_per_block": tuple(layers),
            "up_num_layers_per_block": tuple(_layers(read, kinds) for kinds in up),
            "down_blocks_repeat_mappers": _repeats(read, "down", levels),
            "up_blocks_repeat_mappers": _repeats(read, "up", levels),
            "switch_level": (False,) * (levels - 1) if read.has("down_downscalers.1.1.blocks.0.weight") else None,
            "kernel_size": read.shape("down_blocks.0.0.depthwise.weight", 4)[-1],
            "dropout": 0.0,
        }

    def _kinds(self, read: Reader, prefix: str) -> list[str]:
        """The kinds of the blocks of a level, in order."""
        count = read.count(prefix.replace(".", r"\.") + r"(\d+)\.")
        found = []
        for number in range(count):
            kinds = [kind for name, kind in _BLOCKS.items() if read.has(f"{prefix}{number}.{name}")]
            if len(kinds) != 1:
                raise read.impossible(f"{prefix}{number} is no block of a kind that is known")
            found += kinds
        return found

    def _conditioning(self, read: Reader) -> int:
        """The width of the text states inside the network."""
        name = next((name for name in read.shapes if name.endswith(".kv_mapper.1.weight")), "kv_mapper.1.weight")
        return read.shape(name, 2)[1]

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Each tensor is a parameter; those of queries, keys and values may be one."""
        return destinations(read.shapes, _RENAMES)

    def module(self, config: Config) -> nn.Module:
        """StableCascadeUNet, which computes times in float32 whatever its weights are."""
        base = diffusers_class("StableCascadeUNet")

        class Unet(base):  # type: ignore[misc, valid-type]  # the class is only known when diffusers is imported
            def get_timestep_ratio_embedding(self, timestep_ratio: Tensor, max_positions: int = 10000) -> Tensor:
                embedded: Tensor = super().get_timestep_ratio_embedding(timestep_ratio.float(), max_positions)
                return embedded.to(self.clip_txt_pooled_mapper.weight.dtype)

        module: nn.Module = on_meta(Unet, **config)
        return module

    def sampling(self, config: Config) -> ModelSampling:
        """The cosine schedule with the stage's shift."""
        return CosineSampling.shifted(self.shift)


def _layers(read: Reader, kinds: list[str]) -> int:
    """How often the blocks of a level repeat."""
    count = kinds.count("SDCascadeResBlock")
    if not count or kinds != kinds[: len(kinds) // count] * count:
        raise read.impossible(f"the {len(kinds)} blocks of a level do not repeat")
    return count


def _told(read: Reader) -> tuple[str, ...]:
    """The further numbers that blocks are told beside the time, all of them always 0."""
    return tuple(name for name in ("sca", "crp") if read.has(f"down_blocks.0.1.mapper_{name}.weight"))


def _repeats(read: Reader, way: str, levels: int) -> tuple[int, ...]:
    """How often each level is run through."""
    return tuple(1 + read.count(rf"{way}_repeat_mappers\.{level}\.(\d+)\.") for level in range(levels))


class StageC(_Stage):
    """Text → latents of 16 channels, a cell for about 42 x 42 pixels."""

    family, title = "stable_cascade_c", "stage C of Stable Cascade"
    shift, patch, text = 2.0, 1, "clip_txt_pooled_mapper.weight"

    def matches(self, names: Collection[str]) -> bool:
        """It takes the states of all tokens."""
        return "clip_txt_mapper.weight" in names

    def config(self, read: Reader) -> Config:
        """Sizes of StableCascadeUNet with text states and pictures."""
        return {
            **super().config(read),
            "clip_text_in_channels": read.shape("clip_txt_mapper.weight", 2)[1],
            "clip_image_in_channels": read.shape("clip_img_mapper.weight", 2)[1],
        }

    def latent_format(self, config: Config) -> LatentFormat:
        """As the network made them."""
        return STAGE_C

    def text_width(self, config: Config) -> int:
        """1280, of CLIP-G."""
        return int(config["clip_text_in_channels"])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """The pooled text state, and what CLIP-L sees in pictures, each times its strength: (1, pictures, 768).

        Raises:
            ValueError: the pictures were seen by another image encoder.
        """
        width = int(config["clip_image_in_channels"])
        seen = [_seen(picture, width) for picture in options.get("unclip_conditioning") or ()]
        pictures = torch.cat(seen, dim=1) if seen else torch.zeros(1, 1, width)
        text = pooled(options, job, config["clip_text_pooled_in_channels"], self.title)
        return Extras({"y": text, "pictures": pictures.to(job.device, torch.float32)})

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: the time in 0..1; the network predicts the noise."""
        with added_before_blocks(module, call.control):
            output: Tensor = module(
                call.x,
                timestep_ratio=call.timestep,
                clip_text_pooled=call.extra["y"][:, None],
                clip_text=call.context,
                clip_img=call.extra["pictures"],
                return_dict=False,
            )[0]
        return output


def _seen(picture: Mapping[str, Any], width: int) -> Tensor:  # Any: an entry of unclip_conditioning
    """What an image encoder gave for a picture, (1, pictures, width), times the strength."""
    embedding = picture["clip_vision_output"].image_embeds
    if embedding is None or embedding.shape[-1] != width:
        found = "no embedding" if embedding is None else f"an embedding of the width {embedding.shape[-1]}"
        raise ValueError(
            f"the CLIP vision output holds {found}, but {StageC.title} takes {width}: "
            "encode it with the CLIP_VISION of the node unCLIPCheckpointLoader"
        )
    result: Tensor = embedding.reshape(1, -1, width) * float(picture.get("strength", 1.0))
    return result


class StageB(_Stage):
    """A latent of stage C → latents of 4 channels, a cell for 4 x 4 pixels."""

    family, title = "stable_cascade_b", "stage B of Stable Cascade"
    shift, patch, text = 1.0, _PATCH, "clip_mapper.weight"

    def matches(self, names: Collection[str]) -> bool:
        """It takes the latent of stage C."""
        return "effnet_mapper.0.weight" in names and "clip_mapper.weight" in names

    def config(self, read: Reader) -> Config:
        """Sizes of StableCascadeUNet with a latent of stage C and pixels, which are always zeros."""
        return {
            **super().config(read),
            "effnet_in_channels": read.shape("effnet_mapper.0.weight", 4)[1],
            "pixel_mapper_in_channels": read.shape("pixels_mapper.0.weight", 4)[1],
        }

    def latent_format(self, config: Config) -> LatentFormat:
        """Those of stage A."""
        return STAGE_B

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """The pooled text state and the latent of stage C, (1 or B, 16, h, w); zeros without one.

        Raises:
            ValueError: the latent is none of stage C.
        """
        prior, channels = options.get("stable_cascade_prior"), int(config["effnet_in_channels"])
        if prior is None:
            height, width = (max(1, size * STAGE_B.downscale // _COMPRESSION) for size in job.shape[-2:])
            prior = torch.zeros(1, channels, height, width)
        if prior.ndim != 4 or prior.shape[1] != channels:
            raise ValueError(
                f"stage B takes a latent of stage C, (B, {channels}, h, w), not {list(prior.shape)}: connect what "
                "stage C sampled to the node StableCascade_StageB_Conditioning"
            )
        text = pooled(options, job, config["clip_text_pooled_in_channels"], self.title)
        return Extras({"y": text, "prior": prior.to(job.device, torch.float32)})

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: the time in 0..1; the network predicts the noise."""
        output: Tensor = module(
            call.x,
            timestep_ratio=call.timestep,
            clip_text_pooled=call.extra["y"][:, None],
            effnet=call.extra["prior"],
            return_dict=False,
        )[0]
        return output
