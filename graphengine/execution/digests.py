"""Content digests of a run's nodes, and what must be known for them.

Most nodes have to run, or come from the store, before the digests of their outputs are known. Nodes that give
recipes (loaders) need not: their digests follow from what they read. So a sampler whose prompt was rewritten into
the same words can be found in the store without the checkpoint being loaded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from graphengine.cache.content import recipe_digest, slot_digests
from graphengine.execution.held import HeldOutputs
from graphengine.execution.known import KnownNodes
from graphengine.workflow.models import Link, NodeId

_MOST_LOADERS = 64


@dataclass(slots=True)
class NodeDigests:
    """The digests of outputs by node, as far as they are known."""

    known: KnownNodes
    held: HeldOutputs
    _of: dict[NodeId, tuple[str, ...]] = field(default_factory=dict)
    _recipes: dict[NodeId, str] = field(default_factory=dict)
    _grounds: dict[NodeId, frozenset[NodeId]] = field(default_factory=dict)
    _loaders: dict[NodeId, frozenset[NodeId]] = field(default_factory=dict)

    def settle(self, node_id: NodeId, digests: tuple[str, ...]) -> None:
        """Take the digests of a node that has run or comes from the store."""
        self._of[node_id] = digests

    def known_of(self, node_id: NodeId) -> tuple[str, ...] | None:
        """The digests of a node that has run or comes from the store, None when it did neither."""
        return self._of.get(node_id)

    def content_key(self, node_id: NodeId) -> str | None:
        """The content key of a node, None when it has none or what it reads is not known."""
        known = self.known
        return known.keys.content_key(node_id, known.nodes[node_id], known.definitions[node_id], self.of)

    def recipe(self, node_id: NodeId, content: str | None) -> str:
        """What stands for outputs of a node that are no plain data."""
        if self.known.definitions[node_id].is_recipe:
            self._work_out(node_id)
            return self._recipes[node_id]
        return content or self.known.keys.of[node_id]

    def of(self, link: Link) -> str | None:
        """The digest of what a link gives, None when it is not known."""
        source = link.source
        if self.known.definitions[source].is_recipe:
            if source not in self._recipes:
                self._work_out(source)
            return recipe_digest(self._recipes[source], link.output)
        digests = self._of.get(source)
        if digests is None:
            return None
        if link.output >= len(digests):  # an entry of an older version has none
            outputs = self.held.find(self.known.keys.of[source])
            if outputs is None or link.output >= len(outputs.slots):
                return None
            self._of[source] = digests = slot_digests(outputs.slots, self.known.keys.of[source])
        return digests[link.output]

    def grounds(self, node_id: NodeId) -> frozenset[NodeId]:
        """The nodes whose outputs must be known for the digest of a node that gives a recipe."""
        self._go_back(node_id)
        return self._grounds[node_id]

    def loaders(self, node_id: NodeId) -> frozenset[NodeId]:
        """A node that gives a recipe and those behind it that do: all that run when it must.

        Of a chain of more than some dozens only the last are named.
        """
        self._go_back(node_id)
        return self._loaders[node_id]

    def _go_back(self, node_id: NodeId) -> None:
        """Work out grounds and loaders of a node, after those of what it reads."""
        if node_id in self._grounds:
            return
        stack = [(node_id, self._recipe_sources(node_id))]
        while stack:
            current, sources = stack[-1]
            source = next(sources, None)
            if source is not None:
                if source not in self._grounds:
                    stack.append((source, self._recipe_sources(source)))
                continue
            stack.pop()
            self._join(current)

    def _join(self, node_id: NodeId) -> None:
        grounds: set[NodeId] = set()
        loaders = {node_id}
        for source in self.known.sources(node_id):
            if not self.known.definitions[source].is_recipe:
                grounds.add(source)
                continue
            grounds |= self._grounds[source]
            if len(loaders) < _MOST_LOADERS:
                loaders |= self._loaders[source]
        self._grounds[node_id] = frozenset(grounds)
        self._loaders[node_id] = frozenset(loaders) if len(loaders) <= _MOST_LOADERS else frozenset((node_id,))

    def _recipe_sources(self, node_id: NodeId) -> Iterator[NodeId]:
        return (source for source in self.known.sources(node_id) if self.known.definitions[source].is_recipe)

    def _work_out(self, node_id: NodeId) -> None:
        """Compute the recipe of a node and of those it reads, each after its sources."""
        stack = [(node_id, self._recipe_sources(node_id))]
        while stack:
            current, sources = stack[-1]
            source = next((source for source in sources if source not in self._recipes), None)
            if source is not None:
                stack.append((source, self._recipe_sources(source)))
                continue
            stack.pop()
            known = self.known
            key = known.keys.content_key(
                current, known.nodes[current], known.definitions[current], self.of, with_names=False
            )
            self._recipes[current] = key or known.keys.of[current]
