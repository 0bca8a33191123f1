"""LATENT values: empty ones, scaled ones, with a mask, and as files."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from graphengine.node.api import FileRefused
from graphengine_nodes.core.output_files import expand_prefix, output_place, write_numbered
from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.image.scaling import resize

_TENSOR = "latent_tensor"
#: Its presence says that the tensor is in the scale of the VAE; files without it are in that of the SD1 network.
_MARKER = "latent_format_version_0"
_OLD_SCALE = 1 / 0.18215
_SMALLEST = 64  # pixels


def empty_latent(width: int, height: int, batch_size: int = 1) -> Latent:
    """Zeros (batch_size, 4, height / 8, width / 8) for a picture of width by height pixels."""
    return {"samples": torch.zeros(batch_size, 4, height // 8, width // 8)}


def scale_latent(latent: Latent, method: str, width: int, height: int, crop: str = "disabled") -> Latent:
    """The latent for a picture of width by height pixels, each at least 64.

    A size of 0 follows from the other one; both 0 change nothing.
    """
    old_height, old_width = latent["samples"].shape[-2:]
    if width == 0 and height == 0:
        return latent
    if width == 0:
        width = round(old_width * max(_SMALLEST, height) / old_height)
    elif height == 0:
        height = round(old_height * max(_SMALLEST, width) / old_width)
    width, height = max(_SMALLEST, width), max(_SMALLEST, height)
    return _with_samples(latent, resize(latent["samples"], width // 8, height // 8, method, crop))


def scale_latent_by(latent: Latent, method: str, factor: float) -> Latent:
    """The latent with its height and width times `factor`, rounded, at least 1."""
    height, width = (max(1, round(size * factor)) for size in latent["samples"].shape[-2:])
    return _with_samples(latent, resize(latent["samples"], width, height, method))


def with_noise_mask(latent: Latent, mask: Tensor) -> Latent:
    """The latent with MASK (H, W) or (B, H, W) as its noise mask (B, 1, H, W); 1 is where it is sampled anew."""
    masked = latent.copy()
    masked["noise_mask"] = mask.reshape(-1, 1, *mask.shape[-2:])
    return masked


def _with_samples(latent: Latent, samples: Tensor) -> Latent:
    changed = latent.copy()
    changed["samples"] = samples
    return changed


# Any: workflow documents are open-ended JSON; they are written, not read.
def save_latent(
    latent: Latent,
    root: Path,
    prefix: str,
    *,
    prompt: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Write the samples below `root` as `prefix_00001_.latent`; gives `{"filename", "subfolder"}`.

    The file is a safetensors file whose metadata hold `prompt` and the documents of `extra` by name. A noise mask
    is not saved, as in ComfyUI.

    Raises:
        FileRefused: the prefix leads out of the folder.
        GraphEngineError: the file cannot be written.
    """
    place = output_place(root, expand_prefix(prefix, datetime.now(), prompt=prompt))
    texts = {**({} if prompt is None else {"prompt": prompt}), **(extra or {})}
    metadata = {name: json.dumps(document) for name, document in texts.items()}
    (name,) = write_numbered(place, ".latent", [encode_latent(latent["samples"], metadata)])
    return {"filename": name, "subfolder": place.subfolder}


def encode_latent(samples: Tensor, metadata: Mapping[str, str]) -> bytes:
    """The content of a .latent file."""
    tensors = {_TENSOR: samples.detach().cpu().contiguous(), _MARKER: torch.tensor([])}
    return _in_order(save(tensors, dict(metadata)), metadata)


def _in_order(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """The content of a safetensors file with the metadata in their order, which the library shuffles each time."""
    if not metadata:
        return content
    length = int.from_bytes(content[:8], "little")
    header = {**json.loads(content[8 : 8 + length]), "__metadata__": dict(metadata)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def read_latent(path: Path, name: str) -> Latent:
    """The LATENT of a .latent file, float32; `name` is how messages call it.

    Raises:
        FileRefused: the file is no latent, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            keys = frozenset(file.keys())
            samples = file.get_tensor(_TENSOR) if _TENSOR in keys else None
    except (SafetensorError, OSError, ValueError) as error:
        raise FileRefused(
            f"file {name!r} cannot be read as a latent: {error}",
            hint="the file is damaged or incomplete; save it again with SaveLatent",
        ) from error
    if samples is None or samples.ndim < 4 or not samples.is_floating_point():
        raise FileRefused(f"file {name!r} holds no latent", hint="use a .latent file that SaveLatent wrote")
    scale = 1.0 if _MARKER in keys else _OLD_SCALE
    # A copy, so that the value does not hang on the file.
    return {"samples": samples.to(torch.float32, copy=True) * scale}
