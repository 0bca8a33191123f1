"""Which device to compute on when the user names none, and giving its memory back."""

import gc
import sys


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
