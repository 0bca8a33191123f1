"""The commands of `graphengine nodes`, in the order in which help lists them."""

from collections.abc import Callable

from graphengine.cli import nodes, nodes_trust

#: Name, function and examples of each command: whoever adds one adds a line.
COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("list", nodes.list_command, nodes.LIST_EXAMPLES),
    ("show", nodes.show_command, nodes.SHOW_EXAMPLES),
    ("trust", nodes_trust.command, nodes_trust.EXAMPLES),
)
