"""The families of Stable Diffusion: SD1.x, SD2.x, SDXL and its refiner, with their inpainting and editing kinds.

What differs between them is read off the file: `unet_traits` says which family a UNet is of, the number of input
channels whether it inpaints (9) or edits by instruction (8); sd_sampling.py says what it predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.model.model_sampling_variants import ContinuousSampling
from graphengine_nodes.diffusion.text.embeddings import FindFile
from graphengine_nodes.diffusion.text.text_encode import Join, TextEncoder, alone
from graphengine_nodes.diffusion.text.towers import SD1_L, SD2_H, SDXL_G, SDXL_L, ClipKind, clip_tower, join_sdxl
from graphengine_nodes.diffusion.unet.inputs import (
    ConcatInput,
    VectorInput,
    inpaint_concat,
    no_concat,
    no_vector,
    picture_concat,
    refiner_vector,
    scaled_picture_concat,
    sdxl_vector,
    small_picture_concat,
    unclip_vector,
)
from graphengine_nodes.diffusion.unet.network import HEAD_CHANNELS, UNetNetwork, unet_module
from graphengine_nodes.diffusion.unet.traits import UNetTraits, unet_traits
from graphengine_nodes.diffusion.unet.unclip import NoiseAugmentation
from graphengine_nodes.diffusion.unet.upscaler import level_vector
from graphengine_nodes.diffusion.vae.vae import load_vae
from graphengine_nodes.diffusion.weights import detect, keymaps
from graphengine_nodes.diffusion.weights.build import assign_weights, compute_dtype, module_shapes
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.detect import UNetConfig
from graphengine_nodes.diffusion.weights.weights import Component, plain_sources

from .family import Family, Part
from .sd_sampling import (
    FindFormat,
    FindSampling,
    noise_prediction,
    sd2_sampling,
    sd_format,
    sdxl_format,
    sdxl_sampling,
    upscaler_format,
    upscaler_sampling,
)

_SD1_HEADS = _UPSCALER_HEADS = 8

FindVector = Callable[[Checkpoint, UNetConfig], VectorInput]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a family of UNets fixes."""

    name: str
    title: str
    heads: int | None
    sampling: FindSampling
    vector: FindVector
    latent_format: FindFormat = sd_format
    concat: ConcatInput | None = None


def load_unet(checkpoint: Checkpoint, part: Part, device: str, kind: _Kind) -> DiffusionModel:
    """The MODEL of a UNet of this kind.

    Raises:
        ModelError: the UNet is incomplete, or of a variant that is not known.
    """
    file = checkpoint.path.name
    names = keymaps.unet_names(part)
    config = detect.unet_config(file, module_shapes(part, names))
    sampling = kind.sampling(checkpoint, part, config)
    concat = kind.concat or _concat(file, config, scaled=isinstance(sampling, ContinuousSampling))
    if kind.heads is None:
        _check_heads(file, config)
    module = assign_weights(
        f"the UNet of {kind.title}", checkpoint, part, names, lambda: unet_module(config, kind.heads)
    )
    dtype = compute_dtype(device, next(module.parameters()).dtype)
    component = Component(module, checkpoint, device=device, dtype=dtype, sources=plain_sources(names), packs=True)
    vector, label = kind.vector(checkpoint, config), 1 if config.levels else config.label
    network = UNetNetwork(kind.name, component, file, config.context, vector, concat, label)
    return DiffusionModel(network, sampling, kind.latent_format(checkpoint), device)


def _concat(file: str, config: UNetConfig, *, scaled: bool) -> ConcatInput:
    """What stands beside the latent, by the number of channels that the UNet takes in all.

    scaled: the picture to edit is on the scale of the model.
    """
    latent = config.out_channels
    known: Mapping[int, ConcatInput] = {
        latent: no_concat,
        2 * latent: scaled_picture_concat if scaled else picture_concat,
        2 * latent + 1: inpaint_concat,
    }
    if config.in_channels not in known:
        raise ModelError(
            f"model file {file!r} has a UNet of {config.in_channels} input channels, which is not supported",
            hint="4 channels, 8 (instruct-pix2pix) and 9 (inpainting) are; 5 mean a depth model",
        )
    return known[config.in_channels]


def _check_heads(file: str, config: UNetConfig) -> None:
    attended = [width for width, depth in zip(config.widths, config.down_depth, strict=True) if any(depth)]
    for width in attended:
        if width % HEAD_CHANNELS:
            raise ModelError(
                f"model file {file!r} has an unsupported layout: "
                f"the UNet width {width} is no multiple of {HEAD_CHANNELS}"
            )


def _always(vector: VectorInput) -> FindVector:
    return lambda checkpoint, config: vector


