"""How alike files are: bytes, pixels, tolerance."""

import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphengine.errors import FileRefused, SettingsError
from graphengine.replaying.likeness import Tolerance, compare_files, content_digest, read_tolerance

GREY = np.full((4, 6, 3), 100, "uint8")


def png(file: Path, levels: Any, text: str = "", **options: Any) -> Path:
    info = PngInfo()
    if text:
        info.add_text("prompt", text)
    Image.fromarray(levels).save(file, pnginfo=info, **options)
    return file


def animated(file: Path, frames: Sequence[Any], duration: int = 100) -> Path:
    first, *others = [Image.fromarray(frame) for frame in frames]
    options: dict[str, Any] = {"lossless": True} if file.suffix == ".webp" else {}
    first.save(file, save_all=True, append_images=others, duration=duration, **options)
    return file


def safetensors(file: Path, tensors: dict[str, tuple[str, list[int], bytes]]) -> Path:
    header: dict[str, Any] = {"__metadata__": {"note": file.name}}
    data = b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return file


def test_the_same_bytes(tmp_path: Path) -> None:
    found = compare_files(png(tmp_path / "a.png", GREY), png(tmp_path / "b.png", GREY))
    assert (found.level, found.psnr, found.maximum) == ("bytes", math.inf, 0.0)


def test_other_metadata_or_compression_leave_the_pixels(tmp_path: Path) -> None:
    one = png(tmp_path / "a.png", GREY, "seed 1", compress_level=1)
    other = png(tmp_path / "b.png", GREY, "seed 2", compress_level=9)
    assert compare_files(one, other).level == "pixels"
    assert content_digest(one) == content_digest(other)


def test_one_level_of_one_pixel_is_measured_and_found(tmp_path: Path) -> None:
    changed = GREY.copy()
    changed[1, 2, 0] += 3
    found = compare_files(png(tmp_path / "a.png", GREY), png(tmp_path / "b.png", changed))
    assert (found.level, found.maximum) == ("different", 3.0)
    assert found.psnr == pytest.approx(10 * math.log10(255**2 * 72 / 9))
    assert found.told == "picture: 1 of 24 pixels differ, at x 2, y 1"


@pytest.mark.parametrize(
    ("tolerance", "level"),
    [("30", "tolerance"), ("80", "different"), ("/3", "tolerance"), ("/2", "different"), ("30/3", "tolerance")],
)
def test_a_tolerance_is_of_decibels_levels_or_both(tmp_path: Path, tolerance: str, level: str) -> None:
    one, other = png(tmp_path / "a.png", GREY), png(tmp_path / "b.png", GREY + 3)
    assert compare_files(one, other, read_tolerance(tolerance)).level == level


@pytest.mark.parametrize("text", ["", "/", "near", "-3", "40/-1", "nan", "40/inf", "1/2/3"])
def test_a_tolerance_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="the tolerance"):
        read_tolerance(text)


def test_another_size_or_alpha_is_different_whatever_the_tolerance(tmp_path: Path) -> None:
    one = png(tmp_path / "a.png", GREY)
    wider = png(tmp_path / "b.png", np.full((4, 7, 3), 100, "uint8"))
    clear = png(tmp_path / "c.png", np.full((4, 6, 4), 100, "uint8"))
    assert "4 by 6 by 3 uint8, and 4 by 7 by 3 uint8 now" in compare_files(one, wider, Tolerance(0.0)).told
    assert compare_files(one, clear, Tolerance(0.0)).level == "different"


@pytest.mark.parametrize("suffix", [".png", ".webp", ".gif"])
def test_animations_are_compared_frame_by_frame(tmp_path: Path, suffix: str) -> None:
    frames = [GREY, GREY + 50, GREY + 100]
    one = animated(tmp_path / f"a{suffix}", frames)
    other = animated(tmp_path / f"b{suffix}", [GREY, GREY + 55, GREY + 100])
    found = compare_files(one, other)
    assert found.level == "different"
    assert found.told.startswith("frame 1: 24 of 24 pixels differ")
    fewer = compare_files(one, animated(tmp_path / f"c{suffix}", frames[:2]))
    assert "only one of them has frame 2" in fewer.told
    slower = compare_files(one, animated(tmp_path / f"d{suffix}", frames, duration=200))
    assert slower.level == "different"
    assert "frame 0 (shown 100 ms) stands against frame 0 (shown 200 ms)" in slower.told


