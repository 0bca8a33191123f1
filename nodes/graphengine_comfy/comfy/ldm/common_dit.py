"""What networks of transformers share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    from torch import Tensor


def pad_to_patch_size(
    img: "Tensor", patch_size: Sequence[int] = (2, 2), padding_mode: str = "circular"
) -> "Tensor":
    """The tensor (B, C, …) with its last dimensions grown at their ends to multiples of the patches' sizes."""
    from torch.nn.functional import pad  # packs of plain Python import this too

    sizes = img.shape[-len(patch_size) :]
    missing = [-size % patch for size, patch in zip(sizes, patch_size, strict=True)]
    border = [side for number in reversed(missing) for side in (0, number)]
    return pad(img, border, mode=padding_mode) if any(missing) else img


def rms_norm(x: "Tensor", weight: "Tensor | None" = None, eps: float | None = 1e-6) -> "Tensor":
    """The last dimension over the root of its mean square (Zhang and Sennrich, 2019), times a weight."""
    from torch.nn import functional  # packs of plain Python import this too

    return functional.rms_norm(x, x.shape[-1:], None if weight is None else weight.to(x), eps)


__getattr__ = placeholders_of(__name__)
