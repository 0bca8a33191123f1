import struct
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from graphengine.errors import FileRefused
from graphengine_nodes.image import reading
from graphengine_nodes.image.reading import read_image, read_mask

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (51, 51, 51)
PIXELS = np.array([[RED, GREEN], [BLUE, GREY]], np.uint8)
COLOURS = torch.tensor([[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [0.2, 0.2, 0.2]]])


def _save(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)  # type: ignore[arg-type]  # options differ by format
    return path


def _read(path: Path) -> tuple[Tensor, Tensor]:
    return read_image(path, path.name)


# Colours and masks


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.bmp", "a.tiff", "a.tga", "a.ppm", "a.qoi"])
def test_colours_are_fractions_and_an_opaque_picture_has_an_empty_mask(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name == "a.webp" else {}
    image, mask = _read(_save(tmp_path / name, Image.fromarray(PIXELS), **options))
    assert image.dtype == mask.dtype == torch.float32
    assert torch.equal(image, COLOURS[None])
    assert torch.equal(mask, torch.zeros(1, 64, 64))


def test_the_mask_is_one_where_the_picture_is_transparent(tmp_path: Path) -> None:
    alpha = np.array([[255, 0], [51, 204]], np.uint8)
    image, mask = _read(_save(tmp_path / "a.png", Image.fromarray(np.dstack([PIXELS, alpha]))))
    assert torch.equal(image, COLOURS[None])
    assert torch.equal(mask, 1 - torch.tensor([[[1, 0], [0.2, 0.8]]]))


def test_a_palette_may_hold_a_transparent_colour(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    picture.putpalette([*RED, *GREEN])
    image, mask = _read(_save(tmp_path / "a.png", picture, transparency=bytes([255, 0])))
    assert torch.equal(image, COLOURS[None, :1])
    assert torch.equal(mask, torch.tensor([[[0.0, 1.0]]]))


def test_grey_is_all_three_colours(tmp_path: Path) -> None:
    image, _ = _read(_save(tmp_path / "a.png", Image.fromarray(np.array([[0, 51]], np.uint8))))
    assert image.tolist() == [[[[0, 0, 0], pytest.approx([0.2] * 3)]]]


def test_grey_of_sixteen_bits_keeps_its_range(tmp_path: Path) -> None:
    image, mask = _read(_save(tmp_path / "a.png", Image.fromarray(np.array([[0, 13107, 65535]], np.uint16))))
    assert image[0, 0].tolist() == [[0] * 3, pytest.approx([0.2] * 3), [1] * 3]
    assert torch.equal(mask, torch.zeros(1, 64, 64))


def test_grey_of_thirty_two_bits_is_cut_off(tmp_path: Path) -> None:
    image, _ = _read(_save(tmp_path / "a.tiff", Image.fromarray(np.array([[-5, 65535, 90000]], np.int32))))
    assert image[0, 0, :, 0].tolist() == [0, 1, 1]


def test_a_picture_that_says_it_is_turned_is_turned_back(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright after a quarter turn clockwise
    picture = Image.fromarray(np.array([[RED, GREEN]], np.uint8))
    image, _ = _read(_save(tmp_path / "a.png", picture, exif=exif))
    assert torch.equal(image, torch.tensor([[[[1.0, 0, 0]], [[0, 1.0, 0]]]]))


# Frames


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tiff"])
def test_frames_of_an_animation_form_a_batch(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (3, 2), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if name == "a.webp" else {}
    image, mask = _read(_save(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], **options))
    assert torch.equal(image[:, 0, 0], torch.eye(3))
    assert image.shape == (3, 2, 3, 3)
    assert mask.shape == (3, 64, 64)


def test_a_mask_is_as_large_as_the_frames_when_only_some_are_transparent(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (3, 2), RED), Image.new("RGBA", (3, 2), (*RED, 0))]
    path = _save(tmp_path / "a.tiff", frames[0], save_all=True, append_images=frames[1:])
    assert torch.equal(_read(path)[1], torch.stack([torch.zeros(2, 3), torch.ones(2, 3)]))


def test_frames_of_another_size_are_left_out(tmp_path: Path) -> None:
    pages = [Image.new("RGB", size, RED) for size in ((3, 2), (5, 5), (3, 2))]
    path = _save(tmp_path / "a.tiff", pages[0], save_all=True, append_images=pages[1:])
    assert _read(path)[0].shape == (2, 2, 3, 3)


def test_the_second_picture_of_a_stereo_photo_is_not_a_frame(tmp_path: Path) -> None:
    sides = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    path = _save(tmp_path / "a.mpo", sides[0], save_all=True, append_images=sides[1:])
    assert _read(path)[0].shape == (1, 8, 8, 3)


# One channel


@pytest.mark.parametrize(
    ("channel", "values"),
    [("red", [1.0, 0.0]), ("green", [0.0, 1.0]), ("blue", [0.0, 0.0]), ("alpha", [0.0, 0.8])],
)
def test_a_mask_is_one_channel_and_alpha_is_turned_round(
    tmp_path: Path, channel: str, values: list[float]
) -> None:
    pixels = np.array([[(*RED, 255), (*GREEN, 51)]], np.uint8)
    path = _save(tmp_path / "a.png", Image.fromarray(pixels))
    assert read_mask(path, "a.png", channel).tolist() == [[pytest.approx(values)]]


@pytest.mark.parametrize("pixels", [np.full((1, 2), 51, np.uint8), np.full((1, 2), 13107, np.uint16)])
def test_a_grey_picture_has_every_channel(tmp_path: Path, pixels: np.ndarray) -> None:
    path = _save(tmp_path / "a.png", Image.fromarray(pixels))
    assert read_mask(path, "a.png", "blue").tolist() == [[pytest.approx([0.2, 0.2])]]
    assert read_mask(path, "a.png", "alpha").tolist() == [[[0, 0]]]


# Refusals


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int) -> bytes:
    """A PNG file of some hundred bytes that claims to be of any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = _chunk(b"IDAT", zlib.compress(bytes(4096)))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + data + _chunk(b"IEND", b"")


def _whole_png() -> bytes:
    file = BytesIO()
    Image.fromarray(np.arange(3000, dtype=np.uint8).reshape(20, 50, 3)).save(file, "PNG", compress_level=0)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (b"", "file 'dir/x.png' is not a picture in a known format", "use a PNG"),
        (b"a text", "file 'dir/x.png' is not a picture in a known format", "use a PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "is not a picture in a known format", "use a PNG"),
        (_whole_png()[:2000], "file 'dir/x.png' cannot be read as a picture: image file is trunc", "damaged"),
        (_png(65000, 65000), "file 'dir/x.png' is too large", "at most 268 million pixels"),
        (_png(2**31 - 1, 2**31 - 1), "file 'dir/x.png' is too large", "at most 268 million pixels"),
        (_png(0, 5), "file 'dir/x.png'", ""),
    ],
)
def test_a_file_that_is_no_usable_picture_is_refused(
    tmp_path: Path, content: bytes, message: str, hint: str
) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(FileRefused) as refused:
        read_image(tmp_path / "x.png", "dir/x.png")
    assert message in refused.value.message
    assert hint in str(refused.value.hint)
    with pytest.raises(FileRefused) as refused:
        read_mask(tmp_path / "x.png", "dir/x.png", "red")
    assert message in refused.value.message


def test_all_frames_together_count_as_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_PIXELS", 15)
    frames = [Image.new("RGB", (3, 2), colour) for colour in (RED, GREEN, BLUE)]
    _read(_save(tmp_path / "two.gif", frames[0], save_all=True, append_images=frames[1:2]))
    three = _save(tmp_path / "three.gif", frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(FileRefused, match=r"file 'three.gif' is too large"):
        _read(three)


def _samples() -> dict[str, bytes]:
    """One small file per format."""
    found = {}
    for name in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "TGA", "PPM", "ICO", "DDS", "QOI", "PCX", "SGI"):
        file = BytesIO()
        Image.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3)).save(file, name)
        found[name] = file.getvalue()
    return found


SAMPLES = _samples()


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damage that it can live with
@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(sorted(SAMPLES)),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8),
)
def test_a_damaged_picture_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, kind: str, cut: float, changes: list[tuple[float, int]]
) -> None:
    content = bytearray(SAMPLES[kind])
    for place, value in changes:
        # Headers decide most, so half of the changes hit the first 64 bytes.
        content[int(place * (64 if value % 2 else len(content)))] = value
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind.lower()}"
    path.write_bytes(content[: max(1, round(cut * len(content)))])
    with suppress(FileRefused):
        image, mask = _read(path)
        assert (image.ndim, mask.ndim) == (4, 3)
