"""Interrupts, the device to compute on, its memory, and which number types are good there.

There is one device per call, and graphengine itself keeps models loaded and gives them up. So what loads a model
here does nothing more than check for an interrupt, and no device is ever short by what graphengine holds.
"""

import logging
import sys
from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

from graphengine.node.api import RunCancelled, current_context
from graphengine_comfy._memory import (
    dtype_size,
    get_free_memory,
    get_total_memory,
    module_size,
)
from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

__all__ = ["dtype_size", "get_free_memory", "get_total_memory", "module_size"]

#: What a run that is asked to stop raises: nodes may catch it and raise it.
InterruptProcessingException = RunCancelled


def throw_exception_if_processing_interrupted() -> None:
    """Stop here when the run was asked to.

    Raises:
        InterruptProcessingException: the run was asked to stop.
    """
    context = current_context.get()
    if context is not None:
        context.check_cancelled()


def processing_interrupted() -> bool:
    """Whether the run of the node that is being called was asked to stop."""
    context = current_context.get()
    return context is not None and context.is_cancelled()


def interrupt_current_processing(value: bool = True) -> None:
    """End the run of the node that is being called, here and now. False, to take an interrupt back, does nothing.

    Raises:
        InterruptProcessingException: a node is being called.
    """
    if not value:
        return
    if current_context.get() is None:
        logger.warning("a node pack interrupts the run from outside of a node call, which has no effect")
        return
    raise InterruptProcessingException("a node ended the run")


def get_torch_device() -> "torch.device":
    """The device that the node being called should compute on; elsewhere the best there is."""
    import torch  # packs of plain Python import this module too

    context = current_context.get()
    if context is not None:
        return torch.device(context.device)
    return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def intermediate_device() -> "torch.device":
    """Where values that go from node to node are kept: the CPU."""
    import torch  # packs of plain Python import this module too

    return torch.device("cpu")


def soft_empty_cache(force: bool = False) -> None:
    """Give memory that torch keeps for later back to the device."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


# Devices


class VRAMState(Enum):
    """How ComfyUI is told to use the memory of the device."""

    DISABLED = 0
    NO_VRAM = 1
    LOW_VRAM = 2
    NORMAL_VRAM = 3
    HIGH_VRAM = 4
    SHARED = 5


class CPUState(Enum):
    """Whether ComfyUI computes on a GPU, the CPU or Apple's GPU."""

    GPU = 0
    CPU = 1
    MPS = 2


#: What packs read here is what ComfyUI has on a usual machine.
vram_state = VRAMState.NORMAL_VRAM
set_vram_to = VRAMState.NORMAL_VRAM
XFORMERS_IS_AVAILABLE = False
DISABLE_SMART_MEMORY = False
#: ComfyUI's list of loaded models. Nothing is in it: graphengine keeps its own account.
current_loaded_models: list[Any] = []

unet_offload_device = intermediate_device
text_encoder_offload_device = intermediate_device
vae_offload_device = intermediate_device
unet_inital_load_device = get_torch_device
text_encoder_device = get_torch_device
text_encoder_initial_device = get_torch_device
vae_device = get_torch_device


# Any throughout: packs hand over their own models and torch's devices.
def unet_initial_load_device(parameters: int, dtype: Any) -> "torch.device":
    """Where a model is put first."""
    return get_torch_device()


def get_torch_device_name(device: Any) -> str:
    """The name of a device, with that of the GPU."""
    import torch  # packs of plain Python import this module too

    device = torch.device(device)
    return f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device.type)


def get_autocast_device(device: Any) -> str:
    """The name for `torch.autocast`: the kind of the device."""
    return str(getattr(device, "type", "cuda"))


def _is_kind(device: Any, kind: str) -> bool:
    return getattr(device, "type", None) == kind


def is_device_cpu(device: Any) -> bool:
    """Whether the device is the CPU."""
    return _is_kind(device, "cpu")


def is_device_mps(device: Any) -> bool:
    """Whether the device is Apple's GPU."""
    return _is_kind(device, "mps")


def is_device_cuda(device: Any) -> bool:
    """Whether the device is one of CUDA or ROCm."""
    return _is_kind(device, "cuda")


def is_nvidia() -> bool:
    """Whether the GPU is one of NVIDIA."""
    import torch

    return get_torch_device().type == "cuda" and torch.version.cuda is not None


def is_amd() -> bool:
    """Whether the GPU is one of AMD."""
    import torch

    return get_torch_device().type == "cuda" and torch.version.hip is not None


def cpu_mode() -> bool:
    """Whether the CPU computes."""
    return get_torch_device().type == "cpu"


def mps_mode() -> bool:
    """Whether Apple's GPU computes."""
    return get_torch_device().type == "mps"


def _no(*args: Any, **options: Any) -> bool:
    """False: ComfyUI answers so on machines without this."""
    return False


is_intel_xpu = is_directml_enabled = is_ascend_npu = is_mlu = _no
is_device_xpu = is_device_npu = is_device_mlu = _no
xformers_enabled = xformers_enabled_vae = sage_attention_enabled = flash_attention_enabled = _no
force_channels_last = device_supports_non_blocking = supports_fp8_compute = _no


