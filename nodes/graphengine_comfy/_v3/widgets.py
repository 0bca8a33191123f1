"""Inputs with a widget: numbers, texts, switches, choices."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, StrEnum
from typing import Any

from graphengine.node.files import FileNames
from graphengine_comfy._v3.inputs import ComfyType, Options, WidgetInput, comfytype, without_none

# Any throughout: the arguments that all inputs have are passed on as they are.


class NumberDisplay(StrEnum):
    """How a number is shown."""

    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"
    color = "color"


class ControlAfterGenerate(StrEnum):
    """What the editor does with a value after a run."""

    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


class UploadType(StrEnum):
    """What may be uploaded into a choice of files."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class FolderType(StrEnum):
    """Where the files of a choice lie."""

    input = "input"
    output = "output"
    temp = "temp"


class RemoteOptions:
    """Choices that the editor asks a server for."""

    def __init__(
        self,
        route: str,
        refresh_button: bool,
        control_after_refresh: str = "first",
        timeout: int | None = None,
        max_retries: int | None = None,
        refresh: int | None = None,
    ) -> None:
        self.route = route
        self.refresh_button = refresh_button
        self.control_after_refresh = control_after_refresh
        self.timeout = timeout
        self.max_retries = max_retries
        self.refresh = refresh

    def as_dict(self) -> Options:
        """The options that are set."""
        return without_none(vars(self))


@comfytype(io_type="BOOLEAN")
class Boolean(ComfyType):
    """True or False."""

    Type = bool

    class Input(WidgetInput):
        """A switch; the labels name its two positions."""

        def __init__(
            self,
            id: str,
            *arguments: Any,
            label_on: str | None = None,
            label_off: str | None = None,
            **common: Any,
        ) -> None:
            super().__init__(id, *arguments, **common)
            self.label_on = label_on
            self.label_off = label_off

        def _options(self) -> Options:
            return super()._options() | {"label_on": self.label_on, "label_off": self.label_off}


class NumberInput(WidgetInput):
    """A number within a range."""

    def __init__(
        self,
        id: str,
        *arguments: Any,
        min: float | None = None,
        max: float | None = None,
        step: float | None = None,
        display_mode: NumberDisplay | None = None,
        gradient_stops: Sequence[Mapping[str, Any]] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(id, *arguments, **common)
        self.min = min
        self.max = max
        self.step = step
        self.display_mode = display_mode
        self.gradient_stops = gradient_stops

    def _options(self) -> Options:
        return super()._options() | {"min": self.min, "max": self.max, "step": self.step}

    def _display(self) -> Options:
        return {"display": plain(self.display_mode), "gradient_stops": self.gradient_stops}


@comfytype(io_type="INT")
class Int(ComfyType):
    """A whole number."""

    Type = int

    class Input(NumberInput):
        """A whole number within a range."""

        def __init__(
            self, id: str, *arguments: Any, control_after_generate: bool | str | None = None, **common: Any
        ) -> None:
            super().__init__(id, *arguments, **common)
            self.control_after_generate = control_after_generate

        def _options(self) -> Options:
            control = {"control_after_generate": plain(self.control_after_generate)}
            return super()._options() | control | self._display()


@comfytype(io_type="FLOAT")
class Float(ComfyType):
    """A number."""

    Type = float

    class Input(NumberInput):
        """A number within a range; `round` is the step that the editor rounds to."""

        def __init__(self, id: str, *arguments: Any, round: float | None = None, **common: Any) -> None:
            super().__init__(id, *arguments, **common)
            self.round = round

        def _options(self) -> Options:
            return super()._options() | {"round": self.round} | self._display()


@comfytype(io_type="STRING")
class String(ComfyType):
    """A text."""

    Type = str

    class Input(WidgetInput):
        """A text of one or many lines."""

        def __init__(
            self,
            id: str,
            *arguments: Any,
            multiline: bool = False,
            placeholder: str | None = None,
            dynamic_prompts: bool | None = None,
            **common: Any,
        ) -> None:
            super().__init__(id, *arguments, **common)
            self.multiline = multiline
            self.placeholder = placeholder
            self.dynamic_prompts = dynamic_prompts

        def _options(self) -> Options:
            own = {
                "multiline": self.multiline,
                "placeholder": self.placeholder,
                "dynamicPrompts": self.dynamic_prompts,
            }
            return super()._options() | own


@comfytype(io_type="COMBO")
class Combo(ComfyType):
    """One of several choices."""

    Type = str

    class Input(WidgetInput):
        """A choice among `options`: values, or the values of an enumeration."""

        multiselect = False

        def __init__(
            self,
            id: str,
            options: Iterable[Any] | type[Enum] | None = None,
            *arguments: Any,
            control_after_generate: bool | str | None = None,
            upload: UploadType | None = None,
            image_folder: FolderType | None = None,
            remote: RemoteOptions | None = None,
            **common: Any,
        ) -> None:
            super().__init__(id, *arguments, **common)
            self.default = plain(self.default)
            self.options = _choices(options)
            self.control_after_generate = control_after_generate
            self.upload = upload
            self.image_folder = image_folder
            self.remote = remote

        def _options(self) -> Options:
            return (
                super()._options()
                | {
                    "multiselect": self.multiselect,
                    "options": self.options,
                    "control_after_generate": plain(self.control_after_generate),
                    "image_folder": plain(self.image_folder),
                    "remote": None if self.remote is None else self.remote.as_dict(),
                }
                | ({} if self.upload is None else {str(plain(self.upload)): True})
            )


@comfytype(io_type="COMBO")
class MultiCombo(ComfyType):
    """Any number of several choices."""

    Type = list[str]

    class Input(Combo.Input):
        """Choices among `options`."""

        multiselect = True

        def __init__(
            self,
            id: str,
            options: Iterable[Any] | type[Enum],
            *arguments: Any,
            placeholder: str | None = None,
            chip: bool | None = None,
            **common: Any,
        ) -> None:
            super().__init__(id, options, *arguments, **common)
            self.placeholder = placeholder
            self.chip = chip

        def _options(self) -> Options:
            shown = without_none({"placeholder": self.placeholder, "chip": self.chip})
            return super()._options() | {"multi_select": shown}


def plain(value: Any) -> Any:
    """The value of a member of an enumeration, anything else as it is."""
    return value.value if isinstance(value, Enum) else value


def _choices(options: Iterable[Any] | None) -> list[Any] | None:
    """The values to choose from; a list of files stays one."""
    if options is None or isinstance(options, FileNames):
        return options
    return [plain(option) for option in options]
