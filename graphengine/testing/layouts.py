"""Whether a value is what its socket type says: layout, element type and range (docs/node-api.md)."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from graphengine.node.api import ExecutionBlocker
from graphengine.node.types import type_members

_CHANNELS = (1, 3, 4)
_OVERSHOOT = 0.1  # what sharpening and bicubic scaling exceed a range by, in ComfyUI too; 0..255 and -1..1 do more

Told = Iterator[tuple[str, str]]


# Any throughout: values are what node authors' methods give.
def wrong_value(type_: str, value: Any) -> list[tuple[str, str]]:
    """What is wrong with a value of a type, as codes and texts; nothing for types whose layout is not known."""
    if isinstance(value, ExecutionBlocker):
        return []
    found: list[list[tuple[str, str]]] = []
    for member in sorted(type_members(type_)):
        check = _CHECKS.get(member)
        if check is None and (value is not None or member not in _OBJECTS):
            return []
        found.append([("wrong_type", "is None")] if check is None or value is None else list(check(value)))
        if not found[-1]:
            return []
    return found[0] if found else []


def _tensor(value: Any, dimensions: tuple[int, ...], layout: str) -> Told:
    import torch  # the values hold tensors, so it is imported

    if not isinstance(value, torch.Tensor):
        yield "wrong_type", f"is {type(value).__name__} in place of a tensor {layout}"
    elif value.ndim not in dimensions:
        yield "wrong_type", f"has the shape {tuple(value.shape)} in place of {layout}"
    elif value.dtype is not torch.float32:
        yield "wrong_type", f"holds {str(value.dtype).removeprefix('torch.')} in place of float32"
    elif value.device.type != "cpu":
        yield "wrong_type", f"is on {value.device} in place of the CPU"


def _finite(value: Any, least: float | None = None, most: float | None = None) -> Told:
    if value.numel() == 0:
        yield "wrong_type", f"is empty: its shape is {tuple(value.shape)}"
        return
    if not bool(value.isfinite().all()):
        yield "out_of_range", "holds numbers that are not finite"
        return
    low, high = float(value.min()), float(value.max())
    if (least is not None and low < least - _OVERSHOOT) or (most is not None and high > most + _OVERSHOOT):
        yield "out_of_range", f"holds numbers from {low:.4g} to {high:.4g}; they belong into {least:g} to {most:g}"


def _image(value: Any) -> Told:
    wrong = list(_tensor(value, (4,), "(batch, height, width, channels)"))
    if not wrong and value.shape[-1] not in _CHANNELS:
        wrong = [
            ("wrong_type", f"has the shape {tuple(value.shape)}: {value.shape[-1]} channels; there are 1, 3 or 4")
        ]
    yield from wrong or _finite(value, 0.0, 1.0)


def _mask(value: Any) -> Told:
    yield from list(_tensor(value, (3,), "(batch, height, width)")) or _finite(value, 0.0, 1.0)


def _latent(value: Any) -> Told:
    if not isinstance(value, dict) or "samples" not in value:
        yield "wrong_type", f"is {_brief(value)} in place of a dict with 'samples'"
        return
    samples = value["samples"]
    layout = "(batch, channels, height, width)"
    yield from list(_tensor(samples, (3, 4, 5), layout)) or _finite(samples)


def _conditioning(value: Any) -> Told:
    import torch

    if not isinstance(value, list | tuple):
        yield "wrong_type", f"is {_brief(value)} in place of a list of [tensor, dict]"
        return
    for entry in value:
        if not isinstance(entry, list | tuple) or len(entry) != 2 or not isinstance(entry[1], dict):
            yield "wrong_type", f"holds {_brief(entry)} in place of [tensor, dict]"
        elif entry[0] is not None and (not isinstance(entry[0], torch.Tensor) or entry[0].ndim not in (2, 3)):
            yield "wrong_type", f"holds {_brief(entry[0])} in place of a tensor (batch, tokens, width)"


def _audio(value: Any) -> Told:
    if not isinstance(value, dict) or not {"waveform", "sample_rate"} <= value.keys():
        yield "wrong_type", f"is {_brief(value)} in place of a dict with 'waveform' and 'sample_rate'"
        return
    if not isinstance(value["sample_rate"], int) or value["sample_rate"] <= 0:
        yield "wrong_type", f"has the sample rate {value['sample_rate']!r}"
    wrong = list(_tensor(value["waveform"], (3,), "(batch, channels, samples)"))
    yield from wrong or (() if value["waveform"].numel() == 0 else _finite(value["waveform"]))


def _sigmas(value: Any) -> Told:
    wrong = list(_tensor(value, (1,), "(steps + 1,)"))
    yield from wrong or (() if value.numel() == 0 else _finite(value))


def _of_class(*kinds: type) -> Callable[[Any], Told]:
    def check(value: Any) -> Told:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            yield "wrong_type", f"is {_brief(value)} in place of {kinds[-1].__name__}"

    return check


def _brief(value: Any) -> str:
    """A value in a few words."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} {tuple(shape)}"
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(repr, list(value)[:4])) or 'nothing'}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return f"{type(value).__name__} {value!r}"[:80]


_CHECKS: Mapping[str, Callable[[Any], Told]] = MappingProxyType(
    {
        "IMAGE": _image,
        "MASK": _mask,
        "LATENT": _latent,
        "CONDITIONING": _conditioning,
        "AUDIO": _audio,
        "SIGMAS": _sigmas,
        "INT": _of_class(int),
        "FLOAT": _of_class(int, float),
        "STRING": _of_class(str),
        "BOOLEAN": _of_class(bool),
    }
)
_OBJECTS = frozenset({"MODEL", "CLIP", "VAE", "SAMPLER", "NOISE", "GUIDER", "CONTROL_NET", "VIDEO"})
