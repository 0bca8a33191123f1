"""The node classes of graphengine under the method names of ComfyUI, which packs call without an engine.

A pack that makes use of a built-in node writes `nodes.ImageScale().upscale(image, "area", 64, 64, "center")` or
derives from the class. Ours have other method names, and some want a `NodeContext`. So each is given out as a
class derived from it that has ComfyUI's method.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from functools import cache
from typing import Any

from graphengine.node.api import CONTEXT, Files, NodeContext, current_context
from graphengine.node.files import FileNames
from graphengine_comfy._surroundings import CONNECTION

_OURS = "graphengine_nodes"
#: Methods of ComfyUI's classes, and the class types whose method has that name. Where none is given: `execute`.
_METHODS: dict[str, str] = {
    "upscale": "ImageScale ImageScaleBy LatentUpscale LatentUpscaleBy ImageScaleToTotalPixels "
    "ImageUpscaleWithModel",
    "generate": "EmptyImage EmptyLatentImage",
    "load_checkpoint": "CheckpointLoaderSimple CheckpointLoader DiffusersLoader unCLIPCheckpointLoader "
    "ImageOnlyCheckpointLoader",
    "load_vae": "VAELoader",
    "load_lora": "LoraLoader",
    "load_lora_model_only": "LoraLoaderModelOnly",
    "load_unet": "UNETLoader",
    "load_clip": "CLIPLoader DualCLIPLoader CLIPVisionLoader",
    "load_controlnet": "ControlNetLoader DiffControlNetLoader",
    "set_controlnet_type": "SetUnionControlNetType",
    "apply_inpaint_controlnet": "ControlNetInpaintingAliMamaApply",
    "load_model": "UpscaleModelLoader",
    "load_style_model": "StyleModelLoader",
    "load_gligen": "GLIGENLoader",
    "apply_adm": "unCLIPConditioning",
    "load_image": "LoadImage LoadImageMask",
    "load": "LoadLatent LoadAudio",
    "load_lora_model": "LoraModelLoader",
    "merge": "ModelMergeSimple ModelMergeBlocks ModelMergeSubtract ModelMergeAdd CLIPMergeSimple "
    "CLIPMergeSubtract CLIPMergeAdd",
    "save": "SaveLatent CheckpointSave ImageOnlyCheckpointSave ModelSave CLIPSave VAESave",
    "apply_controlnet": "ControlNetApply ControlNetApplyAdvanced",
    "apply_stylemodel": "StyleModelApply",
    "encode": "CLIPTextEncode VAEEncode VAEEncodeTiled VAEEncodeForInpaint InpaintModelConditioning "
    "CLIPVisionEncode CLIPTextEncodeSDXL CLIPTextEncodeSDXLRefiner SVD_img2vid_Conditioning",
    "decode": "VAEDecode VAEDecodeTiled",
    "sample": "KSampler KSamplerAdvanced SamplerCustom SamplerCustomAdvanced",
    "combine": "ConditioningCombine MaskComposite",
    "concat": "ConditioningConcat LatentConcat",
    "addWeighted": "ConditioningAverage",
    "zero_out": "ConditioningZeroOut",
    "set_range": "ConditioningSetTimestepRange",
    "append": "ConditioningSetMask ConditioningSetArea ConditioningSetAreaPercentage "
    "ConditioningSetAreaStrength GLIGENTextBoxApply FluxGuidance",
    "set_mask": "SetLatentNoiseMask",
    "set_last_layer": "CLIPSetLastLayer",
    "repeat": "RepeatLatentBatch RepeatImageBatch",
    "frombatch": "LatentFromBatch ImageFromBatch",
    "batch": "ImageBatch LatentBatch",
    "rotate": "LatentRotate",
    "flip": "LatentFlip",
    "crop": "LatentCrop ImageCrop CropMask",
    "composite": "LatentComposite ImageCompositeMasked LatentCompositeMasked PorterDuffImageComposite",
    "expand_image": "ImagePadForOutpaint",
    "invert": "ImageInvert InvertMask",
    "solid": "SolidMask",
    "feather": "FeatherMask",
    "expand_mask": "GrowMask",
    "image_to_mask": "ImageToMask ImageColorToMask ThresholdMask",
    "mask_to_image": "MaskToImage",
    "blend_images": "ImageBlend",
    "blur": "ImageBlur",
    "quantize": "ImageQuantize",
    "sharpen": "ImageSharpen",
    "split_image_with_alpha": "SplitImageWithAlpha",
    "join_image_with_alpha": "JoinImageWithAlpha",
    "detect_edge": "Canny",
    "get_sigmas": "BasicScheduler KarrasScheduler ExponentialScheduler PolyexponentialScheduler VPScheduler "
    "SDTurboScheduler BetaSamplingScheduler LaplaceScheduler AlignYourStepsScheduler LTXVScheduler SplitSigmas "
    "SplitSigmasDenoise FlipSigmas",
    "get_guider": "BasicGuider CFGGuider DualCFGGuider PerpNegGuider",
    "get_noise": "RandomNoise DisableNoise",
    "get_sampler": "KSamplerSelect",
    "patch": "ModelSamplingDiscrete ModelSamplingSD3 ModelSamplingFlux ModelSamplingContinuousEDM RescaleCFG",
    "patch_aura": "ModelSamplingAuraFlow",
}
METHODS = {class_type: method for method, types in _METHODS.items() for class_type in types.split()}
#: First parameters of methods that take them in another order than the inputs have.
_ORDERS: dict[str, tuple[str, ...]] = {
    "CLIPTextEncode": ("clip", "text"),
    "VAEDecode": ("vae", "samples"),
    "VAEDecodeTiled": ("vae", "samples", "tile_size", "overlap"),
    "VAEEncode": ("vae", "pixels"),
    "VAEEncodeTiled": ("vae", "pixels", "tile_size", "overlap"),
    "VAEEncodeForInpaint": ("vae", "pixels", "mask"),
    "InpaintModelConditioning": ("positive", "negative", "pixels", "vae", "mask"),
}
#: Choices that ComfyUI's classes have as attributes too, by the name of the input.
_LISTS = {"upscale_method": "upscale_methods", "crop": "crop_methods"}
#: Class types whose class has another name in `comfy_extras`.
_RENAMED = {"Blend": "ImageBlend", "Blur": "ImageBlur", "Quantize": "ImageQuantize", "Sharpen": "ImageSharpen"}


# Any throughout: classes, their inputs and outputs are their authors'.
class NodeClasses(MutableMapping[str, type[Any]]):
    """Class types and classes of the engine; what packs set here is seen by packs alone.

    `instead` holds classes that are given in place of built-in ones.
    """

    def __init__(self) -> None:
        self._own: dict[str, type[Any]] = {}
        self.instead: dict[str, type[Any]] = {}

    def __getitem__(self, class_type: str) -> type[Any]:
        if class_type in self._own:
            return self._own[class_type]
        definition = CONNECTION.definitions[class_type]
        if definition.load is None:
            raise KeyError(class_type)
        if definition.module.partition(".")[0] != _OURS:
            return definition.load()
        # mypy holds a type of Any for a thing that cannot be hashed.
        return self.instead.get(class_type) or as_comfy(class_type, definition.load())  # type: ignore[arg-type]

    def __setitem__(self, class_type: str, node_class: type[Any]) -> None:
        self._own[class_type] = node_class

    def __delitem__(self, class_type: str) -> None:
        del self._own[class_type]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*CONNECTION.definitions, *self._own]))

    def __len__(self) -> int:
        return len({*CONNECTION.definitions, *self._own})


NODE_CLASS_MAPPINGS = NodeClasses()


def class_or(other: Callable[[str], Any]) -> Callable[[str], Any]:
    """The `__getattr__` of a module with node classes: one of the engine, else what `other` gives."""

    def give(name: str) -> Any:
        """A node class."""
        class_type = _RENAMED.get(name, name)
        return NODE_CLASS_MAPPINGS[class_type] if class_type in NODE_CLASS_MAPPINGS else other(name)

    return give


@cache
def as_comfy(class_type: str, node_class: type[Any]) -> type[Any]:
    """A class derived from a built-in one: with ComfyUI's method, called with inputs in their order or by name.

    `execute` is the same as a class method. Neither needs the engine.
    """
    name = METHODS.get(class_type, "execute")
    order = _ORDERS.get(class_type, ())

    def method(self: Any, *args: Any, **inputs: Any) -> Any:
        return _call(node_class, self, order, args, inputs)

    def execute(cls: type[Any], *args: Any, **inputs: Any) -> Any:
        """What the node gives for these inputs."""
        return _call(node_class, cls(), order, args, inputs)

    method.__name__ = name
    method.__doc__ = f"What {class_type} gives for these inputs."

    def input_types(cls: type[Any]) -> dict[str, dict[str, Any]]:
        """The inputs, in ComfyUI's form."""
        return _in_comfy_form(node_class.INPUT_TYPES())

    lists = {
        _LISTS[name]: list(declared[0])
        for section in node_class.INPUT_TYPES().values()
        for name, declared in section.items()
        if name in _LISTS
    }
    members = {
        **lists,
        "execute": classmethod(execute),
        name: method,
        "FUNCTION": name,
        "INPUT_TYPES": classmethod(input_types),
        "__module__": "nodes",
    }
    return type(node_class.__name__, (node_class,), members)


