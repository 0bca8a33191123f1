"""What files hold, as parts that can be compared: frames of pictures and videos, sound, tensors.

Files come from strangers, so what cannot be decoded is told as `None` and compared by its bytes alone. Parts are
given one at a time: a video need not fit into memory.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["picture", "media", "tensors"]

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
_MEDIA = (b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\x1a\x45\xdf\xa3")
_RIFF = {b"WEBP": "picture", b"WAVE": "media", b"AVI ": "media"}
_BOXED_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"mif1")
_LONGEST_HEADER = 100 * 2**20
#: numpy's names for the types of safetensors; the others are compared by their bytes.
_NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "u1",
}  # fmt: skip


class Undecodable(Exception):
    """A file that says it is of a kind and cannot be decoded; the text says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """A frame, a piece of sound or a tensor.

    `values` is a numpy array: levels of a picture (height, width, channels), sound (channels, samples), a tensor.
    `peak` is the distance of the least and the largest value there can be. `also` is what belongs to it beside
    the values: how long a frame is shown, the rate of sound.
    """

    name: str
    # Any: an array; numpy is imported where it is needed.
    values: Any
    peak: float
    also: str = ""


def kind_of_content(file: Path) -> Kind | None:
    """How a file can be decoded, told from its first bytes; None for one that is compared by bytes alone.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        head = stream.read(32)
    if head.startswith(_PICTURES):
        return "picture"
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])  # type: ignore[return-value]  # its values are kinds
    if head[4:8] == b"ftyp":
        return "picture" if head[8:12] in _BOXED_PICTURES else "media"
    if head.startswith(_MEDIA):
        return "media"
    length = int.from_bytes(head[:8], "little")
    return "tensors" if head[8:9] == b"{" and 2 <= length <= _LONGEST_HEADER else None


def parts_of(file: Path, kind: Kind) -> Iterator[Part]:
    """The parts of a file in their order.

    Raises:
        Undecodable: the file is damaged, or the package that decodes it is not installed.
    """
    match kind:
        case "picture":
            return _frames(file)
        case "media":
            return _media(file)
        case _:
            return _tensors(file)


def _frames(file: Path) -> Iterator[Part]:
    import numpy as np  # few commands decode anything
    from PIL import Image, ImageSequence

    try:
        with Image.open(file) as picture:
            several = getattr(picture, "n_frames", 1) > 1
            for number, frame in enumerate(ImageSequence.Iterator(picture)):
                shown = frame.convert("RGBA") if frame.mode in ("P", "PA") else frame
                values = np.asarray(shown)
                peak = 1.0 if shown.mode in ("1", "F") else float(2 ** (8 * values.dtype.itemsize) - 1)
                also = f"shown {float(frame.info.get('duration', 0)):g} ms" if several else ""
                name = f"frame {number}" if several else "picture"
                yield Part(name, values[..., None] if values.ndim == 2 else values, peak, also)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, struct.error) as error:
        raise Undecodable(str(error)) from error


def _media(file: Path) -> Iterator[Part]:
    try:
        import av  # an extra, and heavy
    except ImportError as error:
        raise Undecodable("its frames are compared where the package 'av' is installed") from error
    import numpy as np

    try:
        with av.open(str(file)) as container:
            for number, frame in enumerate(container.decode()):
                if isinstance(frame, av.VideoFrame):
                    yield Part(f"frame {number}", frame.to_ndarray(format="rgb24"), 255.0, f"at {frame.pts}")
                elif isinstance(frame, av.AudioFrame):
                    values = frame.to_ndarray()
                    whole = np.issubdtype(values.dtype, np.integer)
                    peak = float(np.iinfo(values.dtype).max) * 2 if whole else 2.0
                    yield Part(f"sound {number}", values, peak, f"{frame.sample_rate} Hz")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Undecodable(str(error)) from error


def _tensors(file: Path) -> Iterator[Part]:
    import numpy as np

    header, start = read_header(file)
    size = file.stat().st_size
    for name, entry in sorted(header.items()):
        if name == "__metadata__":
            continue
        match entry:
            case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(begin), int(end)]}:
                pass
            case _:
                raise Undecodable(f"the entry of tensor {name!r} is none")
        if not 0 <= begin <= end <= size - start:
            raise Undecodable(f"tensor {name!r} lies beyond the end of the file")
        raw = np.fromfile(file, "u1", end - begin, offset=start + begin)
        values = raw.view(_NUMPY[dtype]) if dtype in _NUMPY else raw
        if dtype == "BF16":
            values = (values.astype("<u4") << 16).view("<f4")
        finite = values[np.isfinite(values)].astype("f8")
        span = float(np.ptp(finite)) if finite.size else 0.0
        yield Part(name, values, span or 1.0, f"{dtype} {shape}")


def read_header(file: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where its data begin.

    Raises:
        Undecodable: it is none.
    """
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > _LONGEST_HEADER:
                raise Undecodable("its header is longer than 100 MiB")
            header = json.loads(stream.read(length))
    except (OSError, ValueError, RecursionError) as error:
        raise Undecodable(f"its header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise Undecodable("its header is no object")
    return header, 8 + length
