"""How alike two files are: the same bytes, the same pixels, near enough, or different.

"Pixels" stands for whatever a file holds: frames and sound of a video, the tensors of a latent. What a file says
about itself (its metadata) is not among it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import file_digest, sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from graphengine.errors import FileRefused, SettingsError
from graphengine.replaying.contents import Part, Undecodable, kind_of_content, parts_of

#: How alike, best first.
Level = Literal["bytes", "pixels", "tolerance", "different"]
LEVELS: tuple[Level, ...] = ("bytes", "pixels", "tolerance", "different")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What is near enough: at least `psnr` decibels, and no value further off than `maximum`; None: any.

    `maximum` is in the values of the file: levels from 0 to 255 for most pictures.
    """

    psnr: float | None = None
    maximum: float | None = None

    def allows(self, psnr: float, maximum: float) -> bool:
        """Whether a difference is near enough."""
        if self.psnr is None and self.maximum is None:
            return False
        return (self.psnr is None or psnr >= self.psnr) and (self.maximum is None or maximum <= self.maximum)


def read_tolerance(text: str) -> Tolerance:
    """`40` is at least 40 dB, `/2` at most 2 levels, `40/2` both.

    Raises:
        SettingsError: the text is none of these.
    """
    psnr, _, maximum = text.partition("/")
    try:
        found = Tolerance(float(psnr) if psnr else None, float(maximum) if maximum else None)
    except ValueError:
        found = Tolerance()
    given = [value for value in (found.psnr, found.maximum) if value is not None]
    if not given or not all(math.isfinite(value) and value >= 0 for value in given):
        raise SettingsError(
            f"the tolerance {text!r} is none", hint="write decibels, /levels, or both: 40, /2 or 40/2"
        )
    return found


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two files are. `psnr` is in decibels (infinite when equal), `maximum` the largest difference.

    Both are None where nothing could be decoded. `told` says where they differ, in words.
    """

    level: Level
    psnr: float | None = None
    maximum: float | None = None
    told: str = ""

    def to_json(self) -> dict[str, object]:
        """The likeness as JSON; an infinite ratio is null."""
        finite = self.psnr if self.psnr is not None and math.isfinite(self.psnr) else None
        return {"level": self.level, "psnr": finite, "maximum": self.maximum, "told": self.told}


def compare_files(original: Path, replayed: Path, tolerance: Tolerance | None = None) -> Likeness:
    """How alike two files are.

    Raises:
        FileRefused: one of them cannot be read.
    """
    try:
        if digest_of(original) == digest_of(replayed):
            return Likeness("bytes", math.inf, 0.0)
        kinds = kind_of_content(original), kind_of_content(replayed)
    except OSError as error:
        raise FileRefused(f"cannot read {error.filename}: {error.strerror}") from error
    if kinds[0] is None or kinds[0] != kinds[1]:
        return Likeness("different", told=_bytes_told(original, replayed))
    try:
        measure = _Measure()
        for one, other in zip_longest(parts_of(original, kinds[0]), parts_of(replayed, kinds[0])):
            measure.take(one, other)
    except Undecodable as error:
        return Likeness("different", told=f"{_bytes_told(original, replayed)}; {error}")
    return measure.likeness(tolerance or Tolerance())


def digest_of(file: Path) -> str:
    """The SHA-256 (hex) of a file's bytes."""
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def content_digest(file: Path) -> str:
    """A digest (hex) of what a file holds without what it says about itself; of its bytes if it has no parts.

    Raises:
        FileRefused: it cannot be read.
    """
    try:
        kind = kind_of_content(file)
        if kind is None:
            return digest_of(file)
        digest = sha256()
        try:
            for part in parts_of(file, kind):
                digest.update(repr((part.name, part.values.dtype.str, part.values.shape, part.also)).encode())
                digest.update(part.values.tobytes())
        except Undecodable:
            return digest_of(file)
    except OSError as error:
        raise FileRefused(f"cannot read {file}: {error.strerror}") from error
    return digest.hexdigest()


