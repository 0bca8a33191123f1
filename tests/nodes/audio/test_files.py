import json
import wave
from pathlib import Path

import av
import pytest
import torch
from torch import Tensor

from graphengine.node.api import FileRefused, GraphEngineError, NodeContext
from graphengine.node.folders import Folders
from graphengine_nodes.audio import reading
from graphengine_nodes.audio.nodes import (
    LoadAudio,
    PreviewAudio,
    SaveAudio,
    SaveAudioAdvanced,
    SaveAudioMP3,
    SaveAudioOpus,
)
from graphengine_nodes.audio.reading import read_sound
from graphengine_nodes.audio.values import Audio
from graphengine_nodes.audio.writing import encode_sound, save_sounds


def tone(channels: int = 2, samples: int = 8000, rate: int = 16000, batch: int = 1) -> Audio:
    """A sine of 440 Hz with half the greatest loudness; the second channel is half as loud."""
    sine = 0.5 * torch.sin(torch.arange(samples) * (2 * torch.pi * 440 / rate))
    loudness = 0.5 ** torch.arange(channels)[:, None]
    return Audio(waveform=(loudness * sine).repeat(batch, 1, 1), sample_rate=rate)


def write_wav(path: Path, values: list[int], width: int, channels: int = 1) -> None:
    """Whole numbers as a WAV file with so many bytes for each."""
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, 8000, 0, "NONE", ""))
        file.writeframes(b"".join(value.to_bytes(width, "little", signed=width > 1) for value in values))


@pytest.mark.parametrize(
    ("width", "values", "expected"),
    [
        (1, [0, 128, 192], [-1, 0, 0.5]),
        (2, [-32768, 0, 16384], [-1, 0, 0.5]),
        (4, [-(2**31), 0, 2**30], [-1, 0, 0.5]),
    ],
)
def test_whole_numbers_of_any_width_become_minus_one_to_one(
    tmp_path: Path, width: int, values: list[int], expected: list[float]
) -> None:
    write_wav(tmp_path / "a.wav", values, width)
    sound = read_sound(tmp_path / "a.wav", "a.wav")
    assert sound["sample_rate"] == 8000
    assert sound["waveform"].tolist() == [[expected]]
    assert sound["waveform"].dtype == torch.float32


