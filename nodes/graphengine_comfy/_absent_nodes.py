"""Built-in node classes of ComfyUI that packs derive from, where graphengine has none: placeholders."""

from graphengine_comfy._node_classes import METHODS
from graphengine_comfy._placeholders import PlaceholderType, node_placeholder

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
_BY_CLASS = {name: tuple(outputs.split()) for outputs, names in _OUTPUTS.items() for name in names.split()}


def absent(name: str) -> PlaceholderType:
    """The placeholder for a built-in class. Packs ask for other names to see whether they set them before.

    Raises:
        AttributeError: ComfyUI has no such class.
    """
    if name not in _BY_CLASS:
        raise AttributeError(f"module 'nodes' has no attribute {name!r}")
    return node_placeholder(f"nodes.{name}", METHODS.get(name, "execute"), _BY_CLASS[name])
