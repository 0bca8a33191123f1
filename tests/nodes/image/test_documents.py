"""Pictures with 16 bits, drawings with their workflow, and pictures to compare."""

import json
import struct
import zlib
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from graphengine.errors import FileRefused, GraphEngineError
from graphengine.node.api import Folders, NodeContext
from graphengine_nodes.image.document_nodes import ImageCompare, SaveImageAdvanced, SaveSVGNode
from graphengine_nodes.image.documents import encode_deep_png, with_workflow


def context(folder: Path) -> NodeContext:
    return NodeContext(folders=Folders(output=folder / "output", temp=folder / "temp"))


def samples(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """The 16-bit samples of a PNG file with one IDAT chunk and unfiltered lines."""
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    assert depth == 16
    channels = {0: 1, 2: 3, 6: 4}[colour]
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    lines = np.frombuffer(zlib.decompress(data[at + 4 : at + 4 + length]), np.uint8).reshape(height, -1)
    assert not lines[:, 0].any()
    return lines[:, 1:].copy().view(">u2").astype(np.uint16).reshape(height, width, channels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_kept(channels: int) -> None:
    pixels = np.arange(5 * 7 * channels, dtype=np.uint16).reshape(5, 7, channels) * 257
    data = encode_deep_png(pixels, {"prompt": '{"1": "x"}'})
    assert np.array_equal(samples(data), pixels)
    with Image.open(BytesIO(data)) as picture:
        picture.load()
        assert (picture.size, picture.info["prompt"]) == ((7, 5), '{"1": "x"}')


@pytest.mark.parametrize(("depth", "levels"), [("8-bit", 255), ("16-bit", 65535)])
def test_the_node_saves_with_either_depth_and_hands_the_pictures_on(
    depth: str, levels: int, tmp_path: Path
) -> None:
    images = torch.tensor([0.0, 0.25, 1.0, 2.0]).reshape(1, 1, 4, 1).expand(2, 1, 4, 3)
    chosen = {"format": "png", "bit_depth": depth, "input_color_space": "sRGB"}
    answer = SaveImageAdvanced().save(
        images, "deep/x", chosen, context(tmp_path), prompt={"1": {}}, extra_pnginfo={"workflow": {}}
    )
    assert answer["result"] == (images,)
    names = [file["filename"] for file in answer["ui"]["images"]]
    assert names == ["x_00001_.png", "x_00002_.png"]
    data = (tmp_path / "output" / "deep" / names[0]).read_bytes()
    expected = [0, int(0.25 * levels), levels, levels]
    if levels == 255:
        with Image.open(BytesIO(data)) as picture:
            assert np.asarray(picture)[0, :, 0].tolist() == expected
    else:
        assert samples(data)[0, :, 0].tolist() == expected
        assert b"workflow\0{}" in data


def test_other_formats_and_values_are_named(tmp_path: Path) -> None:
    images = torch.zeros(1, 2, 2, 3)
    with pytest.raises(GraphEngineError, match="cannot be saved as 'exr' yet"):
        SaveImageAdvanced().save(images, "x", {"format": "exr"}, context(tmp_path))
    deep = {"format": "png", "bit_depth": "16-bit"}
    with pytest.raises(GraphEngineError, match=r"shape \(1, 2, 2, 2\), which is no picture"):
        SaveImageAdvanced().save(torch.zeros(1, 2, 2, 2), "x", deep, context(tmp_path))
    with pytest.raises(FileRefused, match="leads out of the output folder"):
        SaveImageAdvanced().save(images, "../x", deep, context(tmp_path))


def test_pictures_to_compare_are_shown_by_side(tmp_path: Path) -> None:
    answer = ImageCompare().compare(context(tmp_path), image_a=torch.zeros(2, 3, 3, 3))
    assert answer["ui"]["b_images"] == []
    names = [file["filename"] for file in answer["ui"]["a_images"]]
    assert len(names) == 2
    assert all(name.startswith("comfy.compare.a_") for name in names)
    assert {path.name for path in (tmp_path / "temp").iterdir()} == {*names}


def test_a_drawing_carries_its_workflow() -> None:
    drawing = b'<?xml version="1.0"?><svg width="4">\n<rect/></svg>'
    result = with_workflow(drawing, {"prompt": {"text": "a ]]> b"}})
    start = b'<?xml version="1.0"?><svg width="4"><metadata><![CDATA['
    assert result.startswith(start)
    held, rest = result.removeprefix(start).split(b"]]></metadata>")
    assert json.loads(held) == {"prompt": {"text": "a ]]> b"}}
    assert rest == b"\n<rect/></svg>"


@pytest.mark.parametrize("drawing", [b"<svg/>", b"no drawing", b""])
def test_what_has_no_place_for_it_stays_as_it_is(drawing: bytes) -> None:
    assert with_workflow(drawing, {"prompt": {}}) == drawing


def test_drawings_are_saved_by_number(tmp_path: Path) -> None:
    svg = SimpleNamespace(data=[BytesIO(b"<svg></svg>"), BytesIO(b"<svg>2</svg>")])
    answer = SaveSVGNode().save_svg(svg, context(tmp_path))
    assert [file["filename"] for file in answer["ui"]["images"]] == ["ComfyUI_00001_.svg", "ComfyUI_00002_.svg"]
    assert (tmp_path / "output" / "svg" / "ComfyUI_00002_.svg").read_bytes() == b"<svg>2</svg>"
    with pytest.raises(GraphEngineError, match="input 'svg' is str, which is no drawing"):
        SaveSVGNode().save_svg("text", context(tmp_path))