def test_tensors_are_compared_one_by_one(tmp_path: Path) -> None:
    half = struct.pack("<4f", 0.0, 0.25, 0.5, 1.0)
    off = struct.pack("<4f", 0.0, 0.25, 0.5, 1.5)
    brain = np.array([0x3F80, 0x4000], "<u2").tobytes()  # 1.0 and 2.0 as bfloat16
    tensors = {"a": ("F32", [2, 2], half), "b": ("BF16", [2], brain)}
    one = safetensors(tmp_path / "a.safetensors", tensors)
    assert compare_files(one, safetensors(tmp_path / "b.latent", tensors)).level == "pixels"
    found = compare_files(one, safetensors(tmp_path / "c.latent", {**tensors, "a": ("F32", [2, 2], off)}))
    assert (found.level, found.maximum, found.told) == ("different", 0.5, "a: 1 of 4 values differ")
    other = compare_files(one, safetensors(tmp_path / "d.latent", {**tensors, "a": ("F32", [4], half)}))
    assert other.told == "a (F32 [2, 2]) stands against a (F32 [4])"


def test_not_a_number_is_the_same_as_itself(tmp_path: Path) -> None:
    values = struct.pack("<3f", math.nan, math.inf, 1.0)
    other = struct.pack("<3f", math.nan, math.inf, 2.0)
    one = safetensors(tmp_path / "a.latent", {"a": ("F32", [3], values)})
    found = compare_files(one, safetensors(tmp_path / "b.latent", {"a": ("F32", [3], other)}))
    assert (found.maximum, found.told) == (1.0, "a: 1 of 3 values differ")


def test_sound_is_compared_by_its_samples(tmp_path: Path) -> None:
    av = pytest.importorskip("av")

    def wave(name: str, samples: Any) -> Path:
        file = tmp_path / name
        with av.open(str(file), "w", format="wav") as container:
            stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return file

    samples = (np.sin(np.arange(400) / 9) * 9000).astype("int16")
    changed = samples.copy()
    changed[7] += 100
    found = compare_files(wave("a.wav", samples), wave("b.wav", changed))
    assert (found.level, found.maximum) == ("different", 100.0)
    assert compare_files(tmp_path / "a.wav", tmp_path / "b.wav", Tolerance(60.0)).level == "tolerance"


def test_other_files_are_compared_by_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "a.glb", tmp_path / "b.glb"
    one.write_bytes(b"glTF" + bytes(100))
    other.write_bytes(b"glTF" + bytes(60) + b"x" + bytes(50))
    found = compare_files(one, other)
    assert (found.level, found.psnr) == ("different", None)
    assert found.told == "the bytes differ from byte 64 on (104 and 115 bytes)"


def test_a_file_that_is_cut_off_is_told_and_not_decoded(tmp_path: Path) -> None:
    one = png(tmp_path / "a.png", np.arange(4 * 600 * 3, dtype="uint8").reshape(4, 600, 3))
    cut = tmp_path / "b.png"
    cut.write_bytes(one.read_bytes()[:60])
    found = compare_files(one, cut)
    assert found.level == "different"
    assert "the bytes differ from byte 60 on" in found.told
    assert content_digest(cut) != content_digest(one)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="cannot read"):
        compare_files(tmp_path / "a.png", tmp_path / "b.png")


@pytest.mark.parametrize(
    "data",
    [
        (2**40).to_bytes(8, "little") + b"{" + bytes(50),
        (30).to_bytes(8, "little") + b'{"a": {"dtype": 1}}' + b" " * 11,
        (20).to_bytes(8, "little") + b"{" * 20,
        (60).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}     ',
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"RIFF\0\0\0\0WEBP",
    ],
)
def test_damaged_files_are_compared_by_bytes(tmp_path: Path, data: bytes) -> None:
    one, other = tmp_path / "a", tmp_path / "b"
    one.write_bytes(data)
    other.write_bytes(data + b"x")
    assert compare_files(one, other).level == "different"
