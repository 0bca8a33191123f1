"""Parts of sounds and videos, by seconds."""

from fractions import Fraction

import pytest
import torch

from graphengine.errors import GraphEngineError
from graphengine_nodes.audio.nodes import TrimAudioDuration
from graphengine_nodes.audio.values import Audio
from graphengine_nodes.video.nodes import VideoSlice
from graphengine_nodes.video.values import VideoComponents, VideoFromComponents

SOUND: Audio = {"waveform": torch.arange(100.0).expand(1, 2, 100), "sample_rate": 10}


def video(sound: Audio | None = SOUND) -> VideoFromComponents:
    """Ten seconds of two frames each."""
    frames = torch.arange(20.0).reshape(20, 1, 1, 1).expand(20, 2, 3, 3) / 20
    return VideoFromComponents(VideoComponents(frames, Fraction(2), sound))


@pytest.mark.parametrize(
    ("start", "duration", "first", "count"),
    [(0.0, 60.0, 0, 100), (2.5, 3.0, 25, 30), (-2.0, 1.0, 80, 10), (9.0, 5.0, 90, 10), (-20.0, 15.0, 0, 50)],
)
def test_a_sound_is_cut_at_its_samples(start: float, duration: float, first: int, count: int) -> None:
    (part,) = TrimAudioDuration().trim(SOUND, start, duration)
    assert part["waveform"].shape == (1, 2, count)
    assert part["waveform"][0, 0, 0] == first
    assert part["sample_rate"] == 10


@pytest.mark.parametrize(("start", "duration"), [(10.0, 1.0), (0.0, 0.0), (-20.0, 5.0)])
def test_nothing_left_of_a_sound_is_an_error(start: float, duration: float) -> None:
    with pytest.raises(GraphEngineError, match="nothing is left of a sound of 10 s"):
        TrimAudioDuration().trim(SOUND, start, duration)


@pytest.mark.parametrize(
    ("start", "duration", "first", "count"),
    [
        (0.0, 0.0, 0, 20),
        (1.0, 2.0, 2, 4),
        (8.0, 0.0, 16, 4),
        (-1.5, 0.0, 17, 3),
        (9.0, 30.0, 18, 2),
        (0.2, 0.1, 0, 1),
    ],
)
def test_a_video_is_cut_with_its_sound(start: float, duration: float, first: int, count: int) -> None:
    (part,) = VideoSlice().cut(video(), start, duration, False)
    made = part.get_components()
    assert made.images[:, 0, 0, 0].tolist() == pytest.approx([frame / 20 for frame in range(first, first + count)])
    assert made.audio is not None
    assert made.audio["waveform"][0, 0].tolist() == [*range(5 * first, 5 * (first + count))]


def test_a_video_may_have_no_sound_there() -> None:
    short: Audio = {"waveform": torch.zeros(1, 1, 10), "sample_rate": 10}
    assert VideoSlice().cut(video(short), 5.0, 1.0, False)[0].get_components().audio is None
    assert VideoSlice().cut(video(None), 5.0, 1.0, False)[0].get_components().audio is None


@pytest.mark.parametrize(("start", "duration", "strict"), [(10.0, 1.0, False), (8.0, 5.0, True)])
def test_what_the_video_does_not_have_is_an_error(start: float, duration: float, strict: bool) -> None:
    with pytest.raises(GraphEngineError, match=f"a video of 10 s cannot be cut from {start:g} s on"):
        VideoSlice().cut(video(), start, duration, strict)
    assert len(VideoSlice().cut(video(), 8.0, 2.0, True)[0].get_components().images) == 4
