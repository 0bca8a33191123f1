"""The commands of `graphengine nodes`, in the order in which help lists them."""

from collections.abc import Callable

from graphengine.cli import nodes

#: Name, function and examples of each command: whoever adds one adds a line.
COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("list", nodes.list_command, nodes.LIST_EXAMPLES),
    ("show", nodes.show_command, nodes.SHOW_EXAMPLES),
)
