import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from graphengine.node.api import FileRefused, GraphEngineError, NodeContext
from graphengine.node.folders import Folders
from graphengine_comfy._v3.node import ComfyNode
from graphengine_comfy._v3.schema import HiddenValues
from graphengine_comfy.comfy_api.latest import ui

Called = Callable[[NodeContext], AbstractContextManager[None]]

WORKFLOW = {"prompt": {"1": {"class_type": "Save"}}, "extra_pnginfo": {"workflow": {"nodes": []}}}


class Saves(ComfyNode):
    """A node in the middle of a call."""

    hidden = HiddenValues(WORKFLOW)


@pytest.fixture
def context(tmp_path: Path) -> NodeContext:
    return NodeContext("1", Folders(output=tmp_path / "output", temp=tmp_path / "temp"))


def pictures(count: int) -> torch.Tensor:
    """Pictures of 6 by 4 pixels, each lighter than the one before."""
    return torch.stack([torch.full((4, 6, 3), index / count) for index in range(count)])


def test_previews_go_to_the_temporary_folder_with_the_workflow_inside(
    context: NodeContext, called: Called, tmp_path: Path
) -> None:
    with called(context):
        shown = ui.PreviewImage(pictures(2), cls=Saves).as_dict()
    assert [image["type"] for image in shown["images"]] == ["temp", "temp"]
    assert shown["animated"] == [False]
    with Image.open(tmp_path / "temp" / shown["images"][0]["filename"]) as image:
        assert image.size == (6, 4)
        texts = image.info
    assert json.loads(texts["prompt"]) == WORKFLOW["prompt"]
    assert json.loads(texts["workflow"]) == {"nodes": []}


def test_a_mask_is_shown_as_a_grey_picture(context: NodeContext, called: Called, tmp_path: Path) -> None:
    with called(context):
        (result,) = ui.PreviewMask(torch.ones(1, 4, 6)).as_dict()["images"]
    with Image.open(tmp_path / "temp" / result["filename"]) as image:
        assert (image.mode, image.getpixel((5, 3))) == ("RGB", (255, 255, 255))


def test_saved_pictures_are_numbered_below_the_output_folder(
    context: NodeContext, called: Called, tmp_path: Path
) -> None:
    with called(context):
        shown = ui.ImageSaveHelper.get_save_images_ui(pictures(2), "dogs/%width%", Saves).as_dict()
    assert shown == {
        "images": [
            {"filename": "6_00001_.png", "subfolder": "dogs", "type": "output"},
            {"filename": "6_00002_.png", "subfolder": "dogs", "type": "output"},
        ]
    }
    assert (tmp_path / "output" / "dogs" / "6_00002_.png").is_file()


def _animations() -> list[Any]:
    return [
        pytest.param(
            lambda: ui.ImageSaveHelper.get_save_animated_png_ui(pictures(3), "a", Saves, fps=10), id="png"
        ),
        pytest.param(
            lambda: ui.ImageSaveHelper.get_save_animated_webp_ui(pictures(3), "a", Saves, 10, True, 80, 4),
            id="webp",
        ),
    ]


@pytest.mark.parametrize("save", _animations())
def test_an_animation_holds_all_pictures_and_the_workflow(
    context: NodeContext, called: Called, tmp_path: Path, save: Callable[[], ui.SavedImages]
) -> None:
    with called(context):
        shown = save().as_dict()
    assert shown["animated"] == [True]
    path = tmp_path / "output" / shown["images"][0]["filename"]
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 3
    content = path.read_bytes()
    assert b'{"1": {"class_type": "Save"}}' in content
    assert b'{"nodes": []}' in content


@pytest.mark.parametrize("format", ["flac", "mp3", "opus"])
def test_sound_is_written_so_that_it_can_be_read(
    context: NodeContext, called: Called, tmp_path: Path, format: str
) -> None:
    tone = torch.sin(torch.arange(48000) / 20).repeat(1, 2, 1)
    with called(context):
        shown = ui.AudioSaveHelper.get_save_audio_ui(
            {"waveform": tone, "sample_rate": 48000}, "tone", Saves, format
        ).as_dict()
    assert shown["audio"] == [{"filename": f"tone_00001_.{format}", "subfolder": "", "type": "output"}]
    with av.open(tmp_path / "output" / f"tone_00001_.{format}") as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        assert container.streams.audio[0].channels == 2
    assert 0.9 < sum(frame.shape[-1] for frame in frames) / (48000 * (2 if frames[0].shape[0] == 1 else 1)) < 1.1
    assert np.abs(np.concatenate(frames, axis=-1)).max() > 0


def test_a_sound_preview_is_a_flac_file_in_the_temporary_folder(context: NodeContext, called: Called) -> None:
    with called(context):
        (result,) = ui.PreviewAudio({"waveform": torch.zeros(1, 1, 4800), "sample_rate": 44100}).as_dict()["audio"]
    assert (result.type, Path(result.filename).suffix, result.subfolder) == (ui.FolderType.temp, ".flac", "")


def test_an_unknown_sound_format_is_refused() -> None:
    with pytest.raises(GraphEngineError, match="no sound format 'wav'"):
        ui.AudioSaveHelper.get_save_audio_ui({}, "tone", None, "wav")


def test_files_cannot_leave_their_folder(context: NodeContext, called: Called) -> None:
    with called(context), pytest.raises(FileRefused, match="leads out of the output folder"):
        ui.ImageSaveHelper.get_save_images_ui(pictures(1), "../outside", None)


def test_files_are_written_by_nodes_only() -> None:
    with pytest.raises(GraphEngineError, match="no node is being called"):
        ui.PreviewImage(pictures(1))


def test_an_animation_of_nothing_is_refused(context: NodeContext, called: Called) -> None:
    with called(context), pytest.raises(GraphEngineError, match="no picture to write"):
        ui.ImageSaveHelper.get_save_animated_png_ui(pictures(1)[:0], "a", None, fps=10)


def test_texts_videos_and_models_are_shown_as_they_are() -> None:
    video = ui.SavedResult("v.mp4", "clips", ui.FolderType.output)
    assert ui.PreviewText("hello").as_dict() == {"text": ["hello"]}
    assert ui.PreviewVideo([video]).as_dict() == {
        "images": [{"filename": "v.mp4", "subfolder": "clips", "type": "output"}],
        "animated": [True],
    }
    assert ui.PreviewUI3D("mesh.glb", {"zoom": 2}).as_dict() == {"result": ["mesh.glb", {"zoom": 2}]}
