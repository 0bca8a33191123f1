"""Options of a command that belong together, as one frozen dataclass in place of many parameters."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, get_type_hints


class OptionGroup:
    """Base of dataclasses whose fields are options: `Annotated[type, typer.Option(…)]`, each with a default."""


# Any throughout: commands take whatever their options give.
def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of its option groups as parameters of its own, which typer reads."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if _is_group(kind)}

    @wraps(command)
    def called(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in dataclasses.fields(kind)})
        command(**values)

    parameters = [
        parameter
        for own in inspect.signature(command).parameters.values()
        for parameter in (_fields(groups[own.name]) if own.name in groups else [_described(own, hints)])
    ]
    # typer asks for both
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # mypy knows no such attribute
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def _is_group(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, OptionGroup)


def _described(parameter: inspect.Parameter, hints: dict[str, Any]) -> inspect.Parameter:
    return parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)


def _fields(group: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        kind = inspect.Parameter.KEYWORD_ONLY
        yield inspect.Parameter(field.name, kind, default=field.default, annotation=hints[field.name])
