"""What an adapter file says: its tensors sorted by weight and by role.

A name in such a file is a stem, which names a weight, and an ending, which says what the tensor is. Trainers agree
on neither; this module knows the endings, `lora_names` the stems. Known are the endings of kohya's sd-scripts
(`.lora_up.weight`, `.alpha`), of diffusers and PEFT (`.lora_B.weight`, `_lora.up.weight`,
`.lora_linear_layer.up.weight`, `.lora_magnitude_vector`), of LyCORIS (LoCon, LoHa, LoKr, full, norms, GLoRA,
Diag-OFT, BOFT, DoRA) and of ComfyUI (`.diff`, `.diff_b`, `.set_weight`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from graphengine.node.api import ModelError

Shape = tuple[int, ...]

_NAME = re.compile(
    r"(?P<stem>.+?)(?:"
    r"[._]lora(?:_linear_layer)?[._](?P<side>up|down|mid|A|B)(?:\.default)?(?:\.weight|(?P<bias>\.bias))?"
    r"|\.(?P<role>alpha|dora_scale|lora_magnitude_vector|diff|diff_b|w_norm|b_norm|set_weight"
    r"|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)|oft_blocks|rescale|a[12]|b[12]|bm)"
    r"(?:\.default)?(?:\.weight)?)"
)
#: Roles that trainers have several names for.
_SAME = {
    "A": "down",
    "B": "up",
    "mid": "middle",
    "w_norm": "diff",
    "b_norm": "diff_b",
    "lora_magnitude_vector": "dora_scale",
}


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors that a file has for one weight, by role; `names` are their names in the file."""

    file: str
    stem: str
    names: Mapping[str, str]
    values: Mapping[str, Tensor]

    def __contains__(self, role: str) -> bool:
        return role in self.values

    def shape(self, role: str, *, at_least: int = 1) -> Shape:
        """The shape of a tensor.

        Raises:
            ModelError: there is no such tensor, or it has fewer dimensions.
        """
        if role not in self.values:
            raise ModelError(
                f"LoRA file {self.file!r} lacks a tensor of {self.stem!r}: its {role!r}",
                hint="the file is incomplete",
            )
        shape = tuple(self.values[role].shape)
        if len(shape) < at_least or 0 in shape:
            raise self.misfit(role)
        return shape

    def matrix(self, role: str) -> tuple[int, int]:
        """Rows and columns of a tensor with two dimensions, and perhaps more of size 1.

        Raises:
            ModelError: there is no such tensor, or it has another shape.
        """
        shape = self.shape(role, at_least=2)
        self.require(all(size == 1 for size in shape[2:]), role)
        return shape[0], shape[1]

    def misfit(self, *roles: str) -> ModelError:
        """The error that tensors have shapes that no formula can use."""
        shapes = " and ".join(f"{self.names[role]!r} of {list(self.values[role].shape)}" for role in roles)
        return ModelError(f"LoRA file {self.file!r} is damaged: no formula fits {shapes}")

    def require(self, fits: bool, *roles: str) -> None:
        """Check a condition on shapes.

        Raises:
            ModelError: it does not hold; the tensors are named.
        """
        if not fits:
            raise self.misfit(*roles)

    def value(self, role: str, device: torch.device) -> Tensor:
        """A tensor in float32 on a device.

        Raises:
            ModelError: it holds numbers that are not finite.
        """
        value = self.values[role].to(device, torch.float32)
        if not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"LoRA file {self.file!r} holds numbers that are not finite, in {self.names[role]!r}",
                hint="its training failed; use another version of it",
            )
        return value

    def number(self, role: str) -> float | None:
        """The value of a tensor with a single number; None when the file has no such tensor.

        Raises:
            ModelError: it holds more than one number, or one that is not finite.
        """
        if role not in self.values:
            return None
        self.require(self.values[role].numel() == 1, role)
        return float(self.value(role, torch.device("cpu")).flatten()[0])

    def scale(self, rank: int | None) -> float:
        """alpha / rank; 1 when the file gives no alpha or the formula has no rank."""
        alpha = self.number("alpha")
        return 1.0 if alpha is None or rank is None else alpha / rank


def sorted_tensors(file: str, tensors: Mapping[str, Tensor]) -> tuple[list[Tensors], list[str]]:
    """The tensors of a file by stem, and the names that have no known ending; file is for messages."""
    names: dict[str, dict[str, str]] = defaultdict(dict)
    unknown = []
    for name in tensors:
        found = _NAME.fullmatch(name)
        if found is None:
            unknown.append(name)
        else:
            names[found["stem"]][_role(found)] = name
    return [
        Tensors(file, stem, roles, {role: tensors[name] for role, name in roles.items()})
        for stem, roles in names.items()
    ], unknown


def _role(found: re.Match[str]) -> str:
    role = found["role"] or found["side"]
    if found["bias"]:
        return "diff_b" if role in ("up", "B") else f"{role} bias"
    return _SAME.get(role, role)
