"""Tensor names of single-file checkpoints → parameter names of the diffusers and transformers modules.

The maps work on names alone, so that a file is understood before its weights are touched, what does not belong
to the family is left over and can be named, and patches that speak of either naming find their weight. The LDM
names are those of CompVis' latent-diffusion; the module names those of diffusers 0.42 and transformers 5.
"""

from .clip import clip_places
from .names import used
from .unet import unet_names
from .vae import taesd_names, vae_names

__all__ = ["clip_places", "taesd_names", "unet_names", "used", "vae_names"]
