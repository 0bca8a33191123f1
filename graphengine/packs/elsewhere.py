"""Packs whose code does not run in this process."""

from typing import Any, Protocol

from graphengine.errors import Problem
from graphengine.node.definition import NodeDefinition
from graphengine.packs.stand_ins import Surroundings


class PackElsewhere(Protocol):
    """Imports a pack in another process and calls its nodes there."""

    def describe(self, surroundings: Surroundings | None) -> tuple[bytes, tuple[Problem, ...]]:
        """The record that `index.record_content` makes of the imported pack, and what could not be read.

        Raises:
            PackError: it cannot be imported.
        """

    # Any: the class stands for an author's.
    def node_class(self, class_type: str, surroundings: Surroundings | None) -> type[Any]:
        """The class to call in place of the pack's own, for a node whose definition was adapted.

        Raises:
            PackError: the process cannot be had.
        """

    def adapted(self, definition: NodeDefinition) -> NodeDefinition:
        """The definition of a node as this process is to see it."""

    def close(self) -> None:
        """End the process."""
