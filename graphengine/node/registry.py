"""Node definitions by class type; one registry per engine, never a module global."""

from collections.abc import Iterable, Iterator, Mapping

from graphengine.errors import PackError
from graphengine.node.definition import NodeDefinition


class NodeRegistry(Mapping[str, NodeDefinition]):
    """A mapping of class type to definition that refuses to replace an entry silently."""

    def __init__(self, definitions: Iterable[NodeDefinition] = ()) -> None:
        self._definitions: dict[str, NodeDefinition] = {}
        for definition in definitions:
            self.add(definition)

    def add(self, definition: NodeDefinition) -> None:
        """Add a definition.

        Raises:
            PackError: the class type is taken; the first pack keeps it.
        """
        taken = self._definitions.get(definition.class_type)
        if taken is not None:
            raise PackError(
                f"node type {definition.class_type!r} of {definition.module or 'a pack'} is already defined by "
                f"{taken.module or 'another pack'}",
                hint="remove or rename one of the two packs",
            )
        self._definitions[definition.class_type] = definition

    def __getitem__(self, class_type: str) -> NodeDefinition:
        return self._definitions[class_type]

    def __iter__(self) -> Iterator[str]:
        return iter(self._definitions)

    def __len__(self) -> int:
        return len(self._definitions)
