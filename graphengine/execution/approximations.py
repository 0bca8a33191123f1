"""What `--fast` turns on: each makes results differ a little from those without it, so it stands in keys."""

from graphengine.node.processor import has_bfloat16

_ON_CPU = "diffusion networks compute in bfloat16, which this processor has instructions for (about 1 % off)"
_NOT_HERE = "nothing on this processor: it has no instructions for bfloat16"
_ON_CUDA = (
    "products of float32 matrices are rounded to TF32 on CUDA devices",
    "sums of float16 products are kept in float16 on CUDA devices",
    "CUDA devices try which convolution is quickest, so that the last bits may differ between runs",
)


def approximations(device: str | None) -> list[str]:
    """What is turned on for a torch device, a sentence each; for None, the best device, whatever that may be.

    Empty lists do not occur: where nothing changes, that is the sentence.
    """
    cuda = list(_ON_CUDA) if device is None or device.startswith("cuda") else []
    cpu = [] if device not in (None, "cpu") else [_ON_CPU if has_bfloat16() else _NOT_HERE]
    return [*cpu, *cuda] or [f"nothing on {device}"]
