"""The families of diffusion transformers for the loaders: MODEL, CLIP and VAE of whole checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

from graphengine_nodes.diffusion.dit.architecture import Architecture
from graphengine_nodes.diffusion.dit.families import ARCHITECTURES, find_architecture, load_transformer
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.text.embeddings import FindFile
from graphengine_nodes.diffusion.text.stable_cascade_text import load_cascade_clip
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.text.text_towers import loading
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.vae.vae import load_vae
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint

from .family import Family, Part

_TEXTS: Mapping[str, loading.TextKind] = {
    "sd3": loading.SD3,
    "flux": loading.FLUX,
    "qwen_image": loading.QWEN,
    "wan": loading.WAN,
    "chroma": loading.CHROMA,
    "ltxv": loading.LTX_VIDEO,
    "mochi": loading.MOCHI,
    "lumina2": loading.LUMINA,
    "z_image": loading.Z,
    "hunyuan_video": loading.HUNYUAN,
    "hidream": loading.HIDREAM_I1,
    "aura_flow": loading.AURA_FLOW,
    "cosmos": loading.COSMOS,
    "omnigen2": loading.OMNIGEN,
}
"""Which towers a whole checkpoint of a family may hold."""

_VAE_PREFIXES = ("vae.", "first_stage_model.")


def _family(architecture: Architecture) -> Family:
    def matches(part: Part) -> bool:
        return find_architecture(part) is architecture

    def load_model(checkpoint: Checkpoint, part: Part, device: str) -> DiffusionModel:
        return load_transformer(architecture, checkpoint, part, device)

    def load_clip(checkpoint: Checkpoint, device: str, files: FindFile) -> TextEncoder | None:
        if architecture.family == "stable_cascade_c":
            return load_cascade_clip(checkpoint, device, files)
        kind = _TEXTS.get(architecture.family)
        return None if kind is None else loading.load_from_checkpoint(checkpoint, kind, device, files)

    def load_own_vae(checkpoint: Checkpoint, device: str) -> VAE | None:
        return load_vae(checkpoint, device, _VAE_PREFIXES)

    return Family(architecture.family, architecture.title, matches, load_model, load_clip, load_own_vae)


TRANSFORMER_FAMILIES: tuple[Family, ...] = tuple(_family(architecture) for architecture in ARCHITECTURES)
