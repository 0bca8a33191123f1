"""Golden outputs: what a node gave once and a person looked at, kept beside the tests and compared from then on.

Pictures are kept as PNG, 16 bits per channel would be no picture to look at, so they are compared as 8 bits are;
all other values as safetensors. `pytest --update-golden` writes them anew.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphengine.errors import GraphEngineError
from graphengine.testing.golden_pictures import (
    is_picture,
    psnr_of,
    read_picture,
    to_levels,
    write_page,
    write_picture,
)
from graphengine.whole_files import being_written

if TYPE_CHECKING:
    from torch import Tensor

# torch and safetensors are imported in functions: a run that compares nothing needs neither.

_METADATA = "graphengine.plain"
_NAME_LIMIT = 100


class GoldenMismatch(AssertionError):
    """An output is not what its golden file holds."""


class GoldenUnusable(GraphEngineError):
    """A golden file is missing, damaged or holds something that cannot be compared."""

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"  # pytest shows this alone


@dataclass(frozen=True, slots=True)
class Golden:
    """Compares outputs with files in `folder`, or writes those with `update`; `failures` gets what differs."""

    folder: Path
    failures: Path
    update: bool = False

    # Any: an output of a node.
    def __call__(
        self, output: Any, name: str, *, rtol: float = 1e-5, atol: float = 1e-6, psnr: float = 50.0
    ) -> None:
        """Compare an output with the golden file of that name.

        An IMAGE or MASK must reach a peak signal-to-noise ratio of `psnr` decibels; 50 lets one level of 255
        differ nearly everywhere. Tensors in all other values may differ by `rtol` of their size and by `atol`,
        numbers by `rtol`; texts must be equal.

        Raises:
            GoldenMismatch: it differs.
            GoldenUnusable: there is no such file yet, it is damaged, or the output holds an object.
        """
        __tracebackhide__ = True  # a failure belongs to the line of the test
        if not name or len(name) > _NAME_LIMIT or not name.replace("-", "_").replace(".", "_").isidentifier():
            raise GoldenUnusable(f"{name!r} is no name for a golden file", hint="use letters, digits, '_' and '-'")
        if is_picture(output):
            self._compare_picture(output, self.folder / name, psnr)
        else:
            self._compare_tensors(output, self.folder / f"{name}.safetensors", rtol, atol)

    def _compare_picture(self, output: "Tensor", stem: Path, least: float) -> None:
        __tracebackhide__ = True
        files = [stem.with_name(f"{stem.name}@{index}.png") for index in range(len(output))]
        if len(files) == 1:
            files = [stem.with_name(f"{stem.name}.png")]
        if self.update:
            for file, picture in zip(files, output, strict=True):
                write_picture(file, to_levels(picture))
            _remove_others(stem, files)
            return
        extra = stem.with_name(f"{stem.name}@{len(files) if len(files) > 1 else 0}.png")
        if extra.exists():
            raise GoldenMismatch(
                f"{stem.name}: the batch has {len(files)} of the pictures, the golden files are more: {extra}\n"
                "if this is right: pytest --update-golden"
            )
        for file, picture in zip(files, output, strict=True):
            self._compare_one(file, to_levels(picture), least)

    # Any: arrays of levels.
    def _compare_one(self, file: Path, actual: Any, least: float) -> None:
        __tracebackhide__ = True
        expected = read_picture(_present(file))
        if expected.shape != actual.shape:
            told = f"the picture is {_size(actual)}, the golden one {_size(expected)}"
            page = write_page(self.failures, file.stem, expected, actual, told)
            raise GoldenMismatch(f"{file.name}: {told}; see {page}")
        found = psnr_of(expected, actual)
        if found < least:
            told = f"the pictures agree to {found:.1f} dB, {least:g} are wanted"
            page = write_page(self.failures, file.stem, expected, actual, told)
            raise GoldenMismatch(
                f"{file.name}: {told}; see {page}\nif the new picture is right: pytest --update-golden"
            )

    def _compare_tensors(self, output: Any, file: Path, rtol: float, atol: float) -> None:
        __tracebackhide__ = True
        tensors, plain = _flat(output)
        if self.update:
            _write(file, tensors, plain)
            return
        expected, expected_plain = _read(_present(file))
        wrong = [*_plain_differences(expected_plain, plain, rtol), *_differences(expected, tensors, rtol, atol)]
        if wrong:
            raise GoldenMismatch(
                "\n".join([f"{file.name}: {wrong[0]}", *wrong[1:5], "if this is right: pytest --update-golden"])
            )


def _remove_others(stem: Path, files: Sequence[Path]) -> None:
    """Remove the pictures of a batch of another size that was kept under this name."""
    numbered = re.compile(re.escape(stem.name) + r"(@\d+)?\.png")
    for file in [*stem.parent.iterdir()]:
        if numbered.fullmatch(file.name) and file not in files:
            file.unlink()


def _present(file: Path) -> Path:
    if not file.is_file():
        raise GoldenUnusable(
            f"there is no golden file {file}", hint="look at the output, then: pytest --update-golden"
        )
    return file


def _size(levels: Any) -> str:
    height, width, channels = levels.shape
    return f"{width}×{height} with {channels} channels"  # noqa: RUF001 (the sign is meant)


# Any: outputs are of all types.
def _flat(output: Any) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """The tensors in a value and the plain values in it, by their places.

    Raises:
        GoldenUnusable: it holds an object.
    """
    import torch

    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("value", output)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, torch.Tensor):
            tensors[place] = value.detach().cpu().contiguous()
        elif value is None or isinstance(value, str | bool | int | float):
            plain[place] = value
        elif isinstance(value, Mapping):
            plain[place] = f"dict of {sorted(map(str, value))}"
            waiting.extend((f"{place}.{key}", member) for key, member in value.items())
        elif isinstance(value, list | tuple):
            plain[place] = f"list of {len(value)}"
            waiting.extend((f"{place}[{index}]", member) for index, member in enumerate(value))
        else:
            raise GoldenUnusable(
                f"{place} is {type(value).__qualname__}, which no file can hold",
                hint="compare something that it computes: a latent, a picture, a number",
            )
    return tensors, plain


def _write(file: Path, tensors: "dict[str, Tensor]", plain: dict[str, Any]) -> None:
    from safetensors.torch import save

    file.parent.mkdir(parents=True, exist_ok=True)
    content = save(tensors, {_METADATA: json.dumps(plain, sort_keys=True)})
    with being_written(file) as temporary:
        temporary.write_bytes(content)


def _read(file: Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            plain = json.loads((opened.metadata() or {})[_METADATA])
            return {name: opened.get_tensor(name) for name in opened.keys()}, dict(plain)  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise GoldenUnusable(
            f"the golden file {file} is damaged: {error}", hint="take it from version control, or --update-golden"
        ) from error


def _plain_differences(expected: dict[str, Any], actual: dict[str, Any], rtol: float) -> list[str]:
    found: list[str] = []
    for place in sorted(expected.keys() | actual.keys()):
        if place not in actual or place not in expected:
            found.append(f"{place} is {'gone' if place in expected else 'new'}")
        elif not _equal(expected[place], actual[place], rtol):
            found.append(f"{place} is {actual[place]!r}, the golden one {expected[place]!r}")
    return found


def _equal(one: Any, other: Any, rtol: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=rtol) or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and bool(one == other)


def _differences(
    expected: "dict[str, Tensor]", actual: "dict[str, Tensor]", rtol: float, atol: float
) -> list[str]:
    import torch

    found: list[str] = []
    for place in sorted(expected.keys() | actual.keys()):
        one, other = expected.get(place), actual.get(place)
        if one is None or other is None:
            found.append(f"the tensor {place} is {'new' if one is None else 'gone'}")
        elif (one.shape, one.dtype) != (other.shape, other.dtype):
            found.append(
                f"{place} is {other.dtype} {tuple(other.shape)}, the golden one {one.dtype} {tuple(one.shape)}"
            )
        elif not torch.allclose(other.double(), one.double(), rtol, atol, equal_nan=True):
            gap = (other.double() - one.double()).abs()
            count = int((gap > atol + rtol * one.double().abs()).sum())
            found.append(f"{place}: {count} of {gap.numel()} numbers differ, by up to {float(gap.max()):.3g}")
    return found
