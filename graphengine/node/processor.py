"""What the processor can do that makes a choice for nodes."""

from pathlib import Path

#: Instructions of x86 processors that compute with bfloat16.
BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


def has_bfloat16(processors: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has instructions for bfloat16; where the system does not tell: no."""
    try:
        with processors.open(encoding="ascii", errors="replace") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return False
    return bool(BFLOAT16_FLAGS & set(flags.partition(":")[2].split()))
