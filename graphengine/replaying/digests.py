"""The digests that other runs know of nodes that came from the cache."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import PastNode

_MOST = 200  # runs that are looked through


@dataclass(slots=True)
class EarlierDigests:
    """Digests of outputs by recipe key, from the last runs of a history; read when the first one is asked for."""

    history: History
    _of: dict[str, tuple[str, ...]] | None = field(default=None)

    def __call__(self, key: str) -> tuple[str, ...] | None:
        """The digests of the outputs of a key, None when no run knows them."""
        if self._of is None:
            self._of = {
                node.key: node.digests
                for run in self.history.runs(most=_MOST)
                for node in run.nodes.values()
                if node.digests
            }
        return self._of.get(key)


#: Asks for the digests of a key.
Earlier = Callable[[str], tuple[str, ...] | None]


def with_known_digests(nodes: Mapping[str, PastNode], earlier: Earlier) -> dict[str, PastNode]:
    """The nodes of a run; those that came from the cache with the digests of another run of the same key."""
    return {
        node_id: node if node.digests else replace(node, digests=earlier(node.key) or ())
        for node_id, node in nodes.items()
    }
