import pytest
import torch
from PIL import Image

from graphengine.node.api import FileRefused, GraphEngineError, NodeContext
from graphengine.node.folders import Folders
from graphengine.workflow.formats import read_document
from graphengine_nodes.image.animation_nodes import SaveAnimatedPNG, SaveAnimatedWEBP
from graphengine_nodes.image.animations import encode_apng, encode_webp
from graphengine_nodes.image.reading import read_image

FRAMES = torch.tensor([0.0, 0.4, 1.0]).reshape(3, 1, 1, 1).repeat(1, 4, 6, 3)
PROMPT = {"1": {"class_type": "EmptyImage", "inputs": {}}}
WORKFLOW = {"nodes": [], "links": [], "version": 0.4}


@pytest.fixture
def context(folders: Folders) -> NodeContext:
    """A context with empty folders."""
    return NodeContext(folders=folders)


@pytest.mark.parametrize("count", [1, 3])
def test_frames_come_back_from_both_formats(context: NodeContext, count: int) -> None:
    frames = FRAMES[:count]
    webp = SaveAnimatedWEBP().save(
        images=frames, filename_prefix="a", fps=4.0, lossless=True, quality=80, method="fastest", context=context
    )
    png = SaveAnimatedPNG().save(images=frames, filename_prefix="a", fps=4.0, compress_level=1, context=context)
    assert [shown["ui"]["animated"] for shown in (webp, png)] == [(count != 1,), (True,)]
    for shown, name in ((webp, "a_00001_.webp"), (png, "a_00002_.png")):
        assert shown["ui"]["images"] == [{"filename": name, "subfolder": "", "type": "output"}]
        images, _ = read_image(context.folders.output / name, name)
        assert torch.allclose(images, frames, atol=1 / 255)


@pytest.mark.parametrize(("fps", "milliseconds"), [(6.0, 166), (0.01, 100000), (1000.0, 1)])
def test_a_frame_is_shown_as_long_as_the_rate_says(folders: Folders, fps: float, milliseconds: int) -> None:
    path = folders.output / "a.webp"
    path.write_bytes(encode_webp(FRAMES, fps, lossless=False, quality=50, method="default"))
    with Image.open(path) as picture:
        picture.load()
        assert picture.info["duration"] == milliseconds


def test_animations_carry_their_workflow(folders: Folders) -> None:
    extra = {"workflow": WORKFLOW}
    (folders.output / "a.webp").write_bytes(
        encode_webp(FRAMES, 5.0, lossless=True, quality=80, method="slowest", prompt=PROMPT, extra=extra)
    )
    (folders.output / "a.png").write_bytes(encode_apng(FRAMES, 5.0, 9, prompt=PROMPT, extra=extra))
    for name in ("a.webp", "a.png"):
        document = read_document(folders.output / name)
        assert document.api is not None
        assert document.ui is not None
        assert [node.class_type for node in document.api.nodes.values()] == ["EmptyImage"]


def test_transparency_is_kept(folders: Folders) -> None:
    clear = torch.cat((FRAMES, torch.full((3, 4, 6, 1), 0.2)), dim=-1)
    path = folders.output / "a.png"
    path.write_bytes(encode_apng(clear, 5.0, 4))
    assert torch.allclose(read_image(path, "a.png")[1], torch.tensor(0.8), atol=1 / 255)


def test_no_pictures_make_no_animation(context: NodeContext) -> None:
    with pytest.raises(GraphEngineError, match=r"input 'images' has the shape \(0, 4, 6, 3\)"):
        encode_apng(FRAMES[:0], 5.0, 4)
    with pytest.raises(FileRefused, match="leads out of the output folder"):
        SaveAnimatedPNG().save(images=FRAMES, filename_prefix="../a", fps=5.0, compress_level=1, context=context)
