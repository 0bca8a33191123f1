"""The names of socket types, and what a class-based node looks like to a type checker."""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Any, ClassVar, Literal, NotRequired, TypedDict


class IO(StrEnum):
    """Socket types. `ANY` and unions compare as unequal to nothing that fits them."""

    STRING = "STRING"
    IMAGE = "IMAGE"
    MASK = "MASK"
    LATENT = "LATENT"
    BOOLEAN = "BOOLEAN"
    INT = "INT"
    FLOAT = "FLOAT"
    COMBO = "COMBO"
    CONDITIONING = "CONDITIONING"
    SAMPLER = "SAMPLER"
    SIGMAS = "SIGMAS"
    GUIDER = "GUIDER"
    NOISE = "NOISE"
    CLIP = "CLIP"
    CONTROL_NET = "CONTROL_NET"
    VAE = "VAE"
    MODEL = "MODEL"
    LORA_MODEL = "LORA_MODEL"
    LOSS_MAP = "LOSS_MAP"
    CLIP_VISION = "CLIP_VISION"
    CLIP_VISION_OUTPUT = "CLIP_VISION_OUTPUT"
    STYLE_MODEL = "STYLE_MODEL"
    GLIGEN = "GLIGEN"
    UPSCALE_MODEL = "UPSCALE_MODEL"
    AUDIO = "AUDIO"
    WEBCAM = "WEBCAM"
    POINT = "POINT"
    FACE_ANALYSIS = "FACE_ANALYSIS"
    BBOX = "BBOX"
    SEGS = "SEGS"
    VIDEO = "VIDEO"
    ANY = "*"
    NUMBER = "FLOAT,INT"
    PRIMITIVE = "STRING,FLOAT,INT,BOOLEAN"

    def __ne__(self, value: object) -> bool:
        """Whether a socket of the other type does not fit this one."""
        if not isinstance(value, str):
            return True
        # The plain texts: a comparison of members would come back here.
        own, other = str.__str__(self), str.__str__(value)
        return "*" not in (own, other) and frozenset(own.split(",")).isdisjoint(other.split(","))


# Any throughout: what stands in an input's options and in `ui` is the author's choice.
class InputTypeOptions(TypedDict):
    """What may stand beside the type of an input."""

    default: NotRequired[Any]
    defaultInput: NotRequired[bool]
    forceInput: NotRequired[bool]
    lazy: NotRequired[bool]
    rawLink: NotRequired[bool]
    tooltip: NotRequired[str]
    socketless: NotRequired[bool]
    widgetType: NotRequired[str]
    advanced: NotRequired[bool]
    hidden: NotRequired[bool]
    min: NotRequired[float]
    max: NotRequired[float]
    step: NotRequired[float]
    round: NotRequired[float | Literal[False]]
    display: NotRequired[str]
    label_on: NotRequired[str]
    label_off: NotRequired[str]
    multiline: NotRequired[bool]
    placeholder: NotRequired[str]
    dynamicPrompts: NotRequired[bool]
    image_upload: NotRequired[bool]
    image_folder: NotRequired[Literal["input", "output", "temp"]]
    remote: NotRequired[dict[str, Any]]
    control_after_generate: NotRequired[bool | str]
    options: NotRequired[list[str | int | float]]
    multi_select: NotRequired[dict[str, Any]]


class HiddenInputTypeDict(TypedDict):
    """The hidden inputs a node may ask for."""

    node_id: NotRequired[Literal["UNIQUE_ID"]]
    unique_id: NotRequired[Literal["UNIQUE_ID"]]
    prompt: NotRequired[Literal["PROMPT"]]
    extra_pnginfo: NotRequired[Literal["EXTRA_PNGINFO"]]
    dynprompt: NotRequired[Literal["DYNPROMPT"]]


class InputTypeDict(TypedDict):
    """What `INPUT_TYPES` gives."""

    required: NotRequired[dict[str, Any]]
    optional: NotRequired[dict[str, Any]]
    hidden: NotRequired[HiddenInputTypeDict]


class ComfyNodeABC(ABC):
    """What a class-based node declares; `INPUT_TYPES`, `RETURN_TYPES` and `FUNCTION` at least."""

    DESCRIPTION: str
    CATEGORY: str
    EXPERIMENTAL: bool
    DEPRECATED: bool
    API_NODE: bool | None
    OUTPUT_NODE: bool
    INPUT_IS_LIST: bool
    OUTPUT_IS_LIST: tuple[bool, ...]
    OUTPUT_TOOLTIPS: tuple[str, ...]
    RETURN_TYPES: ClassVar[tuple[Any, ...]]
    RETURN_NAMES: tuple[str, ...]
    FUNCTION: str

    @classmethod
    @abstractmethod
    def INPUT_TYPES(cls) -> InputTypeDict:
        """The inputs by section: "required", "optional", "hidden"."""


class CheckLazyMixin:
    """Asks for every lazy input that is not there yet."""

    def check_lazy_status(self, **kwargs: Any) -> list[str]:
        """The names of the inputs that have no value."""
        return [name for name, value in kwargs.items() if value is None]


class FileLocator(TypedDict):
    """A file that a node shows: `type` is "input", "output" or "temp"."""

    filename: str
    subfolder: str
    type: Literal["input", "output", "temp"]
