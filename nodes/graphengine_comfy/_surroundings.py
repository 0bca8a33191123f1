"""What the stand-ins know of the engine: its folders, its nodes, and who listens.

ComfyUI is one process with one set of folders, and packs ask for them when they are imported. So this is the one
place with state of the process: the engine that loaded a pack last. While a node is called, the folders are those
of its run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from graphengine.node.api import Folders, current_context
from graphengine.node.definition import NodeDefinition


class Surroundings(Protocol):
    """What an engine tells."""

    @property
    def folders(self) -> Folders:
        """Where runs read and write."""

    @property
    def definitions(self) -> Mapping[str, NodeDefinition]:
        """All node types by class type; it may grow."""

    # Any: messages are open-ended JSON.
    @property
    def send(self) -> Callable[[str | int, Any, str | None], None]:
        """Sends a message (type or number of a binary one, data, client or None for all) to whoever watches."""


# Any: messages are open-ended JSON.
def _unheard(event: str | int, data: Any, client: str | None) -> None:
    """Nobody watches."""


@dataclass(slots=True)
class _Connection:
    """The engine that packs are loaded for; `changed` are called after each change."""

    folders: Folders = field(default_factory=Folders)
    definitions: Mapping[str, NodeDefinition] = field(default_factory=dict)
    send: Callable[[str | int, Any, str | None], None] = _unheard
    changed: list[Callable[[], None]] = field(default_factory=list)


#: The connection of this process.
CONNECTION = _Connection()


def connect(surroundings: Surroundings) -> None:
    """Answer packs from this engine from here on."""
    CONNECTION.folders = surroundings.folders
    CONNECTION.definitions = surroundings.definitions
    CONNECTION.send = surroundings.send
    for changed in CONNECTION.changed:
        changed()


def folders() -> Folders:
    """The folders of the run whose node is being called; elsewhere those of the engine."""
    context = current_context.get()
    return CONNECTION.folders if context is None else context.folders
