import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from graphengine.node.api import FileRefused, GraphEngineError, NodeContext, RunCancelled, current_context
from graphengine.node.folders import Folders
from graphengine_nodes.audio.values import Audio
from graphengine_nodes.video import decoding
from graphengine_nodes.video.encoding import encode_webm, repacked
from graphengine_nodes.video.nodes import (
    CreateVideo,
    GetVideoComponents,
    LoadVideo,
    LTXVPreprocess,
    SaveVideo,
    SaveWEBM,
)


def frames(count: int = 5, height: int = 16, width: int = 32) -> Tensor:
    """Grey frames from dark to bright."""
    return torch.linspace(0.2, 0.8, count).reshape(-1, 1, 1, 1).repeat(1, height, width, 3)


def brightness(images: Tensor) -> Tensor:
    """The mean of each frame."""
    return images.mean(dim=(1, 2, 3))


@pytest.fixture
def context(folders: Folders) -> NodeContext:
    """A context with empty folders."""
    return NodeContext(folders=folders)


def saved(context: NodeContext, images: Tensor, fps: float = 8.0, audio: Audio | None = None) -> str:
    """The name under which a video of the pictures can be loaded."""
    (video,) = CreateVideo().make(images, fps, audio)
    shown = SaveVideo().save(video, "film", "auto", "auto", context)
    return f"{shown['ui']['images'][0]['filename']} [output]"


def test_pictures_and_sound_come_back_from_a_file(context: NodeContext) -> None:
    tone = 0.5 * torch.sin(torch.arange(32000) / 10).repeat(1, 2, 1)
    name = saved(context, frames(), 12.5, Audio(waveform=tone, sample_rate=16000))
    (video,) = LoadVideo().load(name, context)
    images, audio, fps = GetVideoComponents().take_apart(video)
    assert (images.shape, fps) == ((5, 16, 32, 3), 12.5)
    assert torch.allclose(brightness(images), brightness(frames()), atol=0.02)
    assert audio is not None
    assert audio["sample_rate"] == 16000
    # 5 frames at 12.5 a second: the sound of 2 seconds was cut to 0.4, and a frame of the codec.
    assert 6400 <= audio["waveform"].shape[2] < 6400 + 3 * 1024


def test_a_video_without_sound_has_none(context: NodeContext) -> None:
    (video,) = LoadVideo().load(saved(context, frames()), context)
    assert GetVideoComponents().take_apart(video)[1] is None


@pytest.mark.parametrize("size", [(17, 33), (2, 2), (1, 1)])
def test_odd_sides_are_kept(context: NodeContext, size: tuple[int, int]) -> None:
    (video,) = LoadVideo().load(saved(context, frames(3, *size)), context)
    assert GetVideoComponents().take_apart(video)[0].shape == (3, *size, 3)


def test_a_video_is_shown_and_carries_its_workflow(context: NodeContext) -> None:
    (video,) = CreateVideo().make(frames(), 8.0)
    shown = SaveVideo().save(
        video, "v/%width%x%height%", "mp4", "h264", context, prompt={"1": {}}, extra_pnginfo={"workflow": {"a": 1}}
    )
    file = {"filename": "32x16_00001_.mp4", "subfolder": "v", "type": "output"}
    assert shown == {"ui": {"images": [file], "animated": (True,)}}
    with av.open(str(context.folders.output / "v" / "32x16_00001_.mp4")) as container:
        assert json.loads(container.metadata["prompt"]) == {"1": {}}
        assert json.loads(container.metadata["workflow"]) == {"a": 1}


def test_a_loaded_video_gets_another_workflow_without_new_encoding(context: NodeContext) -> None:
    (video,) = LoadVideo().load(saved(context, frames()), context)
    shown = SaveVideo().save(video, "again", "auto", "auto", context, prompt={"2": {}})
    first, second = (
        packets(context.folders.output / name)
        for name in ("film_00001_.mp4", shown["ui"]["images"][0]["filename"])
    )
    assert first == second
    with av.open(str(context.folders.output / "again_00001_.mp4")) as container:
        assert json.loads(container.metadata["prompt"]) == {"2": {}}


