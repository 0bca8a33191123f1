"""Nodes that encode and decode in tiles: thin classes over `autoencoder`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Latent
    from graphengine_nodes.diffusion.vae.autoencoder import VAE

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


def _sizes(step: int) -> dict[str, Any]:
    return {
        "tile_size": ("INT", {"default": 512, "min": 64, "max": 4096, "step": step}),
        "overlap": ("INT", {"default": 64, "min": 0, "max": 4096, "step": 32}),
        "temporal_size": ("INT", {"default": 64, "min": 8, "max": 4096, "step": 4}),
        "temporal_overlap": ("INT", {"default": 8, "min": 4, "max": 4096, "step": 4}),
    }


class VAEDecodeTiled:
    """Decodes latents in tiles, so that large pictures and long videos fit into memory."""

    CATEGORY = "_for_testing"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "decode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        return {
            "required": {"samples": ("LATENT",), "vae": ("VAE",), **_sizes(32)},
            "hidden": {"context": CONTEXT},
        }

    def decode(
        self,
        vae: VAE | None,
        samples: Latent,
        tile_size: int,
        overlap: int = 64,
        temporal_size: int = 64,
        temporal_overlap: int = 8,
        context: NodeContext | None = None,
    ) -> tuple[Tensor]:
        """Pictures (B, H, W, 3) in 0..1; frames of videos one after the other.

        Neighbours share a quarter of a tile at most, and half of its frames.
        """
        from graphengine_nodes.diffusion.vae.vae import as_pictures, require_vae  # brings torch

        vae = require_vae(vae)
        side = vae.spacial_compression_decode()
        frames, shared = _latent_frames(vae.temporal_compression_decode(), temporal_size, temporal_overlap)
        images = vae.decode_tiled(
            samples["samples"],
            tile_x=max(1, tile_size // side),
            tile_y=max(1, tile_size // side),
            overlap=min(overlap, tile_size // 4) // side,
            tile_t=frames,
            overlap_t=shared,
            check=(context or NodeContext()).check_cancelled,
        )
        return (as_pictures(images),)


def _latent_frames(rate: int | None, size: int, overlap: int) -> tuple[int | None, int | None]:
    """Length and overlap of tiles in latent frames: at least 2 and 1, half of it at most; None for pictures."""
    if rate is None:
        return None, None
    if size < overlap * 2:
        overlap //= 2
    size = max(2, size // rate)
    return size, max(1, min(size // 2, overlap // rate))


class VAEEncodeTiled:
    """Encodes pictures in tiles, so that large ones fit into memory."""

    CATEGORY = "_for_testing"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        return {
            "required": {"pixels": ("IMAGE",), "vae": ("VAE",), **_sizes(64)},
            "hidden": {"context": CONTEXT},
        }

    def encode(
        self,
        vae: VAE | None,
        pixels: Tensor,
        tile_size: int,
        overlap: int,
        temporal_size: int = 64,
        temporal_overlap: int = 8,
        context: NodeContext | None = None,
    ) -> tuple[Latent]:
        """The latent; sides that are no multiple of 8 are cropped in the middle."""
        from graphengine_nodes.diffusion.vae.vae import require_vae  # brings torch

        samples = require_vae(vae).encode_tiled(
            pixels,
            tile_x=tile_size,
            tile_y=tile_size,
            overlap=overlap,
            tile_t=temporal_size,
            overlap_t=temporal_overlap,
            check=(context or NodeContext()).check_cancelled,
        )
        return ({"samples": samples},)


NODE_CLASS_MAPPINGS: dict[str, type] = {"VAEDecodeTiled": VAEDecodeTiled, "VAEEncodeTiled": VAEEncodeTiled}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "VAEDecodeTiled": "VAE Decode (Tiled)",
    "VAEEncodeTiled": "VAE Encode (Tiled)",
}
