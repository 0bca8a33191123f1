"""The weights of a transformer from a file: mapped tensors, or rows of them, as the parameters of its module."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.weights.build import compute_dtype
from graphengine_nodes.diffusion.weights.checkpoint import DTYPES, Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Change, Component, Place

from .layout import Destination

_NAMED = 4  # how many tensors an error names
_EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2)
#: Beside 8-bit weights: their scales, those of their inputs, and marks of the format.
_SCALE = re.compile(r"(.+)\.(scale_weight|weight_scale)$")
_FORMAT = re.compile(r"(^|\.)(scaled_fp8|scale_input|input_scale|comfy_quant|scale_weight|weight_scale)$")

Part = Mapping[str, TensorInfo]


def weights_of(part: Part, ignored: str = r"(?!)") -> dict[str, TensorInfo]:
    """The tensors without those that describe a number format, and those whose name the pattern is found in."""
    skip = re.compile(ignored)
    return {name: info for name, info in part.items() if not _FORMAT.search(name) and not skip.search(name)}


def stored_dtype(part: Part) -> torch.dtype:
    """The dtype that most of the values have."""
    sizes: Counter[str] = Counter()
    for info in part.values():
        sizes[info.dtype] += info.end - info.start
    name: str = DTYPES[sizes.most_common(1)[0][0]][1]
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def working_dtype(device: str, stored: torch.dtype) -> torch.dtype:
    """What a transformer computes in: on a CUDA device half precision as stored, else bfloat16; else float32.

    Where the user asks for speed: as `compute_dtype` has it.
    """
    if torch.device(device).type != "cuda":
        return compute_dtype(device, stored)
    return stored if stored in (torch.float16, torch.bfloat16) else torch.bfloat16


def load_component(
    what: str,
    checkpoint: Checkpoint,
    part: Part,
    places: Mapping[str, Sequence[Destination]],
    make: Callable[[], nn.Module],
    device: str,
    *,
    rounded: torch.dtype | None = None,
    dtype: torch.dtype | None = None,
) -> Component:
    """The module that make builds with the tensors of a part, and their scales where they have some.

    part: the tensors without prefix, also those that describe the number format. places: where each weight goes.
    rounded: a dtype that weights are rounded to. dtype: what it computes in, else `working_dtype`.

    Raises:
        ModelError: tensors are missing, left over or of the wrong shape; the first few are named.
    """
    module = load_module(what, checkpoint, part, places, make)
    sources = {name: tuple(Place(*target) for target in targets) for name, targets in places.items()}
    component = Component(
        module,
        checkpoint,
        device=device,
        dtype=dtype or working_dtype(device, stored_dtype(part)),
        stored=None if rounded in _EIGHT_BITS and stored_dtype(part) in _EIGHT_BITS else rounded,
        sources=sources,
    )
    return _scaled(component, checkpoint, part)


def load_module(
    what: str,
    checkpoint: Checkpoint,
    part: Part,
    places: Mapping[str, Sequence[Destination]],
    make: Callable[[], nn.Module],
) -> nn.Module:
    """The module that make builds, frozen and in evaluation mode, with the mapped tensors of a part.

    Raises:
        ModelError: tensors are missing, left over or of the wrong shape; the first few are named.
    """
    file = checkpoint.path.name
    module = _built(what, file, make)
    expected = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    given = {target: (name, rows) for name, targets in places.items() for target, rows in targets}
    _check(what, file, part, given, expected)
    tensors = {target: _rows(checkpoint.tensor(part[name]), rows) for target, (name, rows) in given.items()}
    shaped = {name: tensor.reshape(expected[name]) for name, tensor in tensors.items()}
    module.load_state_dict(shaped, strict=True, assign=True)
    left = [name for name, value in [*module.named_parameters(), *module.named_buffers()] if value.is_meta]
    if left:
        raise RuntimeError(f"weights left without values: {', '.join(left[:_NAMED])}")
    return module.requires_grad_(False).eval()


def _built(what: str, file: str, make: Callable[[], nn.Module]) -> nn.Module:
    try:
        return make()
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        raise ModelError(f"model file {file!r} describes {what} that cannot be built: {error}") from error


def _rows(tensor: Tensor, rows: slice | None) -> Tensor:
    return tensor if rows is None else tensor[rows]


def _check(
    what: str,
    file: str,
    part: Part,
    given: Mapping[str, Destination],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    problems = [
        _listed("lacks", [name for name in expected if name not in given]),
        _listed("has the unknown", [name for target, (name, _) in given.items() if target not in expected]),
        _listed(
            "has in another shape",
            [
                f"{name} {list(part[name].shape)}"
                for target, (name, rows) in given.items()
                if target in expected and not _fits(part[name].shape, rows, expected[target])
            ],
        ),
    ]
    if any(problems):
        found = "; ".join(filter(None, problems))
        raise ModelError(
            f"model file {file!r} does not fit {what}: it {found}",
            hint="the file is incomplete or of another kind of model",
        )


def _fits(shape: tuple[int, ...], rows: slice | None, expected: tuple[int, ...]) -> bool:
    """Whether shapes agree but for dimensions of size 1: convolutions of one cell are linear layers elsewhere."""
    if rows is not None and shape:
        shape = (rows.stop - rows.start, *shape[1:])
    return [size for size in shape if size != 1] == [size for size in expected if size != 1]


def _listed(verb: str, names: Sequence[str]) -> str | None:
    if not names:
        return None
    named = ", ".join(sorted(names)[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{verb} tensor{'s' if len(names) > 1 else ''} {named}{more}"


def _scaled(component: Component, checkpoint: Checkpoint, part: Part) -> Component:
    """The component whose 8-bit weights are multiplied by the scales that stand beside them."""
    changes: dict[str, list[Change]] = {}
    for name, info in part.items():
        found = _SCALE.match(name)
        for place in component.sources.get(f"{found[1]}.weight", ()) if found else ():
            changes[place.name] = [_Times(checkpoint.tensor(info).to(torch.float32), place.rows)]
    return component.patched(changes) if changes else component


class _Times:
    """A change that multiplies a weight by a number, or each row by one of its own."""

    def __init__(self, scale: Tensor, rows: slice | None) -> None:
        self.scale = scale if scale.numel() == 1 else _rows(scale.reshape(-1), rows)

    def __call__(self, weight: Tensor) -> Tensor:
        return weight * self.scale.reshape(-1, *[1] * (weight.ndim - 1))
