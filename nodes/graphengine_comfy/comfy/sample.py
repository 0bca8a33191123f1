"""Noise, and sampling runs that give samples for samples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    from torch import Tensor


def prepare_noise(latent_image: "Tensor", seed: int, noise_inds: Sequence[int] | None = None) -> "Tensor":
    """Standard normal noise shaped like the latent, on the CPU; `noise_inds` are the places in a batch.

    Raises:
        ValueError: `noise_inds` does not hold one index per sample.
    """
    from graphengine_nodes.diffusion.sampling.noise import prepare_noise as draw  # brings torch

    return draw(latent_image, seed, None if noise_inds is None else [int(index) for index in noise_inds])


# Any throughout: MODEL, CONDITIONING and SAMPLER are what our sampler takes.
def fix_empty_latent_channels(model: Any, latent_image: "Tensor", *scale: Any) -> "Tensor":
    """The latent; an empty one with the number of channels that the model has."""
    channels = model.latent_format.channels
    if latent_image.shape[1] == channels or latent_image.any():
        return latent_image
    return latent_image.new_zeros((latent_image.shape[0], channels, *latent_image.shape[2:]))


def prepare_mask(noise_mask: "Tensor", shape: Sequence[int], device: Any) -> "Tensor":
    """A mask at the size of a latent (B, C, H, W), on the device."""
    from graphengine_nodes.diffusion.model.regions import resize_mask  # brings torch

    return resize_mask(noise_mask, shape).to(device)


def sample(
    model: Any,
    noise: "Tensor",
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Any,
    negative: Any,
    latent_image: "Tensor",
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
    noise_mask: "Tensor | None" = None,
    sigmas: "Tensor | None" = None,
    callback: Any = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> "Tensor":
    """The samples (B, C, …) after a run of KSampler with this noise; float32 on the CPU.

    Raises:
        ValueError: an unknown sampler or scheduler, a latent or conditioning that does not fit the model.
        RunCancelled: the run was asked to stop.
    """
    from graphengine_comfy.comfy.samplers import KSampler  # imported by packs that do not sample

    return KSampler(model, steps, None, sampler_name, scheduler, denoise).sample(
        noise,
        positive,
        negative,
        cfg,
        latent_image,
        start_step,
        last_step,
        force_full_denoise,
        noise_mask,
        sigmas,
        callback,
        disable_pbar,
        seed,
    )


def sample_custom(
    model: Any,
    noise: "Tensor",
    cfg: float,
    sampler: Any,
    sigmas: "Tensor",
    positive: Any,
    negative: Any,
    latent_image: "Tensor",
    noise_mask: "Tensor | None" = None,
    callback: Any = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> "Tensor":
    """The samples (B, C, …) after a run over the sigmas with a SAMPLER; float32 on the CPU.

    Raises:
        ValueError: sigmas, latent, sampler and model do not fit together.
        RunCancelled: the run was asked to stop.
    """
    from graphengine_comfy._sampling import guided, run  # brings torch

    guider = guided(model, positive, negative, cfg)
    return run(guider, noise, latent_image, sampler, sigmas, mask=noise_mask, callback=callback, seed=seed)


def cleanup_additional_models(models: Any) -> None:
    """Forget models that a run used: Python does."""


__getattr__ = placeholders_of(__name__)
