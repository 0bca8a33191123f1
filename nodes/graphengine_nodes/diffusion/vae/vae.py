"""VAEs from files, and what nodes do with them beyond encoding and decoding."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from graphengine.node.api import GraphEngineError, ModelError
from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.diffusion.weights import detect
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo

from .autoencoder import VAE, Check, never_stop
from .families import find_vae_family
from .shapes import crop

__all__ = ["VAE", "as_pictures", "crop", "encode_for_inpaint", "load_vae", "load_vae_file", "require_vae"]


def load_vae(checkpoint: Checkpoint, device: str, prefixes: tuple[str, ...] = (detect.VAE_PREFIX,)) -> VAE | None:
    """The VAE of a checkpoint, found by the first of the prefixes that is there; None when the file holds none.

    Raises:
        ModelError: the VAE is incomplete or of an unknown kind.
    """
    for prefix in prefixes:
        part = checkpoint.part(prefix)
        if part:
            return _vae(checkpoint, part, device)
    return None


def load_vae_file(checkpoint: Checkpoint, device: str) -> VAE:
    """The VAE of a file of its own, in any layout of `vae_families`.

    Raises:
        ModelError: the file is no VAE, or incomplete.
    """
    return _vae(checkpoint, checkpoint.part(detect.VAE_PREFIX) or dict(checkpoint.entries), device)


def _vae(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    family = find_vae_family(part)
    if family is None:
        detect.check_vae(checkpoint.path.name, part)
        raise ModelError(f"model file {checkpoint.path.name!r} holds a VAE of no known layout")
    return family.load(checkpoint, part, device)


def require_vae(vae: VAE | None) -> VAE:
    """The VAE given to a node.

    Raises:
        ModelError: the checkpoint had none.
    """
    if vae is None:
        raise ModelError(
            "the checkpoint holds no VAE",
            hint="load one with the node VAELoader and connect it here",
        )
    return vae


def as_pictures(decoded: Tensor) -> Tensor:
    """Pictures (N, H, W, 3) of what a VAE decodes: those of videos (B, T, H, W, 3) one after the other."""
    return decoded.reshape(-1, *decoded.shape[-3:])


def encode_for_inpaint(vae: VAE, pixels: Tensor, mask: Tensor, grow: int, check: Check = never_stop) -> Latent:
    """The latent of pictures with the masked part greyed out, and the mask, grown, as its noise mask.

    pixels: (B, H, W, 3) in 0..1. mask: (H, W) or (B, H, W) in 0..1, any resolution, 1 is painted anew. grow: by
    how many pixels the mask of the noise is wider than the grey, so that the seam vanishes. The noise mask has
    shape (B, 1, H, W), values 0 and 1.
    """
    pixels, mask = fitted(pixels, mask, vae.downscale)
    hard = mask.round()
    grown = hard if grow else mask
    if grow:
        spread = F.max_pool2d(hard, grow, stride=1, padding=grow // 2)
        grown = spread[..., : mask.shape[-2], : mask.shape[-1]]
    return {"samples": vae.encode(greyed(pixels, hard), check), "noise_mask": grown.round()}


def fitted(pixels: Tensor, mask: Tensor, multiple: int) -> tuple[Tensor, Tensor]:
    """Pictures (B, H, W, C) and a mask of any size, (B, 1, H, W), of the same size, a multiple of some pixels.

    The mask is interpolated bilinearly to the pictures, then both are cropped in the middle.

    Raises:
        GraphEngineError: the mask is none, or nothing would be left.
    """
    if mask.ndim < 2 or not mask.numel():
        raise GraphEngineError(f"a mask has the shape (B, H, W), not {list(mask.shape)}")
    mask = mask.reshape(-1, 1, *mask.shape[-2:])
    mask = F.interpolate(mask, size=pixels.shape[1:3], mode="bilinear")
    return crop(pixels, multiple), crop(mask.movedim(1, -1), multiple).movedim(-1, 1)


def greyed(pixels: Tensor, mask: Tensor) -> Tensor:
    """Pictures (B, H, W, 3) with grey, 0.5, where the mask (B or 1, 1, H, W) is 1."""
    return (pixels[..., :3] - 0.5) * (1 - mask.movedim(1, -1)) + 0.5
