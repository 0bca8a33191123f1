"""Sampling runs in ComfyUI's terms, carried out by our sampler.

Packs hand over noise as a tensor, are told of each step with the latents, and bring samplers of their own in the
form of k-diffusion: `sample(model, x, sigmas, extra_args=…, callback=…, disable=…, **options)`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from graphengine.node.api import current_context
from graphengine_comfy._node_classes import outside
from graphengine_nodes.diffusion.model.model import DiffusionModel, Latent, copied_options
from graphengine_nodes.diffusion.sampling.custom_sampling import no_progress, sample_custom
from graphengine_nodes.diffusion.sampling.guidance import GuidedDenoiser
from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree, Guider
from graphengine_nodes.diffusion.sampling.samplers import Sampler
from graphengine_nodes.diffusion.sampling.sampling import Callback, Denoiser, NoiseSampler, SamplerFunction, Step

#: Told of each step: its number, the denoised latent, the noisy one, how many there are. Latents in model scale.
StepCallback = Callable[[int, Tensor, Tensor, int], object]


@dataclass(frozen=True, slots=True)
class GivenNoise:
    """The NOISE value for a tensor that a pack made."""

    noise: Tensor
    seed: int

    def generate_noise(self, latent: Latent) -> Tensor:
        """The tensor."""
        return self.noise


@dataclass(slots=True)
class _Model:
    """A denoiser as samplers of k-diffusion see it: `model(x, sigma, **extra_args)`."""

    denoiser: Denoiser

    # Any: model_options are ComfyUI's open-ended form; what else a pack adds is meant for ComfyUI's own model.
    def __call__(self, x: Tensor, sigma: Tensor, model_options: Any = None, **extra: Any) -> Tensor:
        """The denoised latent, with other options of the model if some are given."""
        denoiser = self.denoiser
        if model_options is not None and isinstance(denoiser, GuidedDenoiser):
            denoiser = denoiser.with_options(model_options)
        return denoiser(x, sigma)

    @property
    def model_options(self) -> dict[str, Any]:
        """The options of the model, copied: packs write into them."""
        given = self.denoiser.model.model_options if isinstance(self.denoiser, GuidedDenoiser) else {}
        return copied_options(given)

    @property
    def inner_model(self) -> "_Model":
        """The model itself: some samplers look for its noise levels below one or two wrappers."""
        return self

    @property
    def model_sampling(self) -> Any:
        """The noise levels of the model."""
        return self.denoiser.sampling


# Any: functions and options are the packs'.
def foreign(function: Callable[..., Any], options: Mapping[str, Any]) -> SamplerFunction:
    """A sampler function in our form for one in that of k-diffusion."""

    def sample(
        model: Denoiser, x: Tensor, sigmas: Tensor, *, callback: Callback, noise_sampler: NoiseSampler
    ) -> Tensor:
        def step(told: Mapping[str, Any]) -> None:
            callback(Step(int(told["i"]), told["sigma"], told["x"], told["denoised"]))

        wrapped = _Model(model)
        extra_args: dict[str, Any] = {"model_options": wrapped.model_options, "seed": None}
        made: Tensor = function(wrapped, x, sigmas, extra_args=extra_args, callback=step, disable=True, **options)
        return made

    return sample


def told_of_steps(sampler: Sampler, callback: StepCallback, total: int) -> Sampler:
    """The sampler with a callback of a pack, which is called after each step."""

    def sample(
        model: Denoiser, x: Tensor, sigmas: Tensor, *, callback: Callback, noise_sampler: NoiseSampler
    ) -> Tensor:
        def both(step: Step) -> None:
            callback(step)
            heard(step.index, step.denoised, step.x, total)

        return sampler.function(model, x, sigmas, callback=both, noise_sampler=noise_sampler)

    heard = callback
    return replace(sampler, function=sample)


def run(
    guider: Guider,
    noise: Tensor,
    latent: Tensor,
    sampler: Sampler,
    sigmas: Tensor,
    *,
    mask: Tensor | None = None,
    callback: StepCallback | None = None,
    seed: int | None = None,
) -> Tensor:
    """The samples (B, C, …) after a run over the sigmas; float32 on the CPU.

    Raises:
        ValueError: sigmas, latent, sampler and model do not fit together.
        RunCancelled: the run was asked to stop.
    """
    context = current_context.get() or outside()
    value: Latent = {"samples": latent.cpu()} if mask is None else {"samples": latent.cpu(), "noise_mask": mask}
    if callback is not None:
        sampler = told_of_steps(sampler, callback, len(sigmas) - 1)
    return sample_custom(
        guider,
        noise=GivenNoise(noise.cpu(), seed or 0),
        sampler=sampler,
        sigmas=sigmas,
        latent=value,
        check_cancelled=context.check_cancelled,
        # A pack that is told of the steps shows them itself.
        progress=context.progress if callback is None else no_progress,
    ).output["samples"]


def guided(model: DiffusionModel, positive: Any, negative: Any, cfg: float) -> Guider:
    """A guider for two conditionings."""
    return Guider(model, {"positive": positive, "negative": negative}, ClassifierFree(cfg))


class CFGGuider:
    """ComfyUI's GUIDER for two conditionings. Packs set `conds` and `cfg`; ours are `conditionings` and `rule`."""

    def __init__(self, model_patcher: DiffusionModel) -> None:
        self.model_patcher = model_patcher
        self.conds: dict[str, Any] = {}
        self.cfg = 1.0

    @property
    def model(self) -> DiffusionModel:
        """The MODEL."""
        return self.model_patcher

    @property
    def conditionings(self) -> Mapping[str, Any]:
        """The CONDITIONING values by side."""
        return self.conds

    @property
    def rule(self) -> ClassifierFree:
        """How the predictions become one."""
        return ClassifierFree(self.cfg)

    def set_conds(self, positive: Any, negative: Any) -> None:
        """Choose both conditionings."""
        self.conds = {"positive": positive, "negative": negative}

    def set_cfg(self, cfg: float) -> None:
        """Choose how strong the guidance is."""
        self.cfg = cfg

    def sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Sampler,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: StepCallback | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """The samples after a run over the sigmas."""
        guider = Guider(self.model, self.conds, self.rule)
        return run(guider, noise, latent_image, sampler, sigmas, mask=denoise_mask, callback=callback, seed=seed)
