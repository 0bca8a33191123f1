"""How much memory a call takes at its peak, more than there was in use before it.

Of the process, Linux tells it exactly: the highest resident size can be set back to the present one
(`clear_refs`), at 5 µs per call. Elsewhere it is not known. Of CUDA devices torch counts what its tensors take.
What calls take that run side by side cannot be told apart, and is not measured.
"""

import os
import sys
from typing import Any, NamedTuple

_LEAST_BYTES = 2**20
_RESET_PEAK = b"5"


class Peak(NamedTuple):
    """Bytes that a call took more than was in use before, in the process and on CUDA devices; 0 below a MiB."""

    process: int = 0
    device: int = 0

    def joined(self, other: "Peak") -> "Peak":
        """The larger of both, each."""
        return Peak(max(self.process, other.process), max(self.device, other.device))


#: Nothing worth telling.
NOTHING = Peak()


class PeakGauge:
    """Measures one call after the other."""

    def __init__(self) -> None:
        self._control = _open_control()
        self._before = 0
        self._device_before: int | None = None

    def begin(self) -> None:
        """A call begins."""
        if self._control is not None:
            try:
                os.pwrite(self._control, _RESET_PEAK, 0)
            except OSError:
                self.close()
        self._before = _highest() if self._control is not None else 0
        cuda = _cuda()
        if cuda is None:
            self._device_before = None
            return
        for device in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(device)
        self._device_before = sum(cuda.memory_allocated(device) for device in range(cuda.device_count()))

    def end(self) -> Peak:
        """What the call took."""
        process = _highest() - self._before if self._control is not None else 0
        return Peak(_told(process), _told(self._device_peak()))

    def _device_peak(self) -> int:
        cuda = _cuda()
        if cuda is None:
            return 0
        peak: int = sum(cuda.max_memory_allocated(device) for device in range(cuda.device_count()))
        return peak - (self._device_before or 0)

    def close(self) -> None:
        """Measure the process no more."""
        control, self._control = self._control, None
        if control is not None:
            os.close(control)


def _open_control() -> int | None:
    if sys.platform != "linux":
        return None
    try:
        return os.open("/proc/self/clear_refs", os.O_WRONLY)
    except OSError:  # no /proc, or not allowed
        return None


def _highest() -> int:
    """The highest resident size of the process in bytes."""
    import resource  # Unix has it, and only Linux gets here

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# Any: torch's module, which is not imported for this.
def _cuda() -> Any:
    """`torch.cuda` when a device is in use, else None."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda if cuda is not None and cuda.is_initialized() else None


def _told(count: int) -> int:
    return count if count >= _LEAST_BYTES else 0
