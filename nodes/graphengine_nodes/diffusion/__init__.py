"""Diffusion: checkpoints, text, sampling, VAE and latents. Ships a small checkpoint under `models/`."""

from pathlib import Path

from . import (
    attention_guidance_nodes,
    attention_nodes,
    clip_nodes,
    conditioning_nodes,
    conditioning_option_nodes,
    conditioning_property_nodes,
    control_nodes,
    custom_sampling_nodes,
    dit_text_nodes,
    gligen_nodes,
    guidance_formula_nodes,
    guidance_nodes,
    latent_nodes,
    loader_nodes,
    lora_nodes,
    merging_nodes,
    model_patch_nodes,
    model_sampling_nodes,
    sampler_nodes,
    sampler_option_nodes,
    saving_nodes,
    scheduler_nodes,
    sigma_nodes,
    split_loader_nodes,
    unet_patch_nodes,
    upscale_nodes,
    vae_nodes,
    video_conditioning_nodes,
    vision_conditioning_nodes,
    vision_nodes,
)

__all__ = [
    "GRAPHENGINE_DECLARES",
    "GRAPHENGINE_PACKAGES",
    "MODELS_DIRECTORY",
    "NODE_CLASS_MAPPINGS",
    "NODE_DISPLAY_NAME_MAPPINGS",
]

#: What holds for nodes that do not say otherwise: they read no files but those that `Files` inputs name.
GRAPHENGINE_DECLARES: dict[str, object] = {"CACHEABLE": True, "PURE": True, "READS_FILES": ()}

#: What the results of the nodes depend on.
GRAPHENGINE_PACKAGES: tuple[str, ...] = (
    "diffusers",
    "numpy",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "torchsde",
    "transformers",
)

#: Model files by kind ("checkpoints") that come with the package.
MODELS_DIRECTORY = Path(__file__).parent.parent / "models"

NODE_CLASS_MAPPINGS: dict[str, type] = {
    **loader_nodes.NODE_CLASS_MAPPINGS,
    **clip_nodes.NODE_CLASS_MAPPINGS,
    **split_loader_nodes.NODE_CLASS_MAPPINGS,
    **dit_text_nodes.NODE_CLASS_MAPPINGS,
    **video_conditioning_nodes.NODE_CLASS_MAPPINGS,
    **sampler_nodes.NODE_CLASS_MAPPINGS,
    **custom_sampling_nodes.NODE_CLASS_MAPPINGS,
    **sampler_option_nodes.NODE_CLASS_MAPPINGS,
    **scheduler_nodes.NODE_CLASS_MAPPINGS,
    **sigma_nodes.NODE_CLASS_MAPPINGS,
    **model_sampling_nodes.NODE_CLASS_MAPPINGS,
    **guidance_nodes.NODE_CLASS_MAPPINGS,
    **guidance_formula_nodes.NODE_CLASS_MAPPINGS,
    **attention_guidance_nodes.NODE_CLASS_MAPPINGS,
    **unet_patch_nodes.NODE_CLASS_MAPPINGS,
    **attention_nodes.NODE_CLASS_MAPPINGS,
    **model_patch_nodes.NODE_CLASS_MAPPINGS,
    **latent_nodes.NODE_CLASS_MAPPINGS,
    **conditioning_nodes.NODE_CLASS_MAPPINGS,
    **conditioning_option_nodes.NODE_CLASS_MAPPINGS,
    **conditioning_property_nodes.NODE_CLASS_MAPPINGS,
    **vae_nodes.NODE_CLASS_MAPPINGS,
    **upscale_nodes.NODE_CLASS_MAPPINGS,
    **lora_nodes.NODE_CLASS_MAPPINGS,
    **merging_nodes.NODE_CLASS_MAPPINGS,
    **saving_nodes.NODE_CLASS_MAPPINGS,
    **control_nodes.NODE_CLASS_MAPPINGS,
    **vision_nodes.NODE_CLASS_MAPPINGS,
    **vision_conditioning_nodes.NODE_CLASS_MAPPINGS,
    **gligen_nodes.NODE_CLASS_MAPPINGS,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    **loader_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **clip_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **split_loader_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **dit_text_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **video_conditioning_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **sampler_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **custom_sampling_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **sampler_option_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **scheduler_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **sigma_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **model_sampling_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **guidance_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **guidance_formula_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **attention_guidance_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **unet_patch_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **attention_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **model_patch_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **latent_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **conditioning_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **conditioning_option_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **conditioning_property_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **vae_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **upscale_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **lora_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **merging_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **saving_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **control_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **vision_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **vision_conditioning_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **gligen_nodes.NODE_DISPLAY_NAME_MAPPINGS,
}
