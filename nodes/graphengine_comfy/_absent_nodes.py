"""Built-in node classes of ComfyUI that packs derive from, where graphengine has none: placeholders."""

from functools import cache, partial
from typing import Any

from graphengine_comfy._node_classes import METHODS
from graphengine_comfy._placeholders import PlaceholderType, node_placeholder
from graphengine_comfy.folder_paths import get_filename_list

#: Outputs, and the classes that have them.
_OUTPUTS = {
    "MODEL CLIP": "LoraLoader",
    "MODEL": "LoraLoaderModelOnly UNETLoader",
    "CLIP": "CLIPLoader DualCLIPLoader CLIPSetLastLayer",
    "VAE": "VAELoader",
    "MODEL CLIP VAE": "CheckpointLoaderSimple CheckpointLoader DiffusersLoader",
    "MODEL CLIP VAE CLIP_VISION": "unCLIPCheckpointLoader",
    "CLIP_VISION": "CLIPVisionLoader",
    "CLIP_VISION_OUTPUT": "CLIPVisionEncode",
    "CONTROL_NET": "ControlNetLoader DiffControlNetLoader",
    "STYLE_MODEL": "StyleModelLoader",
    "GLIGEN": "GLIGENLoader",
    "CONDITIONING": "CLIPTextEncode ControlNetApply StyleModelApply unCLIPConditioning GLIGENTextBoxApply "
    "ConditioningCombine ConditioningConcat ConditioningAverage ConditioningZeroOut ConditioningSetTimestepRange "
    "ConditioningSetMask ConditioningSetArea ConditioningSetAreaPercentage ConditioningSetAreaStrength",
    "CONDITIONING CONDITIONING": "ControlNetApplyAdvanced",
    "CONDITIONING CONDITIONING LATENT": "InpaintModelConditioning",
    "LATENT": "VAEEncode VAEEncodeTiled VAEEncodeForInpaint KSampler KSamplerAdvanced EmptyLatentImage LoadLatent "
    "LatentUpscale LatentUpscaleBy LatentComposite LatentBlend LatentRotate LatentFlip LatentCrop LatentFromBatch "
    "RepeatLatentBatch SetLatentNoiseMask",
    "IMAGE": "VAEDecode VAEDecodeTiled ImageScale ImageScaleBy ImageInvert ImageBatch EmptyImage",
    "IMAGE MASK": "LoadImage ImagePadForOutpaint",
    "MASK": "LoadImageMask",
    "": "SaveLatent",
}
_STRENGTH = ("FLOAT", {"default": 1.0, "min": -100.0, "max": 100.0, "step": 0.01})
#: The inputs of those whose inputs packs change or take over, in ComfyUI's form; a set names a kind of files.
_INPUTS: dict[str, dict[str, Any]] = {
    "LoraLoader": {
        "model": ("MODEL",),
        "clip": ("CLIP",),
        "lora_name": {"loras"},
        "strength_model": _STRENGTH,
        "strength_clip": _STRENGTH,
    },
    "LoraLoaderModelOnly": {"model": ("MODEL",), "lora_name": {"loras"}, "strength_model": _STRENGTH},
    "UNETLoader": {
        "unet_name": {"diffusion_models"},
        "weight_dtype": (["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"],),
    },
    "ControlNetLoader": {"control_net_name": {"controlnet"}},
    "CLIPVisionLoader": {"clip_name": {"clip_vision"}},
    "StyleModelLoader": {"style_model_name": {"style_models"}},
    "VAELoader": {"vae_name": {"vae"}},
    "CheckpointLoaderSimple": {"ckpt_name": {"checkpoints"}},
}
_BY_CLASS = {name: tuple(outputs.split()) for outputs, names in _OUTPUTS.items() for name in names.split()}


@cache
def absent(name: str) -> PlaceholderType:
    """The placeholder for a built-in class. Packs ask for other names to see whether they set them before.

    Raises:
        AttributeError: ComfyUI has no such class.
    """
    if name not in _BY_CLASS:
        raise AttributeError(f"module 'nodes' has no attribute {name!r}")
    inputs = partial(_declared, name)
    return node_placeholder(f"nodes.{name}", METHODS.get(name, "execute"), _BY_CLASS[name], inputs)


# Any: inputs in ComfyUI's form.
def _declared(name: str) -> dict[str, Any]:
    """The inputs of a class as packs see them, with the names of files that there are now."""
    inputs = {
        given: (get_filename_list(next(iter(kind))),) if isinstance(kind, set) else kind
        for given, kind in _INPUTS.get(name, {}).items()
    }
    return {"required": inputs}
