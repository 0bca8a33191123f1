"""The nodes that show what sampling does: thin classes over the modules about levels, guidance and steps.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, NodeContext
from graphengine_nodes.diffusion.sampling.names import SAMPLERS, SCHEDULERS

from .posterior_nodes import SEED

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel, Latent
    from graphengine_nodes.diffusion.sampling.guiders import Guider
    from graphengine_nodes.diffusion.sampling.noise import Noise
    from graphengine_nodes.diffusion.sampling.samplers import Sampler
    from graphengine_nodes.diffusion.vae.vae import VAE

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_STEPS = ("INT", {"default": 20, "min": 1, "max": 10000})
_DENOISE = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01})
_CFG = ("FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01})
_PICTURES = ("INT", {"default": 8, "min": 1, "max": 32, "tooltip": "How many pictures there are at most."})


class ExplainNoiseLevels:
    """The noise levels of a sampler, scheduler and denoise strength, and what they mean."""

    CATEGORY = "explain/sampling"
    DESCRIPTION = (
        "Per step: sigma, the timestep that the network is told, alpha_bar = 1 / (1 + sigma^2) (Ho et al. 2020), "
        "and SNR = alpha_bar / (1 - alpha_bar) = 1 / sigma^2 (Karras et al. 2022); in a rectified flow SNR = ((1 "
        "- sigma) / sigma)^2. With denoise d < 1 the whole schedule has floor(steps / d) steps and the run takes "
        "the last `steps` of them. Given sigmas replace the schedule."
    )
    RETURN_TYPES = ("IMAGE", "IMAGE", "STRING", "SIGMAS", "FLOAT")
    RETURN_NAMES = ("chart", "table_picture", "table", "sigmas", "first_sigma")
    FUNCTION = "show"
    RESOURCES = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "sampler_name": (list(SAMPLERS),),
                "scheduler": (list(SCHEDULERS),),
                "steps": _STEPS,
                "denoise": _DENOISE,
            },
            "optional": {"sigmas": ("SIGMAS",)},
        }

    def show(
        self,
        model: DiffusionModel,
        sampler_name: str,
        scheduler: str,
        steps: int,
        denoise: float,
        sigmas: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, str, Tensor, float]:
        """Chart and table as IMAGE, the table as text, the SIGMAS of the run, and the first of them."""
        from .sampling_views import noise_level_views  # brings torch

        return noise_level_views(model.sampling, sampler_name, scheduler, steps, denoise, sigmas)


class ExplainForwardNoise:
    """A picture with the noise of each level of a schedule."""

    CATEGORY = "explain/sampling"
    DESCRIPTION = (
        "The forward process x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps (Ho et al. 2020, eq. 4), "
        "decoded: what img2img starts from at each denoise strength. eps is the noise of KSampler for this seed."
    )
    RETURN_TYPES = ("IMAGE", "IMAGE", "LATENT")
    RETURN_NAMES = ("strip", "pictures", "latents")
    FUNCTION = "noise"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "vae": ("VAE",),
                "samples": ("LATENT",),
                "sigmas": ("SIGMAS",),
                "seed": SEED,
                "pictures": _PICTURES,
            },
            "hidden": {"context": CONTEXT},
        }

    def noise(
        self,
        model: DiffusionModel,
        vae: VAE | None,
        samples: Latent,
        sigmas: Tensor,
        seed: int,
        pictures: int,
        context: NodeContext,
    ) -> tuple[Tensor, Tensor, Latent]:
        """The labelled strip, the pictures, and their latents at the variance of a clean one."""
        from graphengine_nodes.diffusion.vae.vae import require_vae  # brings torch

        from .sampling_views import forward_views  # brings torch

        return forward_views(model, require_vae(vae), samples, sigmas, seed, pictures, context.check_cancelled)


class ExplainGuidance:
    """What the positive and the negative conditioning say at each noise level, and what cfg makes of them."""

    CATEGORY = "explain/sampling"
    DESCRIPTION = (
        "Classifier-free guidance taken apart: guided = uncond + cfg (cond - uncond) = cfg cond + (1 - cfg) "
        "uncond (Ho & Salimans 2022, eq. 6). Shows the root mean squares of the predicted noises e = (x - "
        "denoised) / sigma of both sides, of their difference and of the guided one, the angle between both "
        "sides, and the share |cfg - 1| |cond - uncond| / |guided|. At each sigma the latent has noise of that "
        "level from the seed."
    )
    RETURN_TYPES = ("IMAGE", "IMAGE", "STRING", "FLOAT", "FLOAT")
    RETURN_NAMES = ("chart", "pictures", "table", "mean_share", "mean_angle")
    FUNCTION = "take_apart"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "vae": ("VAE",),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "samples": ("LATENT",),
                "sigmas": ("SIGMAS",),
                "cfg": _CFG,
                "seed": SEED,
                "pictures": _PICTURES,
            },
            "hidden": {"context": CONTEXT},
        }

    def take_apart(
        self,
        model: DiffusionModel,
        vae: VAE | None,
        positive: Conditioning,
        negative: Conditioning,
        samples: Latent,
        sigmas: Tensor,
        cfg: float,
        seed: int,
        pictures: int,
        context: NodeContext,
    ) -> tuple[Tensor, Tensor, str, float, float]:
        """A chart over sigma, both predictions decoded, the table, and two means over the levels."""
        from graphengine_nodes.diffusion.vae.vae import require_vae  # brings torch

        from .guidance_parts import take_apart  # bring torch
        from .sampling_views import guidance_views

        parts = take_apart(
            model,
            positive,
            negative,
            samples,
            [float(sigma) for sigma in sigmas],
            cfg=cfg,
            seed=seed,
            progress=context.progress,
            check_cancelled=context.check_cancelled,
        )
        return guidance_views(model, require_vae(vae), parts, cfg, pictures, context.check_cancelled)


class ExplainKSampler:
    """KSampler that also shows its steps: the noisy latent and the denoised estimate, decoded."""

    CATEGORY = "explain/sampling"
    DESCRIPTION = (
        "The same latent as KSampler gives, to the bit, and of its steps: x at sigma, brought to the variance of "
        "a clean latent, sqrt(alpha_bar) x, and the denoised estimate D(x; sigma) (Karras et al. 2022, eq. 3; "
        "Tweedie's formula), both decoded. Of a batch the first sample is shown."
    )
    RETURN_TYPES = ("LATENT", "IMAGE", "IMAGE", "IMAGE", "IMAGE", "STRING")
    RETURN_NAMES = ("latent", "strip", "denoised", "noisy", "chart", "table")
    FUNCTION = "sample"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "vae": ("VAE",),
                "seed": SEED,
                "steps": _STEPS,
                "cfg": _CFG,
                "sampler_name": (list(SAMPLERS),),
                "scheduler": (list(SCHEDULERS),),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "latent_image": ("LATENT",),
                "denoise": _DENOISE,
                "pictures": _PICTURES,
            },
            "hidden": {"context": CONTEXT},
        }

    def sample(
        self,
        model: DiffusionModel,
        vae: VAE | None,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Latent,
        denoise: float,
        pictures: int,
        context: NodeContext,
    ) -> tuple[Latent, Tensor, Tensor, Tensor, Tensor, str]:
        """The sampled latent; a labelled strip; denoised and noisy pictures; how the estimate settles."""
        from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree, Guider  # all of these bring torch
        from graphengine_nodes.diffusion.sampling.ksampler import run_sigmas
        from graphengine_nodes.diffusion.sampling.noise import SeededNoise
        from graphengine_nodes.diffusion.sampling.samplers import find_sampler
        from graphengine_nodes.diffusion.vae.vae import require_vae

        from .sampling_views import step_views
        from .step_records import sample_recorded

        sampler = find_sampler(sampler_name)
        recorded = sample_recorded(
            Guider(model, {"positive": positive, "negative": negative}, ClassifierFree(cfg)),
            noise=SeededNoise(seed),
            sampler=sampler,
            sigmas=run_sigmas(model.sampling, sampler, scheduler, steps, denoise),
            latent=latent_image,
            kept=pictures,
            progress=context.progress,
            check_cancelled=context.check_cancelled,
        )
        return step_views(require_vae(vae), recorded, context.check_cancelled)


class ExplainSamplerCustom:
    """SamplerCustomAdvanced that also shows its steps, with any guider, noise, sampler and sigmas."""

    CATEGORY = "explain/sampling"
    DESCRIPTION = (
        "The same latent as SamplerCustomAdvanced gives, to the bit, and its steps as ExplainKSampler shows them: "
        "sqrt(alpha_bar) x and the denoised estimate D(x; sigma) (Karras et al. 2022, eq. 3), both decoded."
    )
    RETURN_TYPES = ExplainKSampler.RETURN_TYPES
    RETURN_NAMES = ExplainKSampler.RETURN_NAMES
    FUNCTION = "sample"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "noise": ("NOISE",),
                "guider": ("GUIDER",),
                "sampler": ("SAMPLER",),
                "sigmas": ("SIGMAS",),
                "latent_image": ("LATENT",),
                "vae": ("VAE",),
                "pictures": _PICTURES,
            },
            "hidden": {"context": CONTEXT},
        }

    def sample(
        self,
        noise: Noise,
        guider: Guider,
        sampler: Sampler,
        sigmas: Tensor,
        latent_image: Latent,
        vae: VAE | None,
        pictures: int,
        context: NodeContext,
    ) -> tuple[Latent, Tensor, Tensor, Tensor, Tensor, str]:
        """The sampled latent; a labelled strip; denoised and noisy pictures; how the estimate settles."""
        from graphengine_nodes.diffusion.vae.vae import require_vae  # all of these bring torch

        from .sampling_views import step_views
        from .step_records import sample_recorded

        recorded = sample_recorded(
            guider,
            noise=noise,
            sampler=sampler,
            sigmas=sigmas,
            latent=latent_image,
            kept=pictures,
            progress=context.progress,
            check_cancelled=context.check_cancelled,
        )
        return step_views(require_vae(vae), recorded, context.check_cancelled)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "ExplainNoiseLevels": ExplainNoiseLevels,
    "ExplainForwardNoise": ExplainForwardNoise,
    "ExplainGuidance": ExplainGuidance,
    "ExplainKSampler": ExplainKSampler,
    "ExplainSamplerCustom": ExplainSamplerCustom,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ExplainNoiseLevels": "Noise Levels",
    "ExplainForwardNoise": "Forward Noise",
    "ExplainGuidance": "Guidance Taken Apart",
    "ExplainKSampler": "KSampler (shows its steps)",
    "ExplainSamplerCustom": "SamplerCustomAdvanced (shows its steps)",
}