def test_channels_are_taken_apart(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", [16384, -16384, 8192, -8192], 2, channels=2)
    assert read_sound(tmp_path / "a.wav", "a.wav")["waveform"].tolist() == [[[0.5, 0.25], [-0.5, -0.25]]]


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_flac_keeps_sixteen_bits(tmp_path: Path, channels: int) -> None:
    sound = tone(channels)
    (tmp_path / "a.flac").write_bytes(encode_sound(sound["waveform"][0], 16000, "flac", "", {}))
    read = read_sound(tmp_path / "a.flac", "a.flac")
    assert read["sample_rate"] == 16000
    assert torch.allclose(read["waveform"], sound["waveform"], atol=2 / 32768)


@pytest.mark.parametrize(
    ("form", "quality", "rate"), [("mp3", "V0", 16000), ("mp3", "128k", 16000), ("opus", "96k", 44100)]
)
def test_compressed_sound_is_about_the_same(tmp_path: Path, form: str, quality: str, rate: int) -> None:
    sound = tone(samples=rate, rate=rate)
    path = tmp_path / f"a.{form}"
    path.write_bytes(encode_sound(sound["waveform"][0], rate, form, quality, {}))
    read = read_sound(path, path.name)
    assert read["sample_rate"] == (48000 if form == "opus" else rate)
    assert abs(read["waveform"].shape[2] / read["sample_rate"] - 1) < 0.2
    assert loudness(read["waveform"]) == pytest.approx(loudness(sound["waveform"]), rel=0.1)


def loudness(waveform: Tensor) -> list[float]:
    """The root mean square of each channel, without the ends."""
    length = waveform.shape[2]
    values: list[float] = waveform[0, :, length // 4 : length // 2].square().mean(dim=1).sqrt().tolist()
    return values


def test_every_item_becomes_a_file_that_carries_its_workflow(folders: Folders) -> None:
    shown = SaveAudio().save(
        audio=tone(batch=2),
        filename_prefix="music/a",
        context=NodeContext(folders=folders),
        prompt={"1": {"class_type": "A"}},
        extra_pnginfo={"workflow": {"nodes": []}},
    )
    assert shown["ui"]["audio"] == [
        {"filename": "a_00001_.flac", "subfolder": "music", "type": "output"},
        {"filename": "a_00002_.flac", "subfolder": "music", "type": "output"},
    ]
    with av.open(str(folders.output / "music" / "a_00002_.flac")) as file:
        texts = {name.lower(): text for name, text in file.metadata.items()}
    assert json.loads(texts["prompt"]) == {"1": {"class_type": "A"}}
    assert json.loads(texts["workflow"]) == {"nodes": []}


@pytest.mark.parametrize("chosen", [{"format": "flac"}, {"format": "mp3", "quality": "V0"}])
def test_one_node_saves_in_every_format_and_hands_the_sound_on(folders: Folders, chosen: dict[str, str]) -> None:
    sound = tone()
    answer = SaveAudioAdvanced().save(sound, "audio/x", chosen, NodeContext(folders=folders))
    assert answer["result"] == (sound,)
    name = f"x_00001_.{chosen['format']}"
    assert answer["ui"] == {"audio": [{"filename": name, "subfolder": "audio", "type": "output"}]}
    assert (folders.output / "audio" / name).stat().st_size > 100


def test_a_saved_sound_is_loaded(folders: Folders) -> None:
    context = NodeContext(folders=folders)
    SaveAudioMP3().save(audio=tone(), filename_prefix="a", quality="320k", context=context)
    SaveAudioOpus().save(audio=tone(), filename_prefix="a", quality="64k", context=context)
    shown = PreviewAudio().save(audio=tone(), context=context)
    temporary = shown["ui"]["audio"][0]
    assert temporary["type"] == "temp"
    for name in ("a_00001_.mp3 [output]", "a_00002_.opus [output]", f"{temporary['filename']} [temp]"):
        (sound,) = LoadAudio().load(audio=name, context=context)
        assert sound["waveform"].shape[:2] == (1, 2)


# What is no sound


def test_damaged_files_and_files_without_sound_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.wav").write_bytes(b"no sound at all")
    with pytest.raises(FileRefused, match=r"file 'text\.wav' cannot be read as sound"):
        read_sound(tmp_path / "text.wav", "text.wav")
    write_wav(tmp_path / "empty.wav", [], 2)
    with pytest.raises(FileRefused, match=r"file 'empty\.wav'"):
        read_sound(tmp_path / "empty.wav", "empty.wav")
    write_wav(tmp_path / "long.wav", [0] * 100, 2)
    monkeypatch.setattr(reading, "MAX_SAMPLES", 99)
    with pytest.raises(FileRefused, match=r"file 'long\.wav' has too much sound"):
        read_sound(tmp_path / "long.wav", "long.wav")


def test_a_picture_has_no_sound(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(FileRefused, match=r"file 'a\.png' holds no sound"):
        read_sound(tmp_path / "a.png", "a.png")


@pytest.mark.parametrize("shape", [(3, 10), (1, 0)])
def test_a_sound_that_cannot_be_written_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(GraphEngineError, match=rf"input 'audio': a sound with {shape[0]} channels and {shape[1]}"):
        encode_sound(torch.zeros(shape), 8000, "flac", "", {})


def test_a_rate_that_a_format_does_not_know_is_refused() -> None:
    with pytest.raises(GraphEngineError, match="a sound of 96000 Hz with 1 channels has no mp3 file"):
        encode_sound(torch.zeros(1, 96000), 96000, "mp3", "V0", {})


def test_an_unknown_format_and_a_prefix_that_leads_out_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphEngineError, match="no sound format 'wma'"):
        encode_sound(torch.zeros(1, 4), 8000, "wma", "", {})
    with pytest.raises(FileRefused, match="leads out of the output folder"):
        save_sounds(tone(), tmp_path, "../a")
