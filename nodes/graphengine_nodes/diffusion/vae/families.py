"""Which layouts of VAE files are known: one entry each, the first that matches loads the file.

A new layout is a function that makes a `VAE` of the tensors, and an entry in `FAMILIES`; entries that ask for
something special come before those that ask for less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo

from .autoencoder import VAE
from .cascade import is_stage_a, is_stage_c_vae, load_stage_a, load_stage_c_vae
from .hunyuan import is_hunyuan_vae, load_hunyuan_vae
from .kl import is_kl, is_taesd, load_kl, load_taesd
from .ltx import is_ltx_vae, load_ltx_vae
from .mochi import is_mochi_vae, load_mochi_vae
from .temporal import is_temporal, load_temporal
from .wan import is_wan_vae, load_wan_vae


@dataclass(frozen=True, slots=True)
class VAEFamily:
    """A layout of tensors.

    matches: whether names and shapes, without the prefix of a checkpoint, are of this layout. load: the VAE of a
    file, of its tensors by name without prefix, on a device; raises `ModelError` when it is incomplete.
    """

    name: str
    matches: Callable[[Mapping[str, TensorInfo]], bool]
    load: Callable[[Checkpoint, dict[str, TensorInfo], str], VAE]


FAMILIES: tuple[VAEFamily, ...] = (
    VAEFamily("taesd", is_taesd, load_taesd),
    VAEFamily("wan", is_wan_vae, load_wan_vae),
    VAEFamily("hunyuan_video", is_hunyuan_vae, load_hunyuan_vae),
    VAEFamily("ltx_video", is_ltx_vae, load_ltx_vae),
    VAEFamily("mochi", is_mochi_vae, load_mochi_vae),
    VAEFamily("stable_cascade_a", is_stage_a, load_stage_a),
    VAEFamily("stable_cascade_c", is_stage_c_vae, load_stage_c_vae),
    VAEFamily("temporal", is_temporal, load_temporal),
    VAEFamily("kl", is_kl, load_kl),
)


def find_vae_family(part: Mapping[str, TensorInfo]) -> VAEFamily | None:
    """The first layout that the tensors are of; None when no one is."""
    return next((family for family in FAMILIES if family.matches(part)), None)
