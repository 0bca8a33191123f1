"""Which device to compute on when the user names none."""


def best_device() -> str:
    """The torch device string of the fastest device that works here: "cuda", "xpu", "mps" or "cpu"."""
    import torch  # heavy; only a run that calls nodes needs it

    if torch.cuda.is_available():
        return "cuda"
    if torch.xpu.is_available():
        return "xpu"
    return "mps" if torch.backends.mps.is_available() else "cpu"
