import wave
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import pytest
import torch

from graphengine.node.api import GraphEngineError
from graphengine_comfy.comfy_api.input import AudioInput, VideoInput
from graphengine_comfy.comfy_api.latest import Input, InputImpl, Types


def film(width: int = 32, height: int = 16, *, sound: bool = True) -> Types.VideoComponents:
    """Ten frames at 5 a second, from black to white, with a tone."""
    images = torch.linspace(0, 1, 10).reshape(10, 1, 1, 1).expand(10, height, width, 3)
    tone = 0.5 * torch.sin(torch.arange(32000) / 10).repeat(1, 2, 1)
    audio = AudioInput(waveform=tone, sample_rate=16000) if sound else None
    return Types.VideoComponents(images, Fraction(5), audio)


@pytest.mark.parametrize(("width", "height"), [(32, 16), (33, 17)])
def test_what_is_written_is_read(tmp_path: Path, width: int, height: int) -> None:
    path = str(tmp_path / "film.mp4")
    InputImpl.VideoFromComponents(film(width, height)).save_to(path, metadata={"prompt": {"1": {}}})
    video = InputImpl.VideoFromFile(path)
    read = video.get_components()
    assert (video.get_dimensions(), video.get_frame_count()) == ((width, height), 10)
    assert video.get_frame_rate() == Fraction(5)
    assert video.get_duration() == 2.0
    assert torch.allclose(read.images.mean((1, 2, 3)), torch.linspace(0, 1, 10), atol=0.03)
    assert read.audio is not None
    assert read.audio["sample_rate"] == 16000
    assert read.audio["waveform"].shape[:2] == (1, 2)
    assert abs(read.audio["waveform"].shape[2] - 32000) < 3000
    assert 0.3 < float(read.audio["waveform"].abs().max()) < 0.8
    assert read.metadata is not None
    assert read.metadata["prompt"] == '{"1": {}}'
    assert [entry.name for entry in tmp_path.iterdir()] == ["film.mp4"]


def test_a_video_without_sound_has_none() -> None:
    source = InputImpl.VideoFromComponents(film(sound=False)).get_stream_source()
    assert isinstance(source, BytesIO)
    video = InputImpl.VideoFromFile(source)
    assert video.get_components().audio is None
    assert "mp4" in video.get_container_format()


def test_a_file_is_copied_as_it_is_unless_something_else_is_asked_for(tmp_path: Path) -> None:
    first, second, third = (str(tmp_path / f"{name}.mp4") for name in "abc")
    InputImpl.VideoFromComponents(film()).save_to(first)
    InputImpl.VideoFromFile(first).save_to(second)
    InputImpl.VideoFromFile(first).save_to(third, metadata={"title": "again"})
    assert Path(second).read_bytes() == Path(first).read_bytes()
    copied = InputImpl.VideoFromFile(third).get_components()
    assert copied.metadata is not None
    assert (copied.metadata["title"], len(copied.images)) == ("again", 10)


def test_a_file_without_frames_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "sound.wav")
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, 8000, 4, "NONE", ""))
        file.writeframes(bytes(8))
    with pytest.raises(GraphEngineError, match="holds no video"):
        InputImpl.VideoFromFile(path).get_components()


def test_annotations_name_the_classes() -> None:
    assert Input.Video is VideoInput
    assert Types.VideoCodec.as_input() == ["auto", "h264"]
    assert Types.VideoContainer.get_extension("auto") == "mp4"
