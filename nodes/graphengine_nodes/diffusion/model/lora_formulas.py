"""What an adapter file's tensors make of a weight: one function per published formula.

Weights are (out, in) or (out, in, kernel height, kernel width), float32; a result has the shape of the weight, or
the same numbers in the shape that the formula gives. Where LyCORIS is named, Yeh et al. (2023), "Navigating
Text-To-Image Customization: From LyCORIS Fine-Tuning to Model Evaluation", describes the method, and the library's
`functional` package (Apache-2.0) fixes what the paper leaves open, such as the order of factors in a file.
"""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-8


def low_rank(up: Tensor, down: Tensor, middle: Tensor | None = None) -> Tensor:
    """up · down, the change of Hu et al. (2021), "LoRA"; up: (out, r, …), down: (r, in, …); gives (out, in · k).

    With middle (r, r, kh, kw), the Tucker form of LyCORIS for convolutions: Σ up[o, i] middle[i, j] down[j, p].
    """
    if middle is None:
        return up.flatten(1) @ down.flatten(1)
    return torch.einsum("oi,ij...,jp->op...", up.flatten(1), middle, down.flatten(1))


def hadamard(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    """(a · b) ∘ (c · d), the change of Hyeon-Woo et al. (2022), "FedPara", known as LoHa.

    Each pair is (out, r) and (r, in …).
    """
    return low_rank(*first) * low_rank(*second)


def tucker(core: Tensor, out: Tensor, into: Tensor) -> Tensor:
    """Σ core[i, j] out[i, o] into[j, p]: (out, in, kh, kw) from (r, r, kh, kw), (r, out) and (r, in); LyCORIS."""
    return torch.einsum("ij...,io,jp->op...", core, out.flatten(1), into.flatten(1))


def kronecker(first: Tensor, second: Tensor) -> Tensor:
    """first ⊗ second, the change of LoKr in LyCORIS; first: (a, b), second: (c, d, …); gives (a · c, b · d, …)."""
    missing = second.ndim - first.ndim
    return torch.kron(first.reshape(*first.shape, *[1] * missing), second.contiguous())


def decomposed(weight: Tensor, delta: Tensor, magnitude: Tensor) -> Tensor:
    """m · (W + ΔW) / ‖W + ΔW‖, eq. 5 of Liu et al. (2024), "DoRA".

    magnitude is (out, 1, …), or (out,) as PEFT writes it, for norms over what feeds each output; or (1, in, …) for
    norms over what each input feeds, which older files have.
    """
    changed = weight + delta
    axis = 0 if magnitude.shape[0] == magnitude.numel() == weight.shape[0] else 1
    norm: Tensor = torch.linalg.vector_norm(changed.movedim(axis, 0).flatten(1), dim=1)
    shape = [-1 if dimension == axis else 1 for dimension in range(weight.ndim)]
    lengths = (magnitude.flatten() / (norm + _TINY)).reshape(shape)
    return changed * lengths


def rotation(blocks: Tensor, constraint: float = 0.0) -> Tensor:
    """Orthogonal matrices by the Cayley transform (I + Q)(I - Q)⁻¹ with Q = B - Bᵀ; (…, b, b) → the same shape.

    Qiu et al. (2023), "Controlling Text-to-Image Diffusion by Orthogonal Finetuning". A constraint above 0 is the
    largest norm that all of Q may have.
    """
    skew = blocks - blocks.transpose(-1, -2)
    size = float(torch.linalg.vector_norm(skew)) + _TINY
    if 0 < constraint < size:
        skew = skew * (constraint / size)
    identity = torch.eye(blocks.shape[-1], device=blocks.device)
    turn: Tensor = (identity + skew) @ torch.linalg.inv(identity - skew)
    return turn


def rotated(weight: Tensor, blocks: Tensor, strength: float, constraint: float = 0.0) -> Tensor:
    """The weight with each group of outputs rotated: OFT with blocks (n, b, b), n · b outputs; LyCORIS "Diag-OFT".

    strength mixes the rotation with the identity.
    """
    turn = _mixed(rotation(blocks, constraint), strength)
    count, size = blocks.shape[:2]
    return torch.einsum("knm,kn...->km...", turn, weight.reshape(count, size, *weight.shape[1:])).flatten(0, 1)


def butterfly(weight: Tensor, blocks: Tensor, strength: float, constraint: float = 0.0) -> Tensor:
    """The weight rotated in a butterfly of m layers: Liu et al. (2024), "BOFT"; blocks: (m, n, b, b).

    Layer i pairs outputs that lie 2ⁱ · b / 2 apart before it rotates groups of b.
    """
    turns = _mixed(rotation(blocks, constraint), strength)
    size, each = blocks.shape[-1], weight.shape[1:]
    for number, turn in enumerate(turns):
        apart = 2**number * (size // 2)
        paired = weight.reshape(-1, 2, apart, *each).transpose(1, 2).reshape(-1, size, *each)
        turned = torch.einsum("bij,bj...->bi...", turn, paired)
        weight = turned.reshape(-1, apart, 2, *each).transpose(1, 2).flatten(0, 2)
    return weight


def _mixed(turn: Tensor, strength: float) -> Tensor:
    return turn * strength + (1 - strength) * torch.eye(turn.shape[-1], device=turn.device)


def generalized(weight: Tensor, inner: tuple[Tensor, Tensor], outer: Tensor) -> Tensor:
    """W · A + B, the change of Chavan et al. (2023), "GLoRA", with A = a1 · a2 and B (out, in …); as in LyCORIS.

    inner: a1 (in, r) and a2 (r, in).
    """
    a = low_rank(*inner)
    return torch.einsum("oi...,ij->oj...", weight, a) + outer.reshape(weight.shape)
