"""The commands of `graphengine nodes`, in the order in which help lists them."""

from collections.abc import Callable

from graphengine.cli import nodes, nodes_check, nodes_install, nodes_isolate, nodes_new, nodes_trust, nodes_upkeep

#: Name, function and examples of each command: whoever adds one adds a line.
COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("list", nodes.list_command, nodes.LIST_EXAMPLES),
    ("show", nodes.show_command, nodes.SHOW_EXAMPLES),
    ("install", nodes_install.install_command, nodes_install.INSTALL_EXAMPLES),
    ("sync", nodes_install.sync_command, nodes_install.SYNC_EXAMPLES),
    ("update", nodes_upkeep.update_command, nodes_upkeep.UPDATE_EXAMPLES),
    ("outdated", nodes_upkeep.outdated_command, nodes_upkeep.OUTDATED_EXAMPLES),
    ("remove", nodes_upkeep.remove_command, nodes_upkeep.REMOVE_EXAMPLES),
    ("disable", nodes_upkeep.disable_command, nodes_upkeep.DISABLE_EXAMPLES),
    ("enable", nodes_upkeep.enable_command, nodes_upkeep.ENABLE_EXAMPLES),
    ("check", nodes_check.command, nodes_check.EXAMPLES),
    ("isolate", nodes_isolate.command, nodes_isolate.EXAMPLES),
    ("new", nodes_new.command, nodes_new.EXAMPLES),
    ("trust", nodes_trust.command, nodes_trust.EXAMPLES),
)
