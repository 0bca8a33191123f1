"""How much memory there is, and what a model takes."""

import os
from typing import Any


# Any throughout: packs hand over torch's devices, modules and data types.
def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
    """The memory of a device in bytes; with `torch_total_too`, also what torch holds of it: all of it."""
    import torch  # packs of plain Python import this too

    device = _device(dev)
    total = (
        torch.cuda.mem_get_info(device)[1]
        if device.type == "cuda"
        else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    )
    return (total, total) if torch_total_too else total


def get_free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
    """The free memory of a device in bytes; with `torch_free_too`, also what of it torch holds already."""
    import torch  # packs of plain Python import this too

    device = _device(dev)
    if device.type != "cuda":
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
        return (free, free) if torch_free_too else free
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + held
    return (free, held) if torch_free_too else free


def _device(dev: Any) -> Any:
    """The device asked for; without one, that of the call."""
    import torch  # packs of plain Python import this too

    from graphengine_comfy.comfy.model_management import get_torch_device  # which imports this module

    return get_torch_device() if dev is None else torch.device(dev)


def module_size(module: Any) -> int:
    """The bytes of a module's weights."""
    return sum(tensor.nelement() * tensor.element_size() for tensor in module.state_dict().values())


def dtype_size(dtype: Any) -> int:
    """The bytes of a number."""
    return int(dtype.itemsize)
