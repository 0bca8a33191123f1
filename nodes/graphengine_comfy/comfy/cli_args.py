"""ComfyUI's command line options at their defaults, for packs that read them."""

from enum import Enum
from types import SimpleNamespace


class LatentPreviewMethod(Enum):
    """How pictures are shown while they are sampled."""

    NoPreviews = "none"
    Auto = "auto"
    Latent2RGB = "latent2rgb"
    TAESD = "taesd"


class PerformanceFeature(Enum):
    """What `--fast` may switch on."""

    Fp16Accumulation = "fp16_accumulation"
    Fp8MatrixMultiplication = "fp8_matrix_mult"
    CublasOps = "cublas_ops"
    AutoTune = "autotune"


_SWITCHES = [
    "auto_launch",
    "bf16_text_enc",
    "bf16_unet",
    "bf16_vae",
    "cache_classic",
    "cache_none",
    "cpu",
    "cpu_vae",
    "cuda_malloc",
    "deterministic",
    "disable_all_custom_nodes",
    "disable_api_nodes",
    "disable_auto_launch",
    "disable_cuda_malloc",
    "disable_ipex_optimize",
    "disable_metadata",
    "disable_mmap",
    "disable_smart_memory",
    "disable_xformers",
    "dont_print_server",
    "dont_upcast_attention",
    "enable_compress_response_body",
    "force_channels_last",
    "force_fp16",
    "force_fp32",
    "force_non_blocking",
    "force_upcast_attention",
    "fp16_text_enc",
    "fp16_unet",
    "fp16_vae",
    "fp32_text_enc",
    "fp32_unet",
    "fp32_vae",
    "fp64_unet",
    "fp8_e4m3fn_text_enc",
    "fp8_e4m3fn_unet",
    "fp8_e5m2_text_enc",
    "fp8_e5m2_unet",
    "fp8_e8m0fnu_unet",
    "gpu_only",
    "highvram",
    "log_stdout",
    "lowvram",
    "mmap_torch_files",
    "multi_user",
    "normalvram",
    "novram",
    "quick_test_for_ci",
    "supports_fp8_compute",
    "use_flash_attention",
    "use_pytorch_cross_attention",
    "use_quad_cross_attention",
    "use_sage_attention",
    "use_split_cross_attention",
    "windows_standalone_build",
]
_UNSET = [
    "async_offload",
    "base_directory",
    "cuda_device",
    "database_url",
    "default_device",
    "directml",
    "enable_cors_header",
    "extra_model_paths_config",
    "front_end_root",
    "input_directory",
    "oneapi_device_selector",
    "output_directory",
    "reserve_vram",
    "temp_directory",
    "tls_certfile",
    "tls_keyfile",
    "user_directory",
]

#: The options. Packs may set them; graphengine reads none of them.
args = SimpleNamespace(
    **dict.fromkeys(_SWITCHES, False),
    **dict.fromkeys(_UNSET),
    cache_lru=0,
    comfy_api_base="https://api.comfy.org",
    default_hashing_function="sha256",
    fast=set(),
    front_end_version="comfyanonymous/ComfyUI@latest",
    listen="127.0.0.1",
    max_upload_size=100,
    port=8188,
    preview_method=LatentPreviewMethod.NoPreviews,
    preview_size=512,
    verbose="INFO",
    whitelist_custom_nodes=[],
)
