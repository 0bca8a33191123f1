"""How torch computes: what may change the numbers that a node gives, set by the engine before each call.

Torch keeps these as state of the process, which any pack may change for all others. So the engine does not read
them: it sets them, before each call of a node that is built on torch. What they are is then known from the
settings, without torch, and stands in the keys of these nodes. Two settings can be chosen, and `fast`, which
stands for what approximations.py lists; the rest is as torch has it when it is imported: float32 as default, no
search for the quickest convolution (`cudnn.benchmark`), TF32 for convolutions alone.
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
FAST_VARIABLE = "GRAPHENGINE_FAST"
_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
_TRUTHS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


@dataclass(frozen=True, slots=True)
class Numerics:
    """`deterministic` has torch refuse what gives other bits each time, `precision` is of float32 products.

    `fast` computes less exactly where that is quicker.
    """

    deterministic: bool = False
    precision: Precision = "highest"
    fast: bool = False

    def parts(self) -> dict[str, str]:
        """What of it stands in keys, by name."""
        parts = {"deterministic": "yes" if self.deterministic else "no", "float32_precision": self.precision}
        return {**parts, "fast": "yes"} if self.fast else parts

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
        torch.set_float32_matmul_precision("high" if self.fast and self.precision == "highest" else self.precision)
        torch.backends.cuda.matmul.allow_fp16_accumulation = self.fast
        if torch.get_default_dtype() is not torch.float32:
            torch.set_default_dtype(torch.float32)
        cudnn = torch.backends.cudnn
        searches = self.fast and not self.deterministic
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = self.deterministic, searches, True


#: As torch computes when nobody changed anything.
AS_IMPORTED = Numerics()


def read_numerics(environ: Mapping[str, str], *, fast: bool = False) -> Numerics:
    """What the environment variables choose; `fast` may be asked for there or here.

    Raises:
        SettingsError: a value is none of those that there are.
    """
    deterministic, quick = (_truth(environ, name) for name in (DETERMINISTIC_VARIABLE, FAST_VARIABLE))
    wanted = environ.get(PRECISION_VARIABLE, "").strip().lower() or AS_IMPORTED.precision
    for precision in get_args(Precision):
        if wanted == precision:
            return Numerics(deterministic, precision, fast or quick)
    raise SettingsError(
        f"{PRECISION_VARIABLE} is {wanted!r}", hint=f"set it to {' or '.join(get_args(Precision))}"
    )


def _truth(environ: Mapping[str, str], name: str) -> bool:
    chosen = environ.get(name, "").strip().lower()
    if chosen not in _TRUTHS:
        raise SettingsError(f"{name} is {chosen!r}", hint="set it to 1 or 0")
    return _TRUTHS[chosen]
