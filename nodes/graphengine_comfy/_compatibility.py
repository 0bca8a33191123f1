"""Which names of ComfyUI packs can use, as a table: written from the modules that stand in for ComfyUI's."""

import importlib
from collections.abc import Iterable

from graphengine_comfy._node_classes import NODE_CLASS_MAPPINGS
from graphengine_comfy._placeholders import PlaceholderType

#: The names that packs use most, by module.
WANTED = {
    "comfy.cli_args": "args",
    "comfy.clip_vision": "Output clip_preprocess load",
    "comfy.comfy_types.node_typing": "ComfyNodeABC IO",
    "comfy.conds": "CONDConstant CONDCrossAttn CONDRegular",
    "comfy.controlnet": "ControlBase ControlLora ControlNet T2IAdapter load_controlnet",
    "comfy.hooks": "HookGroup",
    "comfy.k_diffusion.sampling": (
        "BrownianTreeNoiseSampler append_zero default_noise_sampler get_ancestral_step get_sigmas_exponential "
        "get_sigmas_karras get_sigmas_polyexponential to_d"
    ),
    "comfy.latent_formats": "Flux LatentFormat SD15 SD3 SDXL Wan21",
    "comfy.ldm.common_dit": "pad_to_patch_size rms_norm",
    "comfy.ldm.flux.layers": "DoubleStreamBlock timestep_embedding",
    "comfy.ldm.modules.attention": (
        "BasicTransformerBlock SpatialTransformer optimized_attention optimized_attention_masked"
    ),
    "comfy.ldm.modules.diffusionmodules.openaimodel": "Downsample UNetModel",
    "comfy.lora": "calculate_weight load_lora model_lora_keys_unet",
    "comfy.model_base": "BaseModel ModelType SDXL",
    "comfy.model_detection": "unet_prefix_from_state_dict",
    "comfy.model_management": (
        "InterruptProcessingException OOM_EXCEPTION VRAMState cast_to_device free_memory get_autocast_device "
        "get_free_memory get_torch_device get_torch_device_name get_total_memory intermediate_device "
        "intermediate_dtype is_device_mps load_model_gpu load_models_gpu loaded_models module_size "
        "processing_interrupted should_use_bf16 should_use_fp16 soft_empty_cache text_encoder_device "
        "text_encoder_dtype text_encoder_offload_device throw_exception_if_processing_interrupted unet_dtype "
        "unet_manual_cast unet_offload_device unload_all_models vae_device vae_dtype vae_offload_device "
        "vram_state xformers_enabled"
    ),
    "comfy.model_patcher": (
        "CoreModelPatcher ModelPatcher create_model_options_clone set_model_options_patch_replace"
    ),
    "comfy.model_sampling": "CONST ModelSamplingFlux",
    "comfy.ops": "disable_weight_init manual_cast pick_operations",
    "comfy.patcher_extension": "CallbacksMP WrapperExecutor WrappersMP",
    "comfy.sample": "fix_empty_latent_channels prepare_mask prepare_noise sample sample_custom",
    "comfy.sampler_helpers": "cleanup_additional_models convert_cond get_additional_models prepare_mask",
    "comfy.samplers": (
        "CFGGuider KSAMPLER KSampler SAMPLER_NAMES SCHEDULER_HANDLERS SCHEDULER_NAMES SchedulerHandler "
        "calc_cond_batch calculate_sigmas ksampler sample sampler_object sampling_function"
    ),
    "comfy.sd": (
        "CLIP CLIPType VAE load_checkpoint load_checkpoint_guess_config load_clip load_diffusion_model "
        "load_diffusion_model_state_dict load_lora_for_models"
    ),
    "comfy.sd1_clip": "SD1ClipModel escape_important token_weights unescape_important",
    "comfy.sdxl_clip": "SDXLClipG SDXLClipModel SDXLRefinerClipModel",
    "comfy.supported_models": "Flux SD15 SDXL",
    "comfy.utils": (
        "PROGRESS_BAR_ENABLED ProgressBar bislerp calculate_parameters common_upscale get_attr "
        "get_tiled_scale_steps lanczos load_torch_file pack_latents repeat_to_batch_size reshape_mask "
        "save_torch_file set_attr state_dict_prefix_replace tiled_scale tiled_scale_multidim unpack_latents "
        "weight_dtype"
    ),
    "comfy_api.latest": "ComfyExtension io ui",
    "comfy_execution.graph": "ExecutionBlocker",
    "comfy_execution.graph_utils": "GraphBuilder is_link",
    "comfy_execution.utils": "get_executing_context",
    "comfy_extras.nodes_clip_sdxl": "CLIPTextEncodeSDXL CLIPTextEncodeSDXLRefiner",
    "comfy_extras.nodes_custom_sampler": "BasicScheduler SamplerCustom SamplerCustomAdvanced",
    "comfy_extras.nodes_lt": "LTXVAddGuide",
    "comfy_extras.nodes_mask": "GrowMask ImageCompositeMasked composite",
    "comfy_extras.nodes_model_advanced": "ModelSamplingSD3",
    "comfy_extras.nodes_post_processing": "Blend Blur gaussian_kernel",
    "comfy_extras.nodes_upscale_model": "ImageUpscaleWithModel UpscaleModelLoader",
    "execution": "validate_prompt",
    "folder_paths": (
        "add_model_folder_path base_path exists_annotated_filepath folder_names_and_paths "
        "get_annotated_filepath get_directory_by_type get_filename_list get_folder_paths get_full_path "
        "get_full_path_or_raise get_input_directory get_output_directory get_save_image_path "
        "get_temp_directory get_user_directory input_directory models_dir output_directory "
        "supported_pt_extensions"
    ),
    "latent_preview": "LatentPreviewer get_previewer prepare_callback",
    "node_helpers": "conditioning_set_values pillow",
    "nodes": (
        "CLIPLoader CLIPTextEncode CheckpointLoaderSimple ConditioningAverage ConditioningCombine "
        "ConditioningConcat ConditioningSetTimestepRange ConditioningZeroOut ControlNetApply "
        "ControlNetApplyAdvanced ControlNetLoader DualCLIPLoader EXTENSION_WEB_DIRS EmptyLatentImage "
        "ImageScale ImageScaleBy InpaintModelConditioning KSamplerAdvanced LatentUpscaleBy LoadImage "
        "LoraLoader MAX_RESOLUTION NODE_CLASS_MAPPINGS PreviewImage SaveImage VAEDecode VAEDecodeTiled "
        "VAEEncode VAEEncodeTiled common_ksampler interrupt_processing"
    ),
    "server": "BinaryEventTypes PromptServer uuid",
}
#: What is there and does less than in ComfyUI.
PARTLY = {
    "comfy.cli_args.args": "the defaults; what packs set changes nothing",
    "comfy.controlnet.ControlBase": "the type of our values; `get_control` of a derived class is not asked",
    "comfy.controlnet.ControlNet": "the type of our values; `get_control` of a derived class is not asked",
    "comfy.controlnet.T2IAdapter": "the type of our values; `get_control` of a derived class is not asked",
    "comfy.ldm.modules.attention.BasicTransformerBlock": "to compare a UNet's modules with",
    "comfy.ldm.modules.attention.SpatialTransformer": "to compare a UNet's modules with",
    "comfy.ldm.modules.diffusionmodules.openaimodel.Downsample": "to compare a UNet's modules with",
    "comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel": "to compare a model's network with",
    "comfy.model_base.BaseModel": "to compare a model's inside with; making one is an error",
    "comfy.model_base.SDXL": "to compare a model's inside with; making one is an error",
    "comfy.model_management.loaded_models": "always empty: graphengine keeps its own account",
    "comfy.model_management.load_models_gpu": "models of graphengine load themselves when they are used",
    "comfy.model_management.load_model_gpu": "models of graphengine load themselves when they are used",
    "comfy.model_management.unload_all_models": "empties torch's cache; graphengine unloads its models itself",
    "comfy.model_management.free_memory": "empties torch's cache; graphengine unloads its models itself",
    "comfy.model_patcher.CoreModelPatcher": "see ModelPatcher",
    "comfy.model_patcher.ModelPatcher": (
        "MODEL values, and modules of packs; of a model's parts only `model_sampling` can be replaced"
    ),
    "comfy.patcher_extension.CallbacksMP": "models call back before and after a run",
    "comfy.patcher_extension.WrappersMP": "models take wrappers of `apply_model` and `calc_cond_batch`",
    "comfy.sampler_helpers.convert_cond": "without the ids of hooks",
    "comfy.sampler_helpers.get_additional_models": "always none: models of graphengine load themselves",
    "comfy.samplers.CFGGuider": "`predict_noise` of a derived class is not asked",
    "comfy.samplers.KSAMPLER": "a value that samples; the function sees noise levels and denoised latents only",
    "comfy.samplers.SCHEDULER_HANDLERS": "what packs add is known to packs, not to KSampler of graphengine",
    "comfy.samplers.calc_cond_batch": "for the conditions that a function of a pack is given within a run",
    "comfy.samplers.sampling_function": (
        "for the conditions that a function of a pack is given within a run; another in its place is not called"
    ),
    "comfy.sd.CLIP": "the type of graphengine's values",
    "comfy.sd.VAE": "the type of graphengine's values: `encode` and `decode`",
    "comfy.sd.load_checkpoint_guess_config": "safetensors of the families that graphengine knows",
    "comfy.sd1_clip.SD1ClipModel": "to compare `clip.cond_stage_model` with",
    "comfy.sdxl_clip.SDXLClipG": "to compare `clip.cond_stage_model` with",
    "comfy.sdxl_clip.SDXLClipModel": "to compare `clip.cond_stage_model` with",
    "comfy.sdxl_clip.SDXLRefinerClipModel": "to compare `clip.cond_stage_model` with",
    "comfy.supported_models.Flux": "to compare a model's settings with",
    "comfy.supported_models.SD15": "to compare a model's settings with",
    "comfy.supported_models.SDXL": "to compare a model's settings with",
    "comfy.utils.load_torch_file": "other files than safetensors only when they hold nothing but tensors",
    "latent_preview.get_previewer": "latent to RGB only",
    "server.PromptServer": "no `prompt_queue.put`",
}
_HEAD = """# Names of ComfyUI that node packs use

Written by `make docs` from the stand-ins themselves. Every name of `comfy`, `comfy_extras` and `comfy_api_nodes`
can be imported, derived from and compared; what is not here raises an error that names it when it is called.
Built-in node classes have ComfyUI's method names, `nodes.ImageScale().upscale(image, "area", 64, 64, "center")`,
and `execute`.

| Module | Yes | Partly | No |
|---|---|---|---|
"""


def has_node_classes(module: str) -> bool:
    """Whether the module has node classes, which are those of the engine."""
    return module == "nodes" or module.startswith("comfy_extras.")


def status(module: str, name: str) -> str:
    """ "yes", "partly" or "no" for a name of a module; a node class of ours counts when the engine has it."""
    if f"{module}.{name}" in PARTLY:
        return "partly"
    if has_node_classes(module) and name in NODE_CLASS_MAPPINGS:
        return "yes"
    value = getattr(importlib.import_module(f"{__package__}.{module}"), name, None)
    return "no" if value is None or isinstance(value, PlaceholderType) else "yes"


def table() -> str:
    """The document: for each module its names, with what is less than in ComfyUI below."""
    lines = []
    for module, names in WANTED.items():
        by_status: dict[str, list[str]] = {"yes": [], "partly": [], "no": []}
        for name in names.split():
            by_status[status(module, name)].append(f"`{name}`")
        lines.append(f"| `{module}` | {' | '.join(_joined(found) for found in by_status.values())} |")
    less = [f"- `{name}`: {reason}." for name, reason in PARTLY.items()]
    return _HEAD + "\n".join(lines) + "\n\n## Partly\n\n" + "\n".join(less) + "\n"


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "-"
