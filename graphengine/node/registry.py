"""Node definitions by class type; one registry per engine, never a module global."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from graphengine.errors import PackError
from graphengine.node.definition import NodeDefinition


class NodeRegistry(Mapping[str, NodeDefinition]):
    """A mapping of class type to definition that refuses to replace an entry silently.

    What was not added is looked for in `further`, which may read definitions when they are asked for.
    """

    def __init__(
        self,
        definitions: Iterable[NodeDefinition] = (),
        further: Mapping[str, NodeDefinition] = MappingProxyType({}),
    ) -> None:
        self._further = further
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
                hint="the earlier has it: write first = true for the other in graphengine.toml, or disable one",
            )
        self._definitions[definition.class_type] = definition

    def was_added(self, class_type: str) -> bool:
        """Whether a definition was added here, rather than found in `further`."""
        return class_type in self._definitions

    def __getitem__(self, class_type: str) -> NodeDefinition:
        known = self._definitions.get(class_type)
        return self._further[class_type] if known is None else known

    def __iter__(self) -> Iterator[str]:
        yield from list(self._definitions)
        yield from (name for name in self._further if name not in self._definitions)

    def __len__(self) -> int:
        return sum(1 for _ in self)
