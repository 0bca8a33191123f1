"""The sound nodes: thin classes over `reading` and `writing`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_hex
from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from .values import Audio

#: What the editor offers as sound; any other file of the input folder may still be named.
SOUND_SUFFIXES = (
    *(".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".weba"),
    *(".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"),
)

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class LoadAudio:
    """The sound of a file of the input folder."""

    CATEGORY = "audio"
    RETURN_TYPES = ("AUDIO",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "audio": (Files("input", SOUND_SUFFIXES), {"audio_upload": True}),
            },
            "hidden": {
                "context": CONTEXT,
            },
        }

    def load(self, audio: str, context: NodeContext) -> tuple[Audio]:
        """AUDIO (1, channels, samples)."""
        from .reading import read_sound  # brings torch

        return (read_sound(context.folders.path("input", audio), audio),)


class SaveAudio:
    """Sounds as FLAC files in the output folder."""

    CATEGORY = "audio"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "audio": ("AUDIO",),
                "filename_prefix": ("STRING", {"default": "audio/ComfyUI"}),
            },
            "hidden": {
                "prompt": "PROMPT",
                "extra_pnginfo": "EXTRA_PNGINFO",
                "context": CONTEXT,
            },
        }

    def save(
        self,
        audio: Audio,
        filename_prefix: str,
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The names of the files, for the editor to show."""
        from .writing import save_sounds  # brings torch

        files = save_sounds(
            audio,
            context.folders.output,
            filename_prefix,
            "flac",
            prompt=prompt,
            extra=extra_pnginfo,
            between=context.check_cancelled,
        )
        return {"ui": {"audio": [{**file, "type": "output"} for file in files]}}


class _SaveCompressed:
    """Sounds as files of a compressed `FORM` in the output folder, in one of its `QUALITIES`."""

    CATEGORY = "audio"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True
    FORM: ClassVar[str]
    QUALITIES: ClassVar[list[str]]
    QUALITY: ClassVar[str]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "audio": ("AUDIO",),
                "filename_prefix": ("STRING", {"default": "audio/ComfyUI"}),
                "quality": (cls.QUALITIES, {"default": cls.QUALITY}),
            },
            "hidden": {
                "prompt": "PROMPT",
                "extra_pnginfo": "EXTRA_PNGINFO",
                "context": CONTEXT,
            },
        }

    def save(
        self,
        audio: Audio,
        filename_prefix: str,
        quality: str,
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The names of the files, for the editor to show."""
        from .writing import save_sounds  # brings torch

        files = save_sounds(
            audio,
            context.folders.output,
            filename_prefix,
            self.FORM,
            quality,
            prompt=prompt,
            extra=extra_pnginfo,
            between=context.check_cancelled,
        )
        return {"ui": {"audio": [{**file, "type": "output"} for file in files]}}


class SaveAudioMP3(_SaveCompressed):
    """Sounds as MP3 files in the output folder."""

    FORM = "mp3"
    QUALITIES: ClassVar[list[str]] = ["V0", "128k", "320k"]
    QUALITY = "V0"


class SaveAudioOpus(_SaveCompressed):
    """Sounds as Opus files in the output folder."""

    FORM = "opus"
    QUALITIES: ClassVar[list[str]] = ["64k", "96k", "128k", "192k", "320k"]
    QUALITY = "128k"


class SaveAudioAdvanced:
    """Sounds as files of any format in the output folder."""

    CATEGORY = "audio"
    RETURN_TYPES = ("AUDIO",)
    RETURN_NAMES = ("audio",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        compressed = [
            {
                "key": node.FORM,
                "inputs": {
                    "required": {"quality": ["COMBO", {"options": node.QUALITIES, "default": node.QUALITY}]}
                },
            }
            for node in (SaveAudioMP3, SaveAudioOpus)
        ]
        return {
            "required": {
                "audio": ("AUDIO", {}),
                "filename_prefix": ("STRING", {"default": "audio/ComfyUI"}),
                "format": ("COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "flac", "inputs": {}}, *compressed]}),
            },
            "hidden": {
                "prompt": "PROMPT",
                "extra_pnginfo": "EXTRA_PNGINFO",
                "context": CONTEXT,
            },
        }

    def save(
        self,
        audio: Audio,
        filename_prefix: str,
        format: Mapping[str, str],
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The sounds, and the names of the files for the editor to show."""
        from .writing import save_sounds  # brings torch

        files = save_sounds(
            audio,
            context.folders.output,
            filename_prefix,
            format["format"],
            format.get("quality", "128k"),
            prompt=prompt,
            extra=extra_pnginfo,
            between=context.check_cancelled,
        )
        return {"ui": {"audio": [{**file, "type": "output"} for file in files]}, "result": (audio,)}


class PreviewAudio:
    """Sounds as FLAC files in the folder for temporary files."""

    CATEGORY = "audio"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "audio": ("AUDIO",),
            },
            "hidden": {
                "prompt": "PROMPT",
                "extra_pnginfo": "EXTRA_PNGINFO",
                "context": CONTEXT,
            },
        }

    def save(
        self,
        audio: Audio,
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The names of the files, for the editor to show."""
        from .writing import save_sounds  # brings torch

        # The random part keeps a sound that a page still plays from being taken for a later one.
        files = save_sounds(
            audio,
            context.folders.temp,
            f"ComfyUI_temp_{token_hex(3)}",
            prompt=prompt,
            extra=extra_pnginfo,
            between=context.check_cancelled,
        )
        return {"ui": {"audio": [{**file, "type": "temp"} for file in files]}}


class TrimAudioDuration:
    """A part of a sound."""

    CATEGORY = "audio"
    RETURN_TYPES = ("AUDIO",)
    FUNCTION = "trim"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; in seconds."""
        most = float(0xFFFFFFFFFFFFFFFF)
        return {
            "required": {
                "audio": ("AUDIO", {}),
                "start_index": ("FLOAT", {"default": 0.0, "min": -most, "max": most, "step": 0.01}),
                "duration": ("FLOAT", {"default": 60.0, "min": 0.0, "max": most, "step": 0.01}),
            }
        }

    def trim(self, audio: Audio, start_index: float, duration: float) -> tuple[Audio]:
        """AUDIO from the start on; a negative start counts from the end."""
        from .trimming import trim_sound  # brings torch

        return (trim_sound(audio, start_index, duration),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "TrimAudioDuration": TrimAudioDuration,
    "LoadAudio": LoadAudio,
    "SaveAudio": SaveAudio,
    "SaveAudioMP3": SaveAudioMP3,
    "SaveAudioOpus": SaveAudioOpus,
    "SaveAudioAdvanced": SaveAudioAdvanced,
    "PreviewAudio": PreviewAudio,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "TrimAudioDuration": "Trim Audio Duration",
    "LoadAudio": "Load Audio",
    "SaveAudio": "Save Audio (FLAC)",
    "SaveAudioMP3": "Save Audio (MP3)",
    "SaveAudioOpus": "Save Audio (Opus)",
    "SaveAudioAdvanced": "Save Audio (Advanced)",
    "PreviewAudio": "Preview Audio",
}