def packets(path: Path) -> list[bytes]:
    """The encoded frames of a file."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0)]


def test_what_mp4_cannot_hold_is_encoded_anew(context: NodeContext) -> None:
    path = context.folders.input[0] / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("huffyuv", rate=4)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv422p"
        pixels = np.full((16, 32, 3), 128, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    assert repacked(str(path), "auto", None) is None
    (video,) = LoadVideo().load("a.avi", context)
    SaveVideo().save(video, "b", "mp4", "h264", context, prompt={})
    with av.open(str(context.folders.output / "b_00001_.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"


@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_a_webm_file_holds_the_frames(context: NodeContext, codec: str) -> None:
    images = frames(4, 64, 64)
    shown = SaveWEBM().save(images, "w", codec, 10.0, 10.0, context, prompt={"1": {}})
    (file,) = shown["ui"]["images"]
    (video,) = LoadVideo().load(f"{file['filename']} [output]", context)
    read, audio, fps = GetVideoComponents().take_apart(video)
    assert (read.shape, audio, fps) == ((4, 64, 64, 3), None, 10.0)
    assert torch.allclose(brightness(read), brightness(images), atol=0.02)
    with av.open(str(context.folders.output / file["filename"])) as container:
        assert {"1": {}} in [json.loads(text) for name, text in container.metadata.items() if name == "PROMPT"]


def test_compression_leaves_its_traces_and_cuts_odd_sides() -> None:
    noise = torch.rand(2, 33, 64, 3, generator=torch.Generator().manual_seed(1))
    slight, strong = (LTXVPreprocess().compress(noise, crf)[0] for crf in (5, 45))
    assert slight.shape == strong.shape == (2, 32, 64, 3)
    differences = [(image - noise[:, :32]).abs().mean().item() for image in (slight, strong)]
    assert differences[0] < differences[1]
    assert LTXVPreprocess().compress(noise, 0)[0] is noise
    assert LTXVPreprocess().compress(noise, 100)[0].shape == (2, 32, 64, 3)


# What is no video


def test_what_is_no_video_is_refused_where_it_is_loaded(context: NodeContext) -> None:
    folder = context.folders.input[0]
    (folder / "text.mp4").write_bytes(b"nothing")
    with pytest.raises(FileRefused, match=r"file 'text\.mp4' cannot be read as a video"):
        LoadVideo().load("text.mp4", context)
    with pytest.raises(FileRefused, match="leads out of its folder"):
        LoadVideo().load("../secret.mp4", context)


def test_a_file_that_ends_early_is_refused_or_gives_its_start(context: NodeContext) -> None:
    name = saved(context, frames(20))
    whole = (context.folders.output / name.removesuffix(" [output]")).read_bytes()
    (context.folders.input[0] / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileRefused, match=r"file 'cut\.mp4'"):
        LoadVideo().load("cut.mp4", context)


def test_a_video_that_is_too_large_is_refused(context: NodeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    (video,) = LoadVideo().load(saved(context, frames()), context)
    monkeypatch.setattr(decoding, "MAX_PIXELS", 4 * 16 * 32)
    with pytest.raises(FileRefused, match="is too large"):
        GetVideoComponents().take_apart(video)


def test_wrong_choices_and_empty_batches_are_refused(context: NodeContext) -> None:
    with pytest.raises(GraphEngineError, match="'codec': no codec 'gif'"):
        encode_webm(frames(), "gif", 5.0, 30.0, None)
    with pytest.raises(GraphEngineError, match=r"input 'images' has the shape \(0, 16, 32, 3\)"):
        SaveWEBM().save(frames(0), "w", "vp9", 5.0, 30.0, context)
    with pytest.raises(GraphEngineError, match=r"input 'images' has the shape \(0, 16, 32, 3\)"):
        saved(context, frames(0))
    with pytest.raises(GraphEngineError, match="2 pictures of 1 x 1 pixels cannot be encoded"):
        SaveWEBM().save(frames(2, 1, 1), "w", "av1", 5.0, 30.0, context)
    assert not list(context.folders.output.iterdir())
    with pytest.raises(GraphEngineError, match="pictures of 1 x 1 pixels cannot be compressed"):
        LTXVPreprocess().compress(frames(1, 1, 1), 30)


def test_a_rate_is_a_fraction(context: NodeContext) -> None:
    (video,) = CreateVideo().make(frames(2), 23.976)
    assert video.get_frame_rate() == Fraction(23.976)
    (read,) = LoadVideo().load(saved(context, frames(3), 23.976), context)
    assert float(read.get_frame_rate()) == pytest.approx(23.976, abs=1e-3)


def test_writing_and_reading_stop_when_the_run_is_to_stop(context: NodeContext) -> None:
    (video,) = LoadVideo().load(saved(context, frames()), context)
    asked = iter([False, False, True, False, True])
    token = current_context.set(NodeContext(is_cancelled=lambda: next(asked)))
    try:
        with pytest.raises(RunCancelled):
            saved(context, frames())
        with pytest.raises(RunCancelled):
            GetVideoComponents().take_apart(video)
    finally:
        current_context.reset(token)
    assert next(asked, None) is None