def _in_comfy_form(declared: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The inputs without our context, and with lists of names in place of kinds of files."""
    return {
        section: {name: _listed(given) for name, given in inputs.items() if given != CONTEXT}
        for section, inputs in declared.items()
    }


def _listed(declared: Any) -> Any:
    if not (isinstance(declared, tuple) and declared and isinstance(declared[0], Files)):
        return declared
    source = replace(declared[0], also=())
    names = FileNames(source.names(CONNECTION.folders), source)
    also = list(declared[0].also)
    return (names + also if declared[0].also_last else also + names, *declared[1:])


def _call(
    node_class: type[Any], node: Any, order: tuple[str, ...], args: tuple[Any, ...], inputs: Mapping[str, Any]
) -> Any:
    """Call the method of our own class; what nobody gives has its default."""
    declared = node_class.INPUT_TYPES()
    sections = {**declared.get("required", {}), **declared.get("optional", {})}
    method = getattr(node_class, node_class.FUNCTION)
    taken = inspect.signature(method).parameters
    names = dict.fromkeys([*order, *sections])
    given = {**_defaults(sections, taken), **dict(zip(names, args, strict=False)), **inputs}
    for hidden, kind in declared.get("hidden", {}).items():
        if kind == CONTEXT:
            given[hidden] = current_context.get() or outside()
    return method(node, **given)


def _defaults(sections: Mapping[str, Any], taken: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The defaults of the inputs for which the method itself has none."""
    return {
        name: declared[1]["default"]
        for name, declared in sections.items()
        if len(declared) > 1
        and "default" in declared[1]
        and name in taken
        and taken[name].default is inspect.Parameter.empty
    }


def outside() -> NodeContext:
    """The context for what packs do outside of node calls: the engine's folders and the best device."""
    from graphengine_comfy.comfy.model_management import get_torch_device  # which makes torch be there

    return NodeContext(folders=CONNECTION.folders, choose_device=lambda: str(get_torch_device()))
