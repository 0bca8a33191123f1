"""The nodes KSampler and KSamplerAdvanced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import CONTEXT, NodeContext
from graphengine_nodes.diffusion.sampling.names import SAMPLERS, SCHEDULERS

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel, Latent

_SEED = {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True}
_STEPS = {"default": 20, "min": 1, "max": 10000}
_CFG = {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01}

# INPUT_TYPES is ComfyUI's: a nested dict whose values are of any kind, hence Any.


class KSampler:
    """Denoises a latent with the model, guided by a positive and a negative conditioning."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("LATENT",)
    FUNCTION: ClassVar[str] = "sample"
    CATEGORY: ClassVar[str] = "sampling"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "seed": ("INT", dict(_SEED)),
                "steps": ("INT", dict(_STEPS)),
                "cfg": ("FLOAT", dict(_CFG)),
                "sampler_name": (list(SAMPLERS), {}),
                "scheduler": (list(SCHEDULERS), {}),
                "positive": ("CONDITIONING", {}),
                "negative": ("CONDITIONING", {}),
                "latent_image": ("LATENT", {}),
                "denoise": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
            },
            "hidden": {"context": CONTEXT},
        }

    def sample(
        self,
        *,
        model: DiffusionModel,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Latent,
        denoise: float,
        context: NodeContext,
    ) -> tuple[Latent]:
        """The sampled latent."""
        from graphengine_nodes.diffusion.sampling import ksampler  # imports torch, which listing nodes must not
        from graphengine_nodes.diffusion.sampling.previews import step_previews

        latent = ksampler.sample(
            model,
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            positive=positive,
            negative=negative,
            latent=latent_image,
            denoise=denoise,
            progress=context.progress,
            check_cancelled=context.check_cancelled,
            show=step_previews(model.latent_format, context),
        )
        return (latent,)


class KSamplerAdvanced:
    """KSampler for a part of the steps, with or without noise at either end."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("LATENT",)
    FUNCTION: ClassVar[str] = "sample"
    CATEGORY: ClassVar[str] = "sampling"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "add_noise": (["enable", "disable"],),
                "noise_seed": ("INT", dict(_SEED)),
                "steps": ("INT", dict(_STEPS)),
                "cfg": ("FLOAT", dict(_CFG)),
                "sampler_name": (list(SAMPLERS),),
                "scheduler": (list(SCHEDULERS),),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "latent_image": ("LATENT",),
                "start_at_step": ("INT", {"default": 0, "min": 0, "max": 10000}),
                "end_at_step": ("INT", {"default": 10000, "min": 0, "max": 10000}),
                "return_with_leftover_noise": (["disable", "enable"],),
            },
            "hidden": {"context": CONTEXT},
        }

    def sample(
        self,
        *,
        model: DiffusionModel,
        add_noise: str,
        noise_seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Latent,
        start_at_step: int,
        end_at_step: int,
        return_with_leftover_noise: str,
        context: NodeContext,
    ) -> tuple[Latent]:
        """The latent after the steps from start_at_step to end_at_step."""
        from graphengine_nodes.diffusion.sampling import ksampler  # imports torch, which listing nodes must not
        from graphengine_nodes.diffusion.sampling.previews import step_previews

        latent = ksampler.sample(
            model,
            seed=noise_seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            positive=positive,
            negative=negative,
            latent=latent_image,
            start_step=start_at_step,
            last_step=end_at_step,
            force_full_denoise=return_with_leftover_noise == "disable",
            disable_noise=add_noise == "disable",
            progress=context.progress,
            check_cancelled=context.check_cancelled,
            show=step_previews(model.latent_format, context),
        )
        return (latent,)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {"KSampler": KSampler, "KSamplerAdvanced": KSamplerAdvanced}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "KSampler": "KSampler",
    "KSamplerAdvanced": "KSampler (Advanced)",
}
