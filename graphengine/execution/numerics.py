"""How torch computes: what may change the numbers that a node gives, set by the engine before each call.

Torch keeps these as state of the process, which any pack may change for all others. So the engine does not read
them: it sets them, before each call of a node that is built on torch. What they are is then known from the
settings, without torch, and stands in the keys of these nodes. Two settings can be chosen; the rest is as torch
has it when it is imported: float32 as default, no search for the quickest convolution (`cudnn.benchmark`), TF32
for convolutions alone.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from graphengine.errors import SettingsError

#: How float32 matrices are multiplied: "high" is TF32 on GPUs that have it, "medium" bfloat16.
Precision = Literal["highest", "high", "medium"]

DETERMINISTIC_VARIABLE = "GRAPHENGINE_DETERMINISTIC"
PRECISION_VARIABLE = "GRAPHENGINE_FLOAT32_PRECISION"
_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
_TRUTHS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


@dataclass(frozen=True, slots=True)
class Numerics:
    """`deterministic` has torch refuse what gives other bits each time, `precision` is of float32 products."""

    deterministic: bool = False
    precision: Precision = "highest"

    def parts(self) -> dict[str, str]:
        """What of it stands in keys, by name."""
        return {"deterministic": "yes" if self.deterministic else "no", "float32_precision": self.precision}

    def apply(self) -> None:
        """Set torch accordingly; about a microsecond.

        Where torch is not imported yet and nothing was chosen there is nothing to do: torch begins so.
        """
        torch = sys.modules.get("torch")
        if torch is None:
            if self == AS_IMPORTED:
                return
            import torch as imported  # heavy; the node that is called next computes with it

            torch = imported
        self._set(torch)

    # Any: the module, as it is found.
    def _set(self, torch: Any) -> None:
        if torch.are_deterministic_algorithms_enabled() is not self.deterministic:
            if self.deterministic:
                os.environ.setdefault(_CUBLAS, ":4096:8")  # else cuBLAS refuses to be deterministic
            torch.use_deterministic_algorithms(self.deterministic)
        torch.set_float32_matmul_precision(self.precision)
        if torch.get_default_dtype() is not torch.float32:
            torch.set_default_dtype(torch.float32)
        cudnn = torch.backends.cudnn
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = self.deterministic, False, True


#: As torch computes when nobody changed anything.
AS_IMPORTED = Numerics()


def read_numerics(environ: Mapping[str, str]) -> Numerics:
    """What the environment variables choose.

    Raises:
        SettingsError: a value is none of those that there are.
    """
    chosen = environ.get(DETERMINISTIC_VARIABLE, "").strip().lower()
    if chosen not in _TRUTHS:
        raise SettingsError(f"{DETERMINISTIC_VARIABLE} is {chosen!r}", hint="set it to 1 or 0")
    wanted = environ.get(PRECISION_VARIABLE, "").strip().lower() or AS_IMPORTED.precision
    for precision in get_args(Precision):
        if wanted == precision:
            return Numerics(_TRUTHS[chosen], precision)
    raise SettingsError(
        f"{PRECISION_VARIABLE} is {wanted!r}", hint=f"set it to {' or '.join(get_args(Precision))}"
    )
