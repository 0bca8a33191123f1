"""What every input and output of a schema has in common, and how socket types are made.

A socket type is a class with an `io_type` and two classes in it, `Input` and `Output`, whose objects stand in a
schema: `Int.Input("steps", default=20)`. `comfytype` and `Custom` make new ones.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

# Any throughout: defaults and options are the author's choice.
Options = dict[str, Any]


def without_none(options: Mapping[str, Any]) -> Options:
    """The options that are set."""
    return {name: value for name, value in options.items() if value is not None}


class Input:
    """An input that is fed by a link."""

    Parent: ClassVar[type["ComfyType"]]

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        raw_link: bool | None = None,
        advanced: bool | None = None,
    ) -> None:
        self.id = id
        self.display_name = display_name
        self.optional = optional
        self.tooltip = tooltip
        self.lazy = lazy
        self.extra_dict = dict(extra_dict or {})
        self.rawLink = raw_link
        self.advanced = advanced

    def get_io_type(self) -> str:
        """The socket type, as it stands in `INPUT_TYPES`."""
        return self.Parent.io_type

    def as_dict(self) -> Options:
        """The options that stand beside the type in `INPUT_TYPES`."""
        return without_none(self._options()) | self.extra_dict

    def _options(self) -> Options:
        return {
            "display_name": self.display_name,
            "tooltip": self.tooltip,
            "lazy": self.lazy,
            "rawLink": self.rawLink,
            "advanced": self.advanced,
        }


class WidgetInput(Input):
    """An input that the editor shows a widget for."""

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: Any = None,
        socketless: bool | None = None,
        widget_type: str | None = None,
        force_input: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        raw_link: bool | None = None,
        advanced: bool | None = None,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy, extra_dict, raw_link, advanced)
        self.default = default
        self.socketless = socketless
        self.widget_type = widget_type
        self.force_input = force_input

    def _options(self) -> Options:
        return super()._options() | {
            "default": self.default,
            "socketless": self.socketless,
            "widgetType": self.widget_type,
            "forceInput": self.force_input,
        }


class Output:
    """An output; `is_output_list` gives many items at once."""

    Parent: ClassVar[type["ComfyType"]]

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> None:
        self.id = id
        self.display_name = display_name
        self.tooltip = tooltip
        self.is_output_list = is_output_list

    def get_io_type(self) -> str:
        """The socket type, as it stands in `RETURN_TYPES`."""
        return self.Parent.io_type


class ComfyType:
    """A socket type. `Input` and `Output` written in a subclass become parts of that type."""

    io_type: ClassVar[str] = "*"
    #: What its values are, for type checkers.
    Type: ClassVar[Any] = Any
    Input: ClassVar[type[Any]] = Input
    Output: ClassVar[type[Any]] = Output

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in ("Input", "Output"):
            setattr(cls, name, type(name, (getattr(cls, name),), {"Parent": cls, "__module__": cls.__module__}))


def comfytype(io_type: str, **_: Any) -> Callable[[type], type[Any]]:
    """A decorator that makes a class a socket type of that name."""

    def decorate(cls: type) -> type[Any]:
        # Any: a type checker cannot know that the bases make it a ComfyType.
        made: type[Any] = cls if issubclass(cls, ComfyType) else type(cls.__name__, (cls, ComfyType), {})
        made.io_type = io_type
        return made

    return decorate


def Custom(io_type: str) -> type[ComfyType]:
    """A socket type of that name, for values that only a pack knows."""
    return type(io_type, (ComfyType,), {"io_type": io_type})
