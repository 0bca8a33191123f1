from pathlib import Path

import pytest
import torch
from PIL import Image

from graphengine.errors import FileRefused
from graphengine.node.api import NodeContext
from graphengine.node.folders import Folders
from graphengine_nodes.image import NODE_CLASS_MAPPINGS
from graphengine_nodes.image.nodes import (
    ImageScale,
    ImageScaleBy,
    LoadImage,
    LoadImageMask,
    LoadImageOutput,
    PreviewImage,
    SaveImage,
)


@pytest.fixture
def context(folders: Folders) -> NodeContext:
    """A context whose input folder holds a red and half transparent picture."""
    Image.new("RGBA", (2, 1), (255, 0, 0, 51)).save(folders.input[0] / "red.png")
    return NodeContext(folders=folders)


def test_a_picture_of_the_input_folder_is_loaded(context: NodeContext) -> None:
    image, mask = LoadImage().load(image="red.png", context=context)
    assert image.tolist() == [[[[1, 0, 0], [1, 0, 0]]]]
    assert mask.tolist() == [[[pytest.approx(0.8), pytest.approx(0.8)]]]


def test_a_channel_of_a_picture_is_loaded(context: NodeContext) -> None:
    assert LoadImageMask().load(image="red.png", channel="red", context=context)[0].tolist() == [[[1, 1]]]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\x", "a/../../x", "C:\\x.png", "", "a\0b"]
)
def test_a_name_that_leads_out_of_the_input_folder_is_refused(context: NodeContext, name: str) -> None:
    with pytest.raises(FileRefused, match="leads out of its folder"):
        LoadImage().load(image=name, context=context)
    with pytest.raises(FileRefused, match="leads out of its folder"):
        LoadImageMask().load(image=name, channel="red", context=context)


def test_a_link_that_leads_out_of_the_input_folder_is_refused(context: NodeContext, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "private.png")
    (tmp_path / "input" / "link.png").symlink_to(tmp_path / "private.png")
    with pytest.raises(FileRefused, match=r"'link\.png' is a link that leads out"):
        LoadImage().load(image="link.png", context=context)


def test_a_missing_picture_is_refused_with_the_nearest_name(context: NodeContext) -> None:
    with pytest.raises(FileRefused, match=r"no file 'rad\.png' in the input folder") as refused:
        LoadImage().load(image="rad.png", context=context)
    assert refused.value.hint == "did you mean 'red.png'?"


def test_a_saved_picture_loads_as_it_was(context: NodeContext) -> None:
    image, _ = LoadImage().load(image="red.png", context=context)
    shown = SaveImage().save(images=image, filename_prefix="sub/x", context=context)
    assert shown == {"ui": {"images": [{"filename": "x_00001_.png", "subfolder": "sub", "type": "output"}]}}
    again, _ = LoadImage().load(image="sub/x_00001_.png [output]", context=context)
    assert torch.equal(again, image)


def test_a_picture_of_the_output_folder_is_loaded(context: NodeContext) -> None:
    SaveImage().save(images=torch.ones(1, 1, 1, 3), filename_prefix="x", context=context)
    image, _ = LoadImageOutput().load(image="x_00001_.png [output]", context=context)
    assert image.tolist() == [[[[1, 1, 1]]]]


def test_a_preview_goes_to_the_temporary_folder_under_a_new_name_each_time(context: NodeContext) -> None:
    names = set()
    for _ in range(2):
        shown = PreviewImage().save(images=torch.zeros(1, 1, 1, 3), context=context)
        (file,) = shown["ui"]["images"]
        assert (file["subfolder"], file["type"]) == ("", "temp")
        names.add(file["filename"])
    assert {path.name for path in context.folders.temp.iterdir()} == names
    assert len(names) == 2


def test_pictures_are_scaled(context: NodeContext) -> None:
    image, _ = LoadImage().load(image="red.png", context=context)
    (scaled,) = ImageScale().scale(image=image, upscale_method="area", width=4, height=0, crop="disabled")
    (larger,) = ImageScaleBy().scale(image=image, upscale_method="area", scale_by=2.0)
    assert scaled.tolist() == larger.tolist() == [[[[1, 0, 0]] * 4] * 2]


def test_output_nodes_say_so() -> None:
    outputs = {name for name, node in NODE_CLASS_MAPPINGS.items() if getattr(node, "OUTPUT_NODE", False)}
    assert outputs == {
        "SaveImage",
        "PreviewImage",
        "SaveAnimatedWEBP",
        "SaveAnimatedPNG",
        "SaveImageAdvanced",
        "ImageCompare",
        "SaveSVGNode",
    }
