"""How much memory loaded models may take on each device."""

import os
from collections.abc import Callable


def model_budget(limit: int | None) -> Callable[[str], int | None]:
    """The budget of a `DeviceMemory`: `limit` bytes on every device, else a part of what the device has.

    That is nine tenths of a CUDA device's memory and three quarters of the computer's; other devices are not
    limited, because torch does not say how much they have.
    """

    def budget(device: str) -> int | None:
        if limit is not None:
            return limit
        if device.startswith("cuda"):
            import torch  # heavy; whoever asks about a CUDA device has loaded a model there

            return int(torch.cuda.get_device_properties(device).total_memory * 0.9)
        return _physical() * 3 // 4 if device == "cpu" and _physical() else None

    return budget


def _physical() -> int:
    """Bytes of memory that the computer has; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
