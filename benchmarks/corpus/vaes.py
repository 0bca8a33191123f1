"""Tiny VAEs in the layouts of their files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from tests.nodes.diffusion import ldm_layout, tiny_dit, tiny_transformer_files, tiny_vae

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # importing diffusers warns of other libraries' old names
    from tests.nodes.diffusion import diffusers_oracle
    from tests.nodes.diffusion import test_vae_videos as layouts


def mochi_vae() -> dict[str, Tensor]:
    """Mochi's VAE."""
    reference = diffusers_oracle.module("AutoencoderKLMochi", None, **layouts.MOCHI)
    state = tiny_dit.random_weights({name: tuple(value.shape) for name, value in reference.state_dict().items()})
    return layouts.in_the_layout_of_mochi(state)


def ltx_vae() -> dict[str, Tensor]:
    """LTX-Video's VAE of 128 channels."""
    reference = diffusers_oracle.module("AutoencoderKLLTXVideo", None, latent_channels=128, **layouts.LTX["0.9.0"])
    state = tiny_dit.random_weights({name: tuple(value.shape) for name, value in reference.state_dict().items()})
    means, deviations = state.pop("latents_mean"), state.pop("latents_std")
    weights = layouts.in_the_layout_of_files(state, "0.9.0")
    weights |= {"per_channel_statistics.mean-of-means": means, "per_channel_statistics.std-of-means": deviations}
    return weights


def _tensors(make: Callable[[], dict[str, Tensor]]) -> Callable[[Path], object]:
    return lambda path: save_file({name: value.contiguous() for name, value in make().items()}, path)


def _kl(path: Path) -> None:
    ldm_layout.write(path, ldm_layout.kl((32, 32, 64, 64), 1))


VAES: tuple[tuple[str, Callable[[Path], object]], ...] = (
    (r"wan_?2\.2", lambda path: tiny_dit.write(path, tiny_vae.wan(48, residual=True))),
    (r"wan|qwen_image", lambda path: tiny_dit.write(path, tiny_vae.wan())),
    (r"hunyuan_?video", lambda path: tiny_dit.write(path, tiny_vae.hunyuan())),
    (r"mochi", _tensors(mochi_vae)),
    (r"ltx", _tensors(ltx_vae)),
    (r"(^|/)ae\.|flux|sd3", lambda path: tiny_dit.write(path, tiny_transformer_files.kl16())),
    (r"taesd", lambda path: ldm_layout.write(path, ldm_layout.taesd(16))),
    (r"", _kl),
)
"""Patterns of names of VAEs and their makers; the first that is found counts."""