class _Measure:
    """Takes pairs of parts and sums up how far they are apart."""

    def __init__(self) -> None:
        self._square = 0.0  # of differences in parts of the peak
        self._count = 0
        self._maximum = 0.0
        self._told: list[str] = []
        self._differs = 0
        self._unlike = False

    def take(self, one: Part | None, other: Part | None) -> None:
        """Compare the next parts; None where a file has no more."""
        if one is None or other is None:
            self._refuse(f"only one of them has {(one or other or _NOTHING).name}")
        elif one.name != other.name or one.also != other.also:
            self._refuse(f"{one.name} ({one.also}) stands against {other.name} ({other.also})")
        elif one.values.shape != other.values.shape or one.values.dtype != other.values.dtype:
            self._refuse(f"{one.name} is {_shape(one)}, and {_shape(other)} now")
        else:
            self._sum(one, other)

    def _refuse(self, text: str) -> None:
        self._unlike = True
        self._told.append(text)

    def _sum(self, one: Part, other: Part) -> None:
        import numpy as np  # few commands decode anything

        if one.values.tobytes() == other.values.tobytes():
            self._count += one.values.size
            return
        with np.errstate(invalid="ignore"):  # infinite values; those that both have are no difference
            gap = np.abs(one.values.astype("f8") - other.values.astype("f8"))
        gap = np.where(np.isfinite(gap), gap, np.where(_both_nan(one.values, other.values), 0.0, np.inf))
        self._count += gap.size
        self._square += float(((gap / one.peak) ** 2).sum())
        self._maximum = max(self._maximum, float(gap.max()))
        self._differs += 1
        if self._differs == 1:
            self._told.append(_where(one, gap))

    def likeness(self, tolerance: Tolerance) -> Likeness:
        """The sum of it all."""
        told = "; ".join(self._told[:3])
        if self._unlike:
            return Likeness("different", told=told)
        if not self._differs:
            return Likeness("pixels", math.inf, 0.0)
        error = self._square / max(self._count, 1)
        psnr = -10.0 * math.log10(error) if 0 < error < math.inf else (math.inf if error == 0 else 0.0)
        more = f" (and {self._differs - 1} more)" if self._differs > 1 else ""
        near = tolerance.allows(psnr, self._maximum)
        return Likeness("tolerance" if near else "different", psnr, self._maximum, told + more)


_NOTHING = Part("nothing", None, 1.0)


# Any: arrays.
def _both_nan(one: Any, other: Any) -> Any:
    import numpy as np

    if one.dtype.kind != "f":
        return np.zeros(one.shape, bool)
    return np.isnan(one) & np.isnan(other) | (one == other)


def _where(part: Part, gap: Any) -> str:
    import numpy as np

    if part.values.ndim != 3 or part.name.startswith("sound"):
        return f"{part.name}: {int((gap > 0).sum())} of {gap.size} values differ"
    rows, columns = np.nonzero((gap > 0).any(axis=-1))
    count = len(rows)
    box = f"x {columns.min()} to {columns.max()}, y {rows.min()} to {rows.max()}"
    place = f"at x {columns[0]}, y {rows[0]}" if count == 1 else f"in {box}"
    return f"{part.name}: {count} of {gap.shape[0] * gap.shape[1]} pixels differ, {place}"


def _shape(part: Part) -> str:
    return f"{' by '.join(map(str, part.values.shape))} {part.values.dtype}"


def _bytes_told(one: Path, other: Path) -> str:
    """Where the bytes of two files differ first."""
    at = 0
    for before, after in zip_longest(_blocks(one), _blocks(other), fillvalue=b""):
        if before != after:
            same = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), None)
            at += min(len(before), len(after)) if same is None else same
            break
        at += len(before)
    return f"the bytes differ from byte {at} on ({one.stat().st_size} and {other.stat().st_size} bytes)"


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            yield block