def pytorch_attention_enabled() -> bool:
    """Whether torch's own attention is used: it is."""
    return True


# Number types


def should_use_fp16(
    device: Any = None, model_params: int = 0, prioritize_performance: bool = True, manual_cast: bool = False
) -> bool:
    """Whether half precision is good on a device: on GPUs."""
    return (device or get_torch_device()).type in ("cuda", "mps")


def should_use_bf16(
    device: Any = None, model_params: int = 0, prioritize_performance: bool = True, manual_cast: bool = False
) -> bool:
    """Whether bfloat16 is good on a device: on GPUs of NVIDIA since Ampere, and what else torch says."""
    import torch

    device = device or get_torch_device()
    return bool(device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False))


def unet_dtype(
    device: Any = None, model_params: int = 0, supported_dtypes: Iterable[Any] = (), weight_dtype: Any = None
) -> "torch.dtype":
    """The data type for the weights of a diffusion model: the first that is good on the device.

    `supported_dtypes` are those that the model can have, the best first; by default float16, bfloat16, float32.
    """
    import torch

    for dtype in supported_dtypes or (torch.float16, torch.bfloat16, torch.float32):
        if dtype == torch.float16 and should_use_fp16(device, model_params):
            return torch.float16
        if dtype == torch.bfloat16 and should_use_bf16(device, model_params):
            return torch.bfloat16
    return torch.float32


def unet_manual_cast(
    weight_dtype: Any, inference_device: Any, supported_dtypes: Iterable[Any] = ()
) -> "torch.dtype | None":
    """The data type to compute in when it has to differ from that of the weights, else None."""
    import torch

    wanted = unet_dtype(inference_device, supported_dtypes=supported_dtypes)
    return None if weight_dtype in (torch.float32, wanted) else wanted


def text_encoder_dtype(device: Any = None) -> "torch.dtype":
    """The data type for the weights of text encoders: float16, and float32 on the CPU."""
    import torch

    return torch.float16 if should_use_fp16(device) else torch.float32


def vae_dtype(device: Any = None, allowed_dtypes: Iterable[Any] = ()) -> "torch.dtype":
    """The data type for the weights of a VAE."""
    import torch

    allowed = tuple(allowed_dtypes)
    return torch.bfloat16 if torch.bfloat16 in allowed and should_use_bf16(device) else torch.float32


def intermediate_dtype() -> "torch.dtype":
    """The data type of values that go from node to node."""
    import torch

    return torch.float32


def cast_to_device(tensor: Any, device: Any, dtype: Any, copy: bool = False) -> Any:
    """The tensor there and in that type; with `copy`, never the same one."""
    return tensor.to(device, dtype, copy=copy)


def cast_to(
    weight: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False
) -> Any:
    """The tensor in that type and there; what is None stays."""
    return weight.to(
        device=device or weight.device, dtype=dtype or weight.dtype, non_blocking=non_blocking, copy=copy
    )


# Models and memory


def load_models_gpu(models: Iterable[Any], *args: Any, **options: Any) -> None:
    """Load models that can be loaded: those of graphengine load themselves when they are used.

    Raises:
        InterruptProcessingException: the run was asked to stop.
    """
    throw_exception_if_processing_interrupted()


def load_model_gpu(model: Any) -> None:
    """Load a model; see `load_models_gpu`."""
    load_models_gpu([model])


def free_memory(memory_required: float, device: Any, keep_loaded: Iterable[Any] = (), **options: Any) -> list[Any]:
    """Give memory that torch keeps for later back to the device. Gives the models that were unloaded: none."""
    soft_empty_cache()
    return []


def unload_all_models() -> None:
    """Give memory that torch keeps for later back to the device; graphengine unloads its models itself."""
    soft_empty_cache()


def loaded_models(only_currently_used: bool = False) -> list[Any]:
    """ComfyUI's list of loaded models: nothing."""
    return []


def cleanup_models(*args: Any) -> None:
    """Forget models that nobody uses: Python does."""


cleanup_models_gc = cleanup_models


def minimum_inference_memory() -> int:
    """The memory to leave free beside a model, in bytes."""
    return 1 << 30


def maximum_vram_for_weights(device: Any = None) -> float:
    """The memory that weights may take, in bytes."""
    return float(get_total_memory(device)) * 0.88 - minimum_inference_memory()


extra_reserved_memory = minimum_inference_memory


def unload_model_clones(*args: Any, **options: Any) -> None:
    """Unload copies of a model: graphengine has none."""


_missing = placeholders_of(__name__)


def __getattr__(name: str) -> Any:
    """`OOM_EXCEPTION`, what torch raises when the device is full, which imports torch; else a placeholder."""
    if name == "OOM_EXCEPTION":
        import torch

        return torch.OutOfMemoryError
    if name == "cpu_state":
        return {"cpu": CPUState.CPU, "mps": CPUState.MPS}.get(get_torch_device().type, CPUState.GPU)
    return _missing(name)
