"""What ComfyUI's configuration files say that a checkpoint does not: the prediction of SD2.x, the text layer."""

from __future__ import annotations

from dataclasses import replace

from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.vae.autoencoder import VAE

#: Beginnings of names of configurations whose models use the text layer before the last.
_SKIPPING = ("anything_v3", "v1-inference_clip_skip_2")


def configured(
    name: str, model: DiffusionModel, clip: TextEncoder | None, vae: VAE | None
) -> tuple[DiffusionModel, TextEncoder | None, VAE | None]:
    """The parts of a checkpoint as the configuration of this name has them."""
    if name.startswith("v2-inference") and model.network.family == "sd2":
        velocity = name.startswith("v2-inference-v")
        model = replace(model, sampling=DiscreteSampling.linear("v" if velocity else "eps"))
    if clip is not None and name.startswith(_SKIPPING):
        clip = clip.with_last_layer(-2)
    return model, clip, vae
