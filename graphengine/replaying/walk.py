"""Where two runs of one graph part: the first node whose output differs, from the digests of both.

A node that gives a model is known by how it was made: its digest covers its file, its code and the versions of
packages. So it may differ although the model is the same, and counts as the first only when its file differs, or
when no node that gives plain values does.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from graphengine.errors import node_label
from graphengine.node.definition import NodeDefinition
from graphengine.provenance.history.past_run import PastNode

#: Hex digits that suffice to tell digests apart, where only the beginning of one was kept.
_ENOUGH = 16


@dataclass(frozen=True, slots=True)
class Walk:
    """What the digests tell. All are node ids in the order of the graph.

    `same` gave the same, `differing` not. `remade` give models that were made otherwise. `unknown` are those of
    which one of the runs knows no digest.
    """

    first: str | None
    same: tuple[str, ...]
    differing: tuple[str, ...]
    remade: tuple[str, ...]
    unknown: tuple[str, ...]
    labels: Mapping[str, str]

    def label(self, node_id: str) -> str:
        """How messages name a node."""
        return self.labels.get(node_id) or node_label(node_id, None)


def walk(
    then: Mapping[str, PastNode],
    now: Mapping[str, PastNode],
    definitions: Mapping[str, NodeDefinition],
    with_other_files: Collection[str] = frozenset(),
) -> Walk:
    """Compare the outputs of nodes, but of those that have none; `now` is in the order of the graph.

    `with_other_files` are nodes whose files differ.
    """
    found: dict[str, list[str]] = {"same": [], "differing": [], "remade": [], "unknown": []}
    for node_id, node in now.items():
        definition = definitions.get(node.class_type)
        if definition is not None and not definition.outputs and not node.digests:
            continue
        earlier = then.get(node_id)
        if earlier is None or not earlier.digests or not node.digests:
            found["unknown"].append(node_id)
        elif alike(earlier.digests, node.digests):
            found["same"].append(node_id)
        else:
            is_recipe = definition is not None and definition.is_recipe
            by_recipe = is_recipe and node_id not in with_other_files
            found["remade" if by_recipe else "differing"].append(node_id)
    first = next(iter(found["differing"]), None) or next(iter(found["remade"]), None)
    lists = {name: tuple(ids) for name, ids in found.items()}
    labels = {node_id: node_label(node_id, node.class_type) for node_id, node in now.items()}
    return Walk(first, lists["same"], lists["differing"], lists["remade"], lists["unknown"], labels)


def alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether digests agree, as far as both are kept."""
    return len(one) == len(other) and all(a[:_ENOUGH] == b[:_ENOUGH] for a, b in zip(one, other, strict=True))
