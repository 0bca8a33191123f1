"""Sound files that schema-based nodes write; they need PyAV."""

from collections.abc import Iterable, Mapping
from typing import Any

from graphengine_comfy._v3.node import ComfyNode
from graphengine_comfy._v3.saving import SavedResult, write_files
from graphengine_comfy._v3.widgets import FolderType
from graphengine_nodes.audio.values import sound_encoder


class AudioSaveHelper:
    """Writes sound: `{"waveform": (B, channels, samples) in -1..1, "sample_rate": Hz}`."""

    # Any: an AUDIO value holds a tensor and a number.
    @staticmethod
    def save_audio(
        audio: Mapping[str, Any],
        filename_prefix: str,
        folder_type: FolderType,
        cls: type[ComfyNode] | None,
        format: str = "flac",
        quality: str = "128k",
    ) -> list[SavedResult]:
        """Each item as a file: "flac", or "mp3" and "opus" with `quality` bits a second ("V0" too for "mp3").

        Raises:
            FileRefused: the prefix leads out of the folder.
            GraphEngineError: no node is being called, PyAV is not installed, the format is not known, or the files
                cannot be written.
        """
        sound_encoder(format)  # refuses others before anything else is asked for
        return write_files(filename_prefix, folder_type, f".{format}", _encoded(audio, format, quality))


# Any: an AUDIO value holds a tensor and a number.
def _encoded(audio: Mapping[str, Any], format: str, quality: str) -> Iterable[bytes]:
    from graphengine_nodes.audio.writing import encode_sound  # brings torch

    for waveform in audio["waveform"]:
        yield encode_sound(waveform, int(audio["sample_rate"]), format, quality, {})
