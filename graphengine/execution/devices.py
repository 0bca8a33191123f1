"""Which device to compute on when the user names none, and giving its memory back."""

import gc
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from graphengine.cache.hashing import FileMemo, FileStamp

#: What a Linux machine has when it may have an accelerator: NVIDIA's and AMD's driver, Intel's GPUs, WSL.
_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dri", "/dev/dxg")
#: Variables that choose among accelerators.
_CHOICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")


def best_device() -> str:
    """The torch device string of the fastest device that works here: "cuda", "xpu", "mps" or "cpu"."""
    import torch  # heavy; only a run that calls nodes needs it

    if torch.cuda.is_available():
        return "cuda"
    if torch.xpu.is_available():
        return "xpu"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def free_accelerators() -> None:
    """Give memory back that nothing uses any more, of the machine and of its accelerators."""
    gc.collect()
    torch = sys.modules.get("torch")  # not imported here: without it no accelerator is in use
    if torch is None:
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.xpu.is_available():
        torch.xpu.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def device_class(named: str | None, memo: FileMemo | None = None) -> str:
    """The kind of device that nodes compute on: "cpu", "cuda", "mps" or "xpu"; `named` is what the user chose.

    Without a choice this is the kind of `best_device()`. Torch is not imported to find it out where no accelerator
    can be, nor where the memo remembers what this installation of torch found.
    """
    known = known_device_class(named, memo)
    if known is None:
        known = best_device()
        stamp = _torch_stamp()
        if memo is not None and stamp is not None:
            memo.remember(stamp, known)
    return known


def known_device_class(named: str | None, memo: FileMemo | None = None) -> str | None:
    """The kind of device as far as it can be told without torch, None when only torch knows."""
    if named is not None:
        return named.partition(":")[0]
    if sys.platform == "linux" and not any(Path(driver).exists() for driver in _DRIVERS):
        return "cpu"
    stamp = _torch_stamp()
    return memo.recall(stamp) if memo is not None and stamp is not None else None


def _torch_stamp() -> FileStamp | None:
    """What stands for this installation of torch and the devices it may see, None when it is not to be found."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    found = Path(spec.origin).stat()
    choices = " ".join(f"{name}={os.environ.get(name, '')}" for name in _CHOICES)
    return FileStamp(f"best device: {spec.origin} {choices}", found.st_size, found.st_mtime_ns, found.st_ino)
