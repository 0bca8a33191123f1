"""What the UNets of Stable Diffusion predict, at which noise levels, and the scale of their latents, by file.

Files of SDXL's kin say it by tensors beside the network: an empty "v_pred" for models that predict the velocity,
with "ztsnr" for zero terminal SNR; "edm_vpred.sigma_max" for CosXL, which predicts it at the levels of EDM
(Karras et al., 2022); "edm_mean" and "edm_std" for Playground v2.5, which is an EDM model.
"""

from __future__ import annotations

from collections.abc import Callable

from graphengine_nodes.diffusion.dit.latent_formats import ChannelLatentFormat
from graphengine_nodes.diffusion.model.model import LatentFormat
from graphengine_nodes.diffusion.model.model_sampling import (
    DiscreteSampling,
    ModelSampling,
    Prediction,
    linear_sigmas,
)
from graphengine_nodes.diffusion.model.model_sampling_variants import ContinuousSampling
from graphengine_nodes.diffusion.unet.upscaler import UPSCALER_BETAS
from graphengine_nodes.diffusion.weights import keymaps
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint
from graphengine_nodes.diffusion.weights.detect import UNetConfig

from .family import Part

_V_DEVIATION = 0.09
_EDM_MIN, _EDM_MAX, _COSXL_MAX = 0.002, 80.0, 120.0
_PLAYGROUND = ChannelLatentFormat(
    scale_factor=0.5, mean=(-1.6574, 1.886, -1.383, 2.5155), std=(8.4927, 5.9022, 6.5498, 5.2299)
)

FindSampling = Callable[[Checkpoint, Part, UNetConfig], ModelSampling]
"""(file, tensors of the UNet, its sizes) → its noise levels and prediction."""

FindFormat = Callable[[Checkpoint], LatentFormat]
"""A file → the scale of its latents."""


def sd_format(checkpoint: Checkpoint) -> LatentFormat:
    """That of SD1 and SD2."""
    return LatentFormat()


def sdxl_format(checkpoint: Checkpoint) -> LatentFormat:
    """That of SDXL, or of Playground v2.5, which is normalised by channel."""
    return _PLAYGROUND if "edm_mean" in checkpoint.entries else LatentFormat(scale_factor=0.13025)


def noise_prediction(checkpoint: Checkpoint, part: Part, config: UNetConfig) -> ModelSampling:
    """That of SD1 and of SDXL's refiner."""
    return DiscreteSampling.linear()


def sd2_sampling(checkpoint: Checkpoint, part: Part, config: UNetConfig) -> ModelSampling:
    """That of SD2, by what it predicts."""
    return DiscreteSampling.linear(sd2_prediction(checkpoint, part, config))


def sd2_prediction(checkpoint: Checkpoint, part: Part, config: UNetConfig) -> Prediction:
    """What an SD2.x UNet predicts; nothing in the file says so.

    The models trained on the velocity (v2.1-768) are told by the bias of the first norm in the last
    transformer, output_blocks.11.1.transformer_blocks.0.norm1.bias: its standard deviation is above 0.09, in those
    trained on the noise it is below. Inpainting and editing models predict the noise.
    """
    if config.in_channels != config.out_channels:
        return "eps"
    last = f"up_blocks.{len(config.widths) - 1}.attentions.{config.blocks[0]}.transformer_blocks.0.norm1.bias"
    names = {new: old for old, new in keymaps.unet_names(part).items()}
    if last not in names:
        return "eps"
    deviation = float(checkpoint.tensor(part[names[last]]).float().std())
    return "v" if deviation > _V_DEVIATION else "eps"


def upscaler_format(checkpoint: Checkpoint) -> LatentFormat:
    """That of the x4 upscaler, whose VAE makes a quarter of each side."""
    return LatentFormat(scale_factor=0.08333, downscale=4)


def upscaler_sampling(checkpoint: Checkpoint, part: Part, config: UNetConfig) -> ModelSampling:
    """That of the x4 upscaler, which predicts the velocity."""
    return DiscreteSampling.from_sigmas(linear_sigmas(start=UPSCALER_BETAS[0], end=UPSCALER_BETAS[1]), "v")


def sdxl_sampling(checkpoint: Checkpoint, part: Part, config: UNetConfig) -> ModelSampling:
    """That of SDXL and its kin, see above."""
    if "edm_mean" in checkpoint.entries:
        return ContinuousSampling.between(_EDM_MIN, _EDM_MAX, "edm")
    if "edm_vpred.sigma_max" in checkpoint.entries:
        low = _number(checkpoint, "edm_vpred.sigma_min", _EDM_MIN)
        return ContinuousSampling.between(low, _number(checkpoint, "edm_vpred.sigma_max", _COSXL_MAX), "v")
    if "v_pred" in checkpoint.entries:
        return DiscreteSampling.linear("v", zero_terminal_snr="ztsnr" in checkpoint.entries)
    return DiscreteSampling.linear()


def _number(checkpoint: Checkpoint, name: str, default: float) -> float:
    info = checkpoint.entries.get(name)
    values = [] if info is None else checkpoint.tensor(info).float().flatten().tolist()
    return float(values[0]) if len(values) == 1 and 0 < values[0] < float("inf") else default