def _augmented(checkpoint: Checkpoint, config: UNetConfig) -> VectorInput:
    """The vector of an unCLIP model, with the statistics of embeddings that its checkpoint holds."""
    assert config.label is not None  # by `UNetTraits.is_unclip`
    statistics = [checkpoint.entries.get(f"noise_augmentor.{name}") for name in ("data_mean", "data_std")]
    width = config.label // 2
    mean, std = (
        None if info is None or info.shape != (1, width) else checkpoint.tensor(info).float().clone()
        for info in statistics
    )
    if mean is None or std is None:
        return unclip_vector(NoiseAugmentation.plain(width))
    return unclip_vector(NoiseAugmentation(mean, std))


SD1 = _Kind("sd1", "SD1.x", _SD1_HEADS, noise_prediction, _always(no_vector))
SD2 = _Kind("sd2", "SD2.x", None, sd2_sampling, _always(no_vector))
UNCLIP = _Kind("sd2_unclip", "SD2.1-unCLIP", None, sd2_sampling, _augmented)
SDXL = _Kind("sdxl", "SDXL", None, sdxl_sampling, _always(sdxl_vector), sdxl_format)
REFINER = _Kind("sdxl_refiner", "the SDXL refiner", None, noise_prediction, _always(refiner_vector), sdxl_format)

UPSCALER = _Kind(
    "sd_x4",
    "the SD x4 upscaler",
    _UPSCALER_HEADS,
    upscaler_sampling,
    _always(level_vector),
    upscaler_format,
    small_picture_concat,
)

TowerPlaces = Mapping[str, tuple[ClipKind, tuple[str, ...]]]
"""The towers of a family by name: what they are, and the prefixes that they may have in a checkpoint."""

_SD1_TOWERS: TowerPlaces = {"l": (SD1_L, ("cond_stage_model.transformer.",))}
_SD2_TOWERS: TowerPlaces = {
    "h": (
        SD2_H,
        ("cond_stage_model.model.", "conditioner.embedders.0.model.", "cond_stage_model.transformer."),
    )
}
_REFINER_TOWERS: TowerPlaces = {"g": (SDXL_G, ("conditioner.embedders.0.model.",))}
_SDXL_TOWERS: TowerPlaces = {
    "g": (SDXL_G, ("conditioner.embedders.1.model.",)),
    "l": (SDXL_L, ("conditioner.embedders.0.transformer.",)),
}


def load_towers(
    checkpoint: Checkpoint, places: TowerPlaces, join: Join, device: str, files: FindFile
) -> TextEncoder | None:
    """The CLIP of the towers at these places of a checkpoint; None when the file holds none of them.

    Raises:
        ModelError: a tower is missing or incomplete.
    """
    parts = {name: _first_part(checkpoint, prefixes) for name, (_, prefixes) in places.items()}
    if not any(parts.values()):
        return None
    for name, part in parts.items():
        if not part:
            raise ModelError(
                f"model file {checkpoint.path.name!r} lacks the text tower {name!r}: "
                f"it has no tensor {places[name][1][0] + '…'!r}",
                hint="the file is incomplete; load the text encoders with DualCLIPLoader",
            )
    towers = {name: clip_tower(checkpoint, part, places[name][0], device, files) for name, part in parts.items()}
    return TextEncoder(towers, join)


def _first_part(checkpoint: Checkpoint, prefixes: Sequence[str]) -> dict[str, TensorInfo]:
    parts = (checkpoint.part(prefix) for prefix in prefixes)
    return next((part for part in parts if part), {})


def _family(kind: _Kind, matches: Callable[[UNetTraits], bool], places: TowerPlaces, join: Join) -> Family:
    def is_of(part: Part) -> bool:
        traits = unet_traits(part)
        return traits is not None and matches(traits)

    def load_model(checkpoint: Checkpoint, part: Part, device: str) -> DiffusionModel:
        return load_unet(checkpoint, part, device, kind)

    def load_clip(checkpoint: Checkpoint, device: str, files: FindFile) -> TextEncoder | None:
        return load_towers(checkpoint, places, join, device, files)

    return Family(kind.name, f"a model of {kind.title}", is_of, load_model, load_clip, load_vae)


SD_FAMILIES: tuple[Family, ...] = (
    _family(UPSCALER, lambda traits: traits.is_upscaler, _SD2_TOWERS, alone),
    _family(REFINER, lambda traits: traits.is_refiner, _REFINER_TOWERS, alone),
    _family(UNCLIP, lambda traits: traits.is_unclip, _SD2_TOWERS, alone),
    _family(SDXL, lambda traits: traits.is_sdxl, _SDXL_TOWERS, join_sdxl),
    _family(SD2, lambda traits: traits.label is None and traits.linear, _SD2_TOWERS, alone),
    _family(SD1, lambda traits: traits.label is None and not traits.linear, _SD1_TOWERS, alone),
)
