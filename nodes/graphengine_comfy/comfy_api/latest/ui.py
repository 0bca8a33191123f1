"""What nodes show: give one of these as `io.NodeOutput(…, ui=…)`.

Those that write files do so when they are made, so they can be made inside a node only.
"""

from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from graphengine_comfy._v3 import saving, sound
from graphengine_comfy._v3.node import ComfyNode
from graphengine_comfy._v3.saving import SavedResult
from graphengine_comfy._v3.widgets import FolderType

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "AudioSaveHelper",
    "FolderType",
    "ImageSaveHelper",
    "PreviewAudio",
    "PreviewImage",
    "PreviewMask",
    "PreviewText",
    "PreviewUI3D",
    "PreviewVideo",
    "SavedAudios",
    "SavedImages",
    "SavedResult",
]


# Any throughout: what a node shows is JSON.
class SavedImages:
    """Pictures that a node wrote."""

    def __init__(self, results: Sequence[Mapping[str, str]], is_animated: bool = False) -> None:
        self.results = list(results)
        self.is_animated = is_animated

    def as_dict(self) -> dict[str, Any]:
        """What to show."""
        return {"images": self.results} | ({"animated": [True]} if self.is_animated else {})


class SavedAudios:
    """Sound that a node wrote."""

    def __init__(self, results: Sequence[Mapping[str, str]]) -> None:
        self.results = list(results)

    def as_dict(self) -> dict[str, Any]:
        """What to show."""
        return {"audio": self.results}


class ImageSaveHelper(saving.ImageSaveHelper):
    """Writes pictures, and gives what to show for them."""

    @staticmethod
    def get_save_images_ui(
        images: "Tensor", filename_prefix: str, cls: type[ComfyNode] | None, compress_level: int = 4
    ) -> SavedImages:
        """Each picture as a PNG file in the output folder."""
        results = saving.ImageSaveHelper.save_images(
            images, filename_prefix, FolderType.output, cls, compress_level
        )
        return SavedImages(results)

    @staticmethod
    def get_save_animated_png_ui(
        images: "Tensor", filename_prefix: str, cls: type[ComfyNode] | None, fps: float, compress_level: int = 4
    ) -> SavedImages:
        """All pictures as one animated PNG file in the output folder."""
        result = saving.ImageSaveHelper.save_animated_png(
            images, filename_prefix, FolderType.output, cls, fps, compress_level
        )
        return SavedImages([result], is_animated=len(images) > 1)

    @staticmethod
    def get_save_animated_webp_ui(
        images: "Tensor",
        filename_prefix: str,
        cls: type[ComfyNode] | None,
        fps: float,
        lossless: bool,
        quality: int,
        method: int,
    ) -> SavedImages:
        """All pictures as one animated WebP file in the output folder."""
        result = saving.ImageSaveHelper.save_animated_webp(
            images, filename_prefix, FolderType.output, cls, fps, lossless, quality, method
        )
        return SavedImages([result], is_animated=len(images) > 1)


class AudioSaveHelper(sound.AudioSaveHelper):
    """Writes sound, and gives what to show for it."""

    @staticmethod
    def get_save_audio_ui(
        audio: Mapping[str, Any],
        filename_prefix: str,
        cls: type[ComfyNode] | None,
        format: str = "flac",
        quality: str = "128k",
    ) -> SavedAudios:
        """Each item as a file in the output folder."""
        results = sound.AudioSaveHelper.save_audio(audio, filename_prefix, FolderType.output, cls, format, quality)
        return SavedAudios(results)


class PreviewImage:
    """Pictures, IMAGE (B, H, W, C), written to the folder for temporary files."""

    def __init__(
        self, image: "Tensor", animated: bool = False, cls: type[ComfyNode] | None = None, **_: Any
    ) -> None:
        self.animated = animated
        self.values = saving.ImageSaveHelper.save_images(
            image, _temporary_prefix(), FolderType.temp, cls, compress_level=1
        )

    def as_dict(self) -> dict[str, Any]:
        """What to show."""
        return {"images": self.values, "animated": [self.animated]}


class PreviewMask(PreviewImage):
    """Masks, MASK (B, H, W), as grey pictures in the folder for temporary files."""

    def __init__(
        self, mask: "Tensor", animated: bool = False, cls: type[ComfyNode] | None = None, **_: Any
    ) -> None:
        grey = mask.reshape(-1, *mask.shape[-2:], 1).expand(-1, -1, -1, 3)
        super().__init__(grey, animated, cls)


class PreviewAudio:
    """Sound, written to the folder for temporary files."""

    def __init__(self, audio: Mapping[str, Any], cls: type[ComfyNode] | None = None, **_: Any) -> None:
        self.values = sound.AudioSaveHelper.save_audio(audio, _temporary_prefix(), FolderType.temp, cls)

    def as_dict(self) -> dict[str, Any]:
        """What to show."""
        return {"audio": self.values}


class PreviewVideo:
    """Videos that a node wrote."""

    def __init__(self, values: Sequence[Mapping[str, str]], **_: Any) -> None:
        self.values = list(values)

    def as_dict(self) -> dict[str, Any]:
        """What to show."""
        return {"images": self.values, "animated": [True]}


class PreviewUI3D:
    """A model in space that a node wrote, and how the camera sees it."""

    def __init__(self, model_file: str, camera_info: Any = None, **_: Any) -> None:
        self.model_file = model_file
        self.camera_info = camera_info

    def as_dict(self) -> dict[str, Any]:
        """What to show."""
        return {"result": [self.model_file, self.camera_info]}


class PreviewText:
    """A text."""

    def __init__(self, value: str, **_: Any) -> None:
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        """What to show."""
        return {"text": [self.value]}


def _temporary_prefix() -> str:
    # The random part keeps a picture that a page still shows from being taken for a later one.
    return f"ComfyUI_temp_{token_hex(3)}"
